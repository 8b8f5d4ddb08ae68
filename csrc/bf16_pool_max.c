/* The maxima of small windows of bfloat16: pool_max_tmpl.c once more, with loads that expand and stores that round, which
 * changes no maximum. pool_max.c calls this. */
#define CNN_STORED_BF16
#include "bf16_numbers.h"
#include "pool_max.h"

#define CNN_TEMPLATE "pool_max_tmpl.c"
#define cnn_pool_max_kernels cnn_bf16_pool_max_kernels
#include "foreach_isa.h"
#include "isa_bf16.h"

static const struct pool_max_kernels *const tables[] = CNN_TABLES(cnn_bf16_pool_max_kernels);

const struct pool_max_kernels *cnn_bf16_pool_max(bool narrow) {
#if CNN_X86
    if (!narrow && cnn_words_active() & CNN_WORD_BF16) return &cnn_bf16_pool_max_kernels_bf16;
#endif
    return tables[cnn_table_index() - (narrow ? 1 : 0)];
}
