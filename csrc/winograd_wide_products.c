/* The products of Winograd's F(7 x 7, 3 x 3): which version runs. winograd_wide.c calls it; the vector version is
 * winograd_wide_products_tmpl.c. */
#include "winograd_wide.h"

#define CNN_TEMPLATE "winograd_wide_products_tmpl.c"
#include "foreach_isa.h"

static const struct winograd_wide_products *const tables[] = CNN_TABLES(winograd_wide_products);

const struct winograd_wide_products *cnn_winograd_wide_products(void) { return tables[cnn_table_index()]; }
