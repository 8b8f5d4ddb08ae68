/* gemm_tmpl.c for what every processor of its kind has. */
#include "finish.h"
#include "gemm.h"

#define CNN_TEMPLATE "gemm_tmpl.c"
#include "isa_baseline.h"
