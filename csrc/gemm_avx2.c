/* gemm_tmpl.c for AVX2. */
#include "finish.h"
#include "gemm.h"

#define CNN_TEMPLATE "gemm_tmpl.c"
#include "isa_avx2.h"
