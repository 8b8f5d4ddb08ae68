/* gemm_outer_tmpl.c for AVX2. */
#include "gemm.h"

#define CNN_TEMPLATE "gemm_outer_tmpl.c"
#include "isa_avx2.h"
