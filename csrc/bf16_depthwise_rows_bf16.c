/* depthwise_tmpl.c over bfloat16, for AVX-512 with bfloat16. */
#include "depthwise.h"

#include "stored_half.h"
#define CNN_TEMPLATE "depthwise_tmpl.c"
#include "isa_bf16.h"
