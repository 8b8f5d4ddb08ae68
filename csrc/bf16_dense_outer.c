/* Which kernels compute gradients of weights from bfloat16: bf16_dense_outer_tmpl.c, compiled by a file of its own for
 * each choice of words. bf16_dense_weights.c calls them. */
#include "bf16_dense.h"

const struct half_outer_kernels *cnn_half_outer(void) {
#if CNN_X86
    if (cnn_words_active() & CNN_WORD_BF16) return &cnn_half_outer_kernels_bf16;
    if (cnn_words_active() & CNN_WORD_BF16_PLAIN) return &cnn_half_outer_kernels_avx512;
#endif
    return NULL;
}
