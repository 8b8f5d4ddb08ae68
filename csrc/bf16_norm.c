/* Batch normalisation's passes over maps of bfloat16: norm_tmpl.c once more, with loads that expand and stores that
 * round. norm.c has the entry points. */
#include "norm_passes.h"

#include "stored_half.h"
#define CNN_TEMPLATE "norm_tmpl.c"
#include "foreach_isa.h"
#include "isa_bf16.h"

static const struct norm_kernels *const tables[] = CNN_TABLES(half_norm_kernels);

const struct norm_kernels *cnn_bf16_norm_passes(void) {
#if CNN_X86
    if (cnn_words_active() & CNN_WORD_BF16) return &half_norm_kernels_bf16;
#endif
    return tables[cnn_table_index()];
}
