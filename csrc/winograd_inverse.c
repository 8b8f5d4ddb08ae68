/* Which version of the transforms behind the Winograd convolutions' products runs. winograd.c and winograd_weights.c
 * call it; the vector version is winograd_inverse_tmpl.c, winograd.h the map. */
#include "winograd.h"

#define CNN_TEMPLATE "winograd_inverse_tmpl.c"
#include "foreach_isa.h"

static const struct winograd_inverses *const tables[] = CNN_TABLES(winograd_inverses);

const struct winograd_inverses *cnn_winograd_inverses(bool half) {
    return half ? cnn_bf16_winograd_inverses() : tables[cnn_table_index()];
}
