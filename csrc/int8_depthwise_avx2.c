/* int8_depthwise_tmpl.c for AVX2. */
#include "int8_depthwise.h"

#define CNN_TEMPLATE "int8_depthwise_tmpl.c"
#include "isa_avx2.h"
