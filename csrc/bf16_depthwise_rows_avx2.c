/* depthwise_tmpl.c over bfloat16, for AVX2. */
#include "depthwise.h"

#include "stored_half.h"
#define CNN_TEMPLATE "depthwise_tmpl.c"
#include "isa_avx2.h"
