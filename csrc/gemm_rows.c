/* Which version of gemm_rows_tmpl.c runs: rows of columns, packed or summed up. conv_dense_weights.c calls it. */
#include "gemm.h"

#define CNN_TEMPLATE "gemm_rows_tmpl.c"
#include "foreach_isa.h"

static const struct gemm_rows *const tables[] = CNN_TABLES(gemm_rows);

const struct gemm_rows *cnn_gemm_rows(void) { return tables[cnn_table_index()]; }
