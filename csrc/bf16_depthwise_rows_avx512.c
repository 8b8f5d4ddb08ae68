/* depthwise_tmpl.c over bfloat16, for AVX-512. */
#include "depthwise.h"

#include "stored_half.h"
#define CNN_TEMPLATE "depthwise_tmpl.c"
#include "isa_avx512.h"
