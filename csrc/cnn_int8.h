/* THE CONTRACT for inference in whole numbers, as cnn.h is for float32, whose conventions hold here, too. Compiled after
 * cnn.h and read by cffi, so it holds no line that begins with '#'.
 *
 * An activation is a byte q and stands for scale * (q - zero), with one scale and one zero point for a whole tensor; a
 * weight is an int8 of -127 … 127 with a scale for each output channel. Sums are int32, and exact, so every instruction
 * set, and every word, yields the same bytes (Jacob et al. 2018). */

/* Words (cnn.h) for products of bytes, beside CNN_WORD_VNNI: bits. */
typedef enum {
    CNN_WORD_AVX_VNNI = 32,       /* vpdpbusd of 256 bits, which some CPUs without AVX-512 have: of AVX2's kernels */
    CNN_WORD_AVX_VNNI_PLAIN = 64, /* the same kernels with AVX2's own instructions: slow, for tests */
    CNN_WORD_AMX_INT8 = 128       /* tiles, as CNN_WORD_AMX_BF16; CNN_WORD_AMX_PLAIN stands for both */
} cnn_int8_word;

/* ---- int8_conv.c: convolutions ---------------------------------------------------------------------- */

/* What becomes of a sum: y = clamp(round((sum + bias) * multiplier) + zero), where round is to the nearest, and of two to
 * the even one. (sum + bias) becomes a float32 before it is multiplied. With add:
 * y = clamp((round((sum + bias) * multiplier * 4096) + (add - add_zero) * add_multiplier + 2048 >> 12) + zero). */
typedef struct {
    const int32_t *bias;       /* one a channel of the result; what x's zero point makes of the weights is in it */
    const float *multiplier;   /* one a channel */
    int64_t zero, least, most; /* 0 … 255; y is brought into least … most */
    const uint8_t *add;        /* shaped as y, or NULL; may be y itself */
    int64_t add_zero, add_multiplier; /* 0 … 255; below 2^20 in size */
    float *real; /* shaped as y, or NULL; receives (sum + bias) * multiplier instead of y. Then add is NULL */
} cnn_requantise;

/* Whether a convolution's sums fit into an int32 whatever the numbers are: 1 or 0. Others are CNN_INVALID below. */
int cnn_int8_conv2d_fits(const cnn_conv2d *p);
/* The bytes of weights as forward reads them, on any instruction set, with any words and for any n; -1 where that is
 * CNN_INVALID. */
int64_t cnn_int8_conv2d_packed(const cnn_conv2d *p);
/* Lays weight (k, c / groups, kh, kw) out for the active instruction set and words. packed is 64-byte aligned. */
cnn_status cnn_int8_conv2d_pack(const cnn_conv2d *p, const int8_t *weight, int8_t *packed);
/* y = requantise(x * weight). Beyond x's borders lies zero_x. */
cnn_status cnn_int8_conv2d_forward(const cnn_conv2d *p, const uint8_t *x, int64_t zero_x, const int8_t *packed,
                                   const cnn_requantise *finish, uint8_t *y);

/* ---- int8.c, int8_pool.c: what stands between them -------------------------------------------------- */

/* y = clamp(round(x * per_step) + zero), 0 … 255; NaN becomes byte 0. And back: y = (x - zero) * step. */
cnn_status cnn_int8_quantise(int64_t count, float per_step, int64_t zero, const float *x, uint8_t *y);
cnn_status cnn_int8_dequantise(int64_t count, float step, int64_t zero, const uint8_t *x, float *y);
/* Columns of `width` bytes; rows start every from_stride and to_stride bytes. Each byte is looked up in table (256), or
 * is copied where that is NULL. A function of one number is one row. */
cnn_status cnn_int8_columns(int64_t rows, int64_t width, const uint8_t *table, const uint8_t *from, int64_t from_stride,
                            uint8_t *to, int64_t to_stride);
/* y = clamp(((a - a_zero) * a_multiplier + (b - b_zero) * b_multiplier + 2048 >> 12) + zero). */
typedef struct {
    int64_t a_zero, a_multiplier, b_zero, b_multiplier, zero, least, most;
} cnn_int8_sum;
cnn_status cnn_int8_add(int64_t count, const cnn_int8_sum *p, const uint8_t *a, const uint8_t *b, uint8_t *y);
/* The largest of each window; y has x's scale and zero point. */
cnn_status cnn_int8_max_pool(const cnn_pool *p, const uint8_t *x, uint8_t *y);
/* y = clamp(round((sum of x - zero_x) * (multiplier / divisor)) + zero), over the window's pixels inside the image; the
 * divisor is cnn_average_pool_forward's. */
cnn_status cnn_int8_average_pool(const cnn_pool *p, int count_include_pad, float multiplier, int64_t zero_x,
                                 int64_t zero, const uint8_t *x, uint8_t *y);
/* As cnn_adaptive_average_pool_forward, otherwise as cnn_int8_average_pool. */
cnn_status cnn_int8_adaptive_average_pool(int64_t n, int64_t h, int64_t w, int64_t c, int64_t oh, int64_t ow,
                                          float multiplier, int64_t zero_x, int64_t zero, const uint8_t *x, uint8_t *y);
/* Images (pixels, c) to PyTorch's order (c, pixels). */
cnn_status cnn_int8_flatten(int64_t n, int64_t pixels, int64_t c, const uint8_t *x, uint8_t *y);
