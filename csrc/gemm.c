/* Which matrix kernels run. They are gemm_tmpl.c, compiled for each instruction set; gemm.h says what they compute
 * and conv_dense.c calls them. There is no entry point here: the plain loops that they are tested against are the
 * convolutions' own, in conv_reference.c. */
#include "finish.h"
#include "gemm.h"

#define CNN_TEMPLATE "gemm_tmpl.c"
#include "foreach_isa.h"

static const struct gemm_kernels *const tables[] = CNN_TABLES(gemm_kernels);

const struct gemm_kernels *cnn_gemm(void) { return tables[cnn_table_index()]; }
