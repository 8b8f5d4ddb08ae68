/* Which kernel multiplies columns, as gradients of weights need it. It is gemm_outer_tmpl.c, compiled for each
 * instruction set by a file of its own (gemm_outer_avx2.c); conv_dense_weights.c calls it. */
#include "gemm.h"

static const struct gemm_outer_kernels *const tables[] = CNN_TABLES(cnn_gemm_outer_kernels);

const struct gemm_outer_kernels *cnn_gemm_outer(void) { return tables[cnn_table_index()]; }
