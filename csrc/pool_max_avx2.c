/* pool_max_tmpl.c for AVX2. */
#include "pool_max.h"

#define CNN_TEMPLATE "pool_max_tmpl.c"
#include "isa_avx2.h"
