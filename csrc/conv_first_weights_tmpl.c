/* The weights' gradient of first layers, the vector version: vectors over output channels. Compiled for each
 * instruction set by a file of its own (conv_first_weights_avx2.c), on behalf of conv_first_weights.c. Each value of a
 * row is loaded once and goes into every tap's sum that it meets. */

#undef UNROLL
#define UNROLL CNN_UNROLL(25)

#define COLUMNS 4

/* sums[s][t] += what four neighbours of a row of dy, or where `some` the first `count` of them, say of one channel's
 * taps in `tap_rows` rows; x has the first source value of each row, or NULL where the row is outside. */
CNN_INLINE void ISA(weights_block)(const int kernel, const int stride, const int tap_rows, const bool some,
                                   uint64_t valid, int64_t count, const float *const x[5], int64_t at, int64_t step,
                                   const float *dy, int64_t k, int64_t part, vf sums[25]) {
    const int sources = (COLUMNS - 1) * stride + kernel;
    vf d[COLUMNS];
    UNROLL for (int q = 0; q < COLUMNS; q++) {
        if (!some) d[q] = vload(dy + q * k);
        else d[q] = q >= count ? vset(0) : part ? vload_part(dy + q * k, part) : vload(dy + q * k);
    }
    UNROLL for (int s = 0; s < tap_rows; s++) {
        if (!x[s]) continue;
        const float *from = x[s] + at;
        UNROLL for (int m = 0; m < sources; m++, from += step) {
            if ((!some && m >= kernel / 2 && m < sources - kernel / 2) || valid >> m & 1) {
                vf value = vset(*from);
                vhold(value);
                UNROLL for (int t = 0; t < kernel; t++) {
                    const int q = (m - t) / stride;
                    if (m >= t && (m - t) % stride == 0 && q < COLUMNS) sums[s * kernel + t] += value * d[q];
                }
            }
        }
    }
}

/* Taps (s … s + tap_rows - 1, all) of one channel of x and one vector of output channels, over rows of dy. */
CNN_INLINE void ISA(weights_rows)(const int kernel, const int stride, const int tap_rows, const struct conv_view *v,
                                  const float *x, const float *dy, int64_t k, int64_t row, int64_t count, int64_t s,
                                  float *to) {
    const int reach = (COLUMNS - 1) * stride + kernel, edge = kernel / 2;
    const int64_t step = v->pixel, width = v->w, columns = v->columns, part = k < VLEN ? k : 0;
    vf sums[25];
    UNROLL for (int i = 0; i < tap_rows * kernel; i++) sums[i] = vload(to + i * VLEN);
    for (int64_t r = row; r < row + count; r++) {
        const float *from[5], *image = x + r / v->rows * v->h * width * step;
        int64_t y = v->start_h + r % v->rows * v->stride_h + s * v->step_h;
        UNROLL for (int i = 0; i < tap_rows; i++, y += v->step_h)
            from[i] = y < 0 || y >= v->h ? NULL : image + y * width * step;
        /* A partial vector reads on beyond its pixel, which the last pixels of dy do not allow. */
        int64_t room = (v->n * v->rows - r) * columns - (part ? VLEN / part : 0);
        for (int64_t j = 0; j < columns; j += COLUMNS) {
            int64_t left = v->start_w + j * stride, some = CNN_MIN(columns - j, COLUMNS);
            uint64_t valid = cnn_places_inside(left, reach, width);
            const float *d = dy + (r * columns + j) * k;
            if (left >= -edge && left + reach <= width + edge && some == COLUMNS && j + COLUMNS <= room)
                ISA(weights_block)(kernel, stride, tap_rows, false, valid, some, from, left * step, step, d, k, part,
                                   sums);
            else
                ISA(weights_block)(kernel, stride, tap_rows, true, valid, some, from, left * step, step, d, k, part,
                                   sums);
        }
    }
    UNROLL for (int i = 0; i < tap_rows * kernel; i++) vstore(to + i * VLEN, sums[i]);
}

/* Rows of taps whose sums fit into the registers, beside four values of dy and one of x. */
#if VLEN == 16 || defined(__aarch64__)
#define TAP_ROWS(kernel) ((kernel) == 3 ? 3 : (kernel) == 5 ? 5 : 3)
#else
#define TAP_ROWS(kernel) ((kernel) == 3 ? 3 : (kernel) == 5 ? 2 : 1)
#endif
#define WEIGHTS(name, kernel, stride)                                                                            \
    static void ISA(name)(const struct conv_view *v, const float *x, const float *dy, int64_t k, int64_t row,    \
                          int64_t count, float *to) {                                                            \
        int64_t s = 0;                                                                                           \
        for (; s + TAP_ROWS(kernel) <= v->taps_h; s += TAP_ROWS(kernel), to += TAP_ROWS(kernel) * kernel * VLEN) \
            ISA(weights_rows)(kernel, stride, TAP_ROWS(kernel), v, x, dy, k, row, count, s, to);                 \
        for (; s < v->taps_h; s++, to += kernel * VLEN)                                                          \
            ISA(weights_rows)(kernel, stride, 1, v, x, dy, k, row, count, s, to);                                \
    }
WEIGHTS(weights_3, 3, 1)
WEIGHTS(weights_5, 5, 1)
WEIGHTS(weights_3_stride, 3, 2)
WEIGHTS(weights_7_stride, 7, 2)

/* The bias: the sum of dy. */
static void ISA(weights_bias)(const float *dy, int64_t k, int64_t pixels, float *to) {
    int64_t part = k < VLEN ? k : 0, whole = part ? CNN_MAX(0, pixels - VLEN / part) : pixels, i = 0;
    vf sum = vload(to), other = vset(0);
    for (; i + 2 <= whole; i += 2) {
        sum += vload(dy + i * k);
        other += vload(dy + (i + 1) * k);
    }
    for (; i < pixels; i++) sum += part ? vload_part(dy + i * k, part) : vload(dy + i * k);
    sum += other;
    vstore(to, sum);
}

const struct first_weights_kernels ISA(cnn_first_weights_kernels) = {
    .lanes = VLEN,
    .weights = {ISA(weights_3), ISA(weights_5), ISA(weights_3_stride), ISA(weights_7_stride)},
    .bias = ISA(weights_bias),
};
#undef COLUMNS
#undef TAP_ROWS
#undef WEIGHTS
