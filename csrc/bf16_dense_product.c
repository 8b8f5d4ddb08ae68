/* Which kernels multiply rows of bfloat16 with packed weights: bf16_dense_product_tmpl.c, compiled by a file of its own
 * for each choice of words. bf16_dense.c and bf16_dense_pack.c call them. */
#include "bf16_dense.h"

const struct half_kernels *cnn_half(void) {
#if CNN_X86
    if (cnn_words_active() & CNN_WORD_BF16) return &cnn_half_kernels_bf16;
    if (cnn_words_active() & CNN_WORD_BF16_PLAIN) return &cnn_half_kernels_avx512;
#endif
    return NULL;
}
