/* Depthwise convolutions' backward-weights, the vector version: vectors over channels. Compiled per instruction set by
 * foreach_isa.h on behalf of depthwise_weights.c, and of bf16_depthwise_weights.c for bfloat16. The first of these hands
 * out work for at least VLEN channels to all but the `general` kernels. */

#include "stored.h"

#undef LINE
#define LINE (CNN_LINE / (int)sizeof(stored)) /* numbers of a cache line */

#undef UNROLL
#define UNROLL CNN_UNROLL(25)

/* ---- backward-weights of kernels 3 and 5 wide, stride 1 and 2 ---- */

/* sums[s][t] += what four neighbours of a row of dy, or where `some` the first `count` of them, say of `tap_rows` rows
 * of taps; x has the first source pixel of each row, or NULL where the row is outside. `valid` is as above. */
CNN_INLINE void ISA(weights_block)(const int kernel, const int stride, const int tap_rows, const bool some,
                                   uint64_t valid, int64_t count, const stored *const x[5], int64_t at, int64_t pixel,
                                   const stored *dy, vf sums[25]) {
    const int sources = (WEIGHTS_COLUMNS - 1) * stride + kernel;
    vf d[WEIGHTS_COLUMNS];
    UNROLL for (int q = 0; q < WEIGHTS_COLUMNS; q++) d[q] = !some || q < count ? stored_load_spare(dy + q * pixel)
                                                                               : vset(0);
    UNROLL for (int s = 0; s < tap_rows; s++) {
        if (!x[s]) continue;
        const stored *from = x[s] + at;
        HOLD_POINTER(from);
        UNROLL for (int m = 0; m < sources; m++) {
            if (m && m % 3 == 0) {
                from += 3 * pixel;
                HOLD_POINTER(from);
            }
            if ((!some && m >= kernel / 2 && m < sources - kernel / 2) || valid >> m & 1) {
                vf value = stored_load_spare(from + m % 3 * pixel);
                vhold(value);
                UNROLL for (int t = 0; t < kernel; t++) {
                    const int q = (m - t) / stride;
                    if (m >= t && (m - t) % stride == 0 && q < WEIGHTS_COLUMNS) sums[s * kernel + t] += value * d[q];
                }
            }
        }
    }
}

/* Taps (s … s + tap_rows - 1, all) of one vector of channels, over rows of dy: sums are in registers throughout. */
CNN_INLINE void ISA(weights_rows)(const int kernel, const int stride, const int tap_rows, const struct conv_view *v,
                                  const stored *x, const stored *dy, int64_t row, int64_t count, int64_t s, float *to,
                                  const struct depthwise_ahead *ahead) {
    const int reach = (WEIGHTS_COLUMNS - 1) * stride + kernel, edge = kernel / 2;
    const int64_t pixel = v->pixel, width = v->w, columns = v->columns;
    vf sums[25];
    UNROLL for (int i = 0; i < tap_rows * kernel; i++) sums[i] = vload(to + i * VLEN);
    x += row / v->rows * v->h * width * pixel;
    dy += row * columns * pixel;
    const stored *next_x = ahead->x, *next_dy = ahead->dy;
    for (int64_t r = row % v->rows; count > 0; count--) {
        const stored *from[5];
        int64_t y = v->start_h + r * v->stride_h + s * v->step_h;
        UNROLL for (int i = 0; i < tap_rows; i++, y += v->step_h) from[i] = y < 0 || y >= v->h ? NULL
                                                                                               : x + y * width * pixel;
        for (int64_t j = 0; j < columns;) {
            for (int64_t i = 0; i < ahead->x_share; i += LINE) __builtin_prefetch(next_x + i, 0, 2);
            for (int64_t i = 0; i < ahead->dy_share; i += LINE) __builtin_prefetch(next_dy + i, 0, 2);
            next_x += ahead->x_share, next_dy += ahead->dy_share;
            for (const int64_t until = CNN_MIN(columns, j + ASK_COLUMNS); j < until; j += WEIGHTS_COLUMNS) {
                int64_t left = v->start_w + j * stride, at = left * pixel, some = CNN_MIN(columns - j, WEIGHTS_COLUMNS);
                uint64_t valid = cnn_places_inside(left, reach, width);
                const stored *d = dy + j * pixel;
                if (left >= -edge && left + reach <= width + edge && some == WEIGHTS_COLUMNS)
                    ISA(weights_block)(kernel, stride, tap_rows, false, valid, some, from, at, pixel, d, sums);
                else ISA(weights_block)(kernel, stride, tap_rows, true, valid, some, from, at, pixel, d, sums);
            }
        }
        dy += columns * pixel;
        if (++r == v->rows) r = 0, x += v->h * width * pixel;
    }
    UNROLL for (int i = 0; i < tap_rows * kernel; i++) vstore(to + i * VLEN, sums[i]);
}

#if VLEN == 16 || defined(__aarch64__)
#define TAP_ROWS_5 5 /* 25 sums, 4 values of dy and one of x in 32 registers */
#else
#define TAP_ROWS_5 2
#endif

