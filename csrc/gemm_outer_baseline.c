/* gemm_outer_tmpl.c for what every processor of its kind has. */
#include "gemm.h"

#define CNN_TEMPLATE "gemm_outer_tmpl.c"
#include "isa_baseline.h"
