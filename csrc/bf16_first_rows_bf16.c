/* bf16_first_rows_tmpl.c for AVX-512 with bfloat16. */
#include "bf16_first.h"

#define CNN_TEMPLATE "bf16_first_rows_tmpl.c"
#include "isa_bf16.h"
