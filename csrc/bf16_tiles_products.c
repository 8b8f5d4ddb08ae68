/* Which products by tiles run: AMX's, or those that do the same without; bf16_tiles_products_tmpl.c is both. */
#include "bf16_tiles.h"

#define CNN_TEMPLATE "bf16_tiles_products_tmpl.c"
#include "foreach_isa.h"
#include "isa_amx.h"

static const struct tile_kernels *const tables[] = CNN_TABLES(tile_kernels);

const struct tile_kernels *cnn_tile_kernels(void) {
    int words = cnn_words_active();
#if CNN_AMX
    if (words & CNN_WORD_AMX_BF16) return &tile_kernels_amx;
#endif
    return words & CNN_WORD_AMX_PLAIN ? tables[cnn_table_index()] : NULL;
}
