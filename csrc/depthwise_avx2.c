/* depthwise_tmpl.c for AVX2. */
#include "depthwise.h"

#define CNN_TEMPLATE "depthwise_tmpl.c"
#include "isa_avx2.h"
