/* int8_depthwise_tmpl.c for AVX-512. */
#include "int8_depthwise.h"

#define CNN_TEMPLATE "int8_depthwise_tmpl.c"
#include "isa_avx512.h"