#define WEIGHTS(name, kernel, stride, most)                                                                     \
    static void ISA(name)(const struct conv_view *v, const void *x, const void *dy, int64_t row, int64_t count, \
                          float *to, const struct depthwise_ahead *ahead) {                                     \
        int64_t s = 0;                                                                                          \
        for (; s + most <= v->taps_h; s += most, to += most * kernel * VLEN, ahead = &depthwise_nothing_ahead)  \
            ISA(weights_rows)(kernel, stride, most, v, x, dy, row, count, s, to, ahead);                        \
        for (; s < v->taps_h; s++, to += kernel * VLEN, ahead = &depthwise_nothing_ahead)                       \
            ISA(weights_rows)(kernel, stride, 1, v, x, dy, row, count, s, to, ahead);                           \
    }
WEIGHTS(weights_3, 3, 1, 3)
WEIGHTS(weights_5, 5, 1, TAP_ROWS_5)
WEIGHTS(weights_3_stride, 3, 2, 3)
WEIGHTS(weights_5_stride, 5, 2, TAP_ROWS_5)
#undef TAP_ROWS_5

/* The bias: the sum of dy. */
static void ISA(weights_bias)(const struct conv_view *v, int64_t part, const void *gradient, int64_t row, int64_t count,
                              float *to) {
    const stored *dy = gradient;
    vf a = vload(to), b = vset(0);
    const stored *end = dy + (row + count) * v->columns * v->pixel;
    const stored *d = dy + row * v->columns * v->pixel;
    for (; d + v->pixel < end; d += 2 * v->pixel) {
        a += stored_load_lanes(d, part);
        b += stored_load_lanes(d + v->pixel, part);
    }
    if (d < end) a += stored_load_lanes(d, part);
    vstore(to, a + b);
}

/* ---- any kernel, stride and dilation ---- */

/* One row of dy with the row of x under it, for neighbouring taps: dy[j] meets x[left + j * stride + t * step]. */
CNN_INLINE void ISA(general_weights_row)(const int taps, const struct conv_view *v, int64_t part, const stored *x,
                                         int64_t left, const stored *dy, vf sums[3]) {
    const int64_t step = v->step_w, next = v->stride_w * v->pixel;
    int64_t low = left < 0 ? CNN_MIN(cnn_ceil_div(-left, v->stride_w), v->columns) : 0; /* all taps inside … */
    int64_t end = v->w - 1 - left - (taps - 1) * step;                                  /* … in [low, high) */
    int64_t high = end < 0 ? low : CNN_MAX(low, CNN_MIN(v->columns, end / v->stride_w + 1));
    for (int64_t j = 0; j < v->columns; j++) {
        vf d = stored_load_lanes(dy + j * v->pixel, part);
        if (j >= low && j < high) {
            const stored *source = x + left * v->pixel + j * next;
            UNROLL for (int t = 0; t < taps; t++) sums[t] += d * stored_load_lanes(source + t * step * v->pixel, part);
        } else {
            UNROLL for (int t = 0; t < taps; t++) {
                int64_t at = left + j * v->stride_w + t * step;
                if (at >= 0 && at < v->w) sums[t] += d * stored_load_lanes(x + at * v->pixel, part);
            }
        }
    }
}

/* Taps (s, t … t + taps - 1) of one vector of channels, over rows of dy. */
CNN_INLINE void ISA(general_weights_taps)(const int taps, const struct conv_view *v, int64_t part, const stored *x,
                                          const stored *dy, int64_t row, int64_t count, int64_t s, int64_t t,
                                          float *to) {
    vf sums[3];
    UNROLL for (int q = 0; q < taps; q++) sums[q] = vload(to + q * VLEN);
    for (int64_t r = row; r < row + count; r++) {
        int64_t y = v->start_h + r % v->rows * v->stride_h + s * v->step_h;
        if (y < 0 || y >= v->h) continue;
        ISA(general_weights_row)(taps, v, part, x + (r / v->rows * v->h + y) * v->w * v->pixel,
                                 v->start_w + t * v->step_w, dy + r * v->columns * v->pixel, sums);
    }
    UNROLL for (int q = 0; q < taps; q++) vstore(to + q * VLEN, sums[q]);
}

CNN_INLINE void ISA(general_weights_vector)(const struct conv_view *v, int64_t part, const stored *x, const stored *dy,
                                            int64_t row, int64_t count, float *to) {
    for (int64_t s = 0; s < v->taps_h; s++) {
        int64_t t = 0;
        for (; t + 3 <= v->taps_w; t += 3, to += 3 * VLEN)
            ISA(general_weights_taps)(3, v, part, x, dy, row, count, s, t, to);
        for (; t < v->taps_w; t++, to += VLEN) ISA(general_weights_taps)(1, v, part, x, dy, row, count, s, t, to);
    }
}

static void ISA(general_weights)(const struct conv_view *v, const void *x, const void *dy, int64_t row, int64_t count,
                                 float *to, const struct depthwise_ahead *ahead) {
    (void)ahead;
    if (v->pixel < VLEN) ISA(general_weights_vector)(v, v->pixel, x, dy, row, count, to);
    else ISA(general_weights_vector)(v, 0, x, dy, row, count, to);
}

static const struct depthwise_weights_kernels ISA(depthwise_weights_kernels) = {
    .lanes = VLEN,
    .weights = {{ISA(weights_3), ISA(weights_3_stride)}, {ISA(weights_5), ISA(weights_5_stride)}},
    .bias = ISA(weights_bias),
    .general_weights = ISA(general_weights),
};
#undef WEIGHTS
