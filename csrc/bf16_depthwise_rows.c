/* Depthwise convolutions over bfloat16, forward and back to the data: which version runs. depthwise.c calls it; the
 * vector version is depthwise_tmpl.c once more, with loads that expand and stores that round. */
#include "depthwise.h"

/* bf16_depthwise_rows_*.c's. */
CNN_DECLARE_TABLES(depthwise_kernels, half_cnn_depthwise_kernels);
extern const struct depthwise_kernels half_cnn_depthwise_kernels_bf16;

static const struct depthwise_kernels *const tables[] = CNN_TABLES(half_cnn_depthwise_kernels);

const struct depthwise_kernels *cnn_bf16_depthwise_rows(int64_t channels) {
    int index = cnn_table_index();
    while (index > 0 && tables[index]->lanes > channels) index--;
#if CNN_X86
    if (tables[index]->lanes == 16 && cnn_words_active() & CNN_WORD_BF16) return &half_cnn_depthwise_kernels_bf16;
#endif
    return tables[index];
}
