/* Which int8 products by tiles run: AMX's, or those that do the same without; int8_tiles_products_tmpl.c is both. */
#include "int8_tiles.h"

#define CNN_TEMPLATE "int8_tiles_products_tmpl.c"
#include "foreach_isa.h"
#include "isa_amx.h"

static const struct int8_tile_kernels *const tables[] = CNN_TABLES(int8_tile_kernels);

const struct int8_tile_kernels *cnn_int8_tile_kernels(void) {
    int words = cnn_words_active();
#if CNN_AMX
    if (words & CNN_WORD_AMX_INT8) return &int8_tile_kernels_amx;
#endif
    return words & CNN_WORD_AMX_PLAIN ? tables[cnn_table_index()] : NULL;
}
