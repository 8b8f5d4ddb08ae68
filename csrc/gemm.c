/* Which matrix kernels run. They are gemm_tmpl.c, compiled for each instruction set by a file of its own
 * (gemm_avx2.c); gemm.h says what they compute and conv_dense.c calls them. There is no entry point here: the plain
 * loops that they are tested against are the convolutions' own, in conv_reference.c. */
#include "gemm.h"

static const struct gemm_kernels *const tables[] = CNN_TABLES(cnn_gemm_kernels);

const struct gemm_kernels *cnn_gemm(void) { return tables[cnn_table_index()]; }
