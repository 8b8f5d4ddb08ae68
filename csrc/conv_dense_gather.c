/* The rows of the matrix A that dense convolutions multiply: windows of pixels, gathered, or read where they lie.
 * conv_dense.c and conv_dense_weights.c ask for them; the vector version is conv_dense_gather_tmpl.c. */
#include "conv_dense.h"

#define CNN_TEMPLATE "conv_dense_gather_tmpl.c"
#include "foreach_isa.h"

static const struct dense_kernels *const tables[] = CNN_TABLES(dense_kernels);

const struct dense_kernels *cnn_dense_kernels(void) { return tables[cnn_table_index()]; }

/* ALIAS floats apart, rows would meet in a few sets of L1: copying is cheaper. */
#define ALIAS 512

bool cnn_dense_in_place(const struct conv_view *v) {
    return v->taps_h * v->taps_w == 1 && v->stride_h * v->stride_w == 1 && v->start_h == 0 && v->start_w == 0 &&
           v->rows == v->h && v->columns == v->w && v->pixel % ALIAS != 0;
}
