/* int8_conv_tmpl.c for AVX2. */
#include "int8_conv.h"

#define CNN_TEMPLATE "int8_conv_tmpl.c"
#include "isa_avx2.h"
