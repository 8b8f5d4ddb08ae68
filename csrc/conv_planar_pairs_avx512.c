/* conv_planar_pairs_tmpl.c for AVX-512. */
#include "conv_planar.h"

#define CNN_TEMPLATE "conv_planar_pairs_tmpl.c"
#include "isa_avx512.h"
