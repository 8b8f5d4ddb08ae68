/* bf16_dense_outer_tmpl.c for AVX-512 with bfloat16. */
#include "bf16_dense.h"

#define CNN_TEMPLATE "bf16_dense_outer_tmpl.c"
#include "isa_bf16.h"
