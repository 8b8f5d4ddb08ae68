/* Rows of an image as first layers to bfloat16 read them, and which kernels go over them: bf16_first_rows_tmpl.c,
 * compiled by a file of its own for each choice of words. bf16_first.c and bf16_first_weights.c call this. */
#include "bf16_first.h"

const struct half_first_kernels *cnn_half_first(void) {
#if CNN_X86
    if (cnn_words_active() & CNN_WORD_BF16) return &cnn_half_first_bf16;
    if (cnn_words_active() & CNN_WORD_BF16_PLAIN) return &cnn_half_first_avx512;
#endif
    return NULL;
}

void cnn_half_first_fill(const cnn_conv2d *s, const float *image, int64_t y, int64_t width, uint16_t *to) {
    int64_t begin = CNN_MIN(s->pad_left * s->c, width), count = CNN_MIN(s->w * s->c, width - begin);
    if (y < 0 || y >= s->h) count = 0;
    memset(to, 0, (size_t)begin * sizeof *to);
    if (count) cnn_half_first()->round(count, image + y * s->w * s->c, to + begin);
    memset(to + begin + count, 0, (size_t)(width - begin - count) * sizeof *to);
}
