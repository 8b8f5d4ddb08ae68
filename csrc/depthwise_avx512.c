/* depthwise_tmpl.c for AVX-512. */
#include "depthwise.h"

#define CNN_TEMPLATE "depthwise_tmpl.c"
#include "isa_avx512.h"
