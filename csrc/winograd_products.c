/* Which version of the Winograd convolutions' products runs. winograd.c and winograd_weights.c call it; the vector
 * version is winograd_products_tmpl.c, winograd.h the map. */
#include "winograd.h"

#define CNN_TEMPLATE "winograd_products_tmpl.c"
#include "foreach_isa.h"

static const struct winograd_products *const tables[] = CNN_TABLES(winograd_products);

const struct winograd_products *cnn_winograd_products(bool half) {
    return half ? cnn_bf16_winograd_products() : tables[cnn_table_index()];
}
