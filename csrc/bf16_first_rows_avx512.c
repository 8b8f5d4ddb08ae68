/* bf16_first_rows_tmpl.c for AVX-512 alone, which does the same in more steps: for tests. */
#include "bf16_first.h"

#define CNN_TEMPLATE "bf16_first_rows_tmpl.c"
#include "isa_avx512.h"
