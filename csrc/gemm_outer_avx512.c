/* gemm_outer_tmpl.c for AVX-512. */
#include "gemm.h"

#define CNN_TEMPLATE "gemm_outer_tmpl.c"
#include "isa_avx512.h"
