/* gemm_tmpl.c for AVX-512. */
#include "finish.h"
#include "gemm.h"

#define CNN_TEMPLATE "gemm_tmpl.c"
#include "isa_avx512.h"
