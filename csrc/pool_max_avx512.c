/* pool_max_tmpl.c for AVX-512. */
#include "pool_max.h"

#define CNN_TEMPLATE "pool_max_tmpl.c"
#include "isa_avx512.h"
