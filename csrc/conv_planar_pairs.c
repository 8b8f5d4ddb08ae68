/* Which kernel turns two rows of results into one, where a convolution pools its own. It is conv_planar_pairs_tmpl.c,
 * compiled for each instruction set by a file of its own (conv_planar_pairs_avx2.c); conv_planar.c calls it. */
#include "conv_planar.h"

static const struct planar_pair_kernels *const tables[] = CNN_TABLES(cnn_planar_pair_kernels);

const struct planar_pair_kernels *cnn_planar_pairs(void) { return tables[cnn_table_index()]; }
