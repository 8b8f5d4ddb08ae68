/* conv_first_weights_tmpl.c for AVX2. */
#include "conv_first.h"

#define CNN_TEMPLATE "conv_first_weights_tmpl.c"
#include "isa_avx2.h"
