/* Depthwise convolutions' backward-weights, the vector version: vectors over channels. Compiled per instruction set by
 * foreach_isa.h on behalf of depthwise_weights.c, and of bf16_depthwise_weights.c for bfloat16. The first of these hands
 * out work for at least VLEN channels to all but the `general` kernels. */

#include "stored.h"

#undef LINE
#define LINE (CNN_LINE / (int)sizeof(stored)) /* numbers of a cache line */

#undef UNROLL
#define UNROLL CNN_UNROLL(25)

CNN_INLINE vf ISA(sum_begins)(enum depthwise_sums mode, const float *to) {
    return mode == SUMS_GO_ON ? vload(to) : vset(0);
}
CNN_INLINE void ISA(sum_ends)(enum depthwise_sums mode, float *to, vf sum) {
    vstore(to, mode == SUMS_ADD ? vload(to) + sum : sum);
}

/* ---- backward-weights of kernels 3 and 5 wide, stride 1 and 2 ---- */

/* sum += a * b. Compilers would overwrite a factor, and move sums from register to register. */
#undef ADD_PRODUCT
#if VLEN == 16
#define ADD_PRODUCT(sum, a, b) __asm__("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b))
#elif VLEN == 8
#define ADD_PRODUCT(sum, a, b) __asm__("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b))
#else
#define ADD_PRODUCT(sum, a, b) ((sum) += (a) * (b))
#endif

/* sums[s][t] += what one step along a row of dy says of `tap_rows` rows of taps: the `stride` source pixels at x, and
 * those in the rows below, meet d[0], the step's result, and the results before it, d[1] and so on. Each source pixel is
 * loaded once. Bits say which of these rows, sources and results there are. */
CNN_INLINE void ISA(weights_step)(const int kernel, const int stride, const int tap_rows, unsigned rows,
                                  unsigned sources, unsigned results, const stored *x, int64_t line, int64_t pixel,
                                  const vf d[5], vf sums[25]) {
    UNROLL for (int e = 0; e < stride; e++, x += pixel) {
        if (!(sources >> e & 1)) continue;
        UNROLL for (int s = 0; s < tap_rows; s++) {
            if (!(rows >> s & 1)) continue;
            vf value = stored_load_spare(x + s * line);
            UNROLL for (int t = e; t < kernel; t += stride) {
                if (results >> t / stride & 1) ADD_PRODUCT(sums[s * kernel + t], value, d[t / stride]);
            }
        }
    }
}

/* Asks for what a step is to ask for, and goes on to the next one's. */
CNN_INLINE void ISA(weights_ask)(const int stride, const struct depthwise_ahead *ahead, const stored **x,
                                 const stored **dy) {
    if (ahead->dy_step == 0) return;
    UNROLL for (int i = 0; i < stride; i++) UNROLL for (int e = 0; e < stride; e++)
        __builtin_prefetch(*x + i * ahead->x_line + e * ahead->x_pixel, 0, 2);
    __builtin_prefetch(*dy, 0, 2);
    *x += ahead->x_step, *dy += ahead->dy_step;
}

/* d[0] becomes d[1], and so on. */
CNN_INLINE void ISA(weights_shift)(const int depth, vf d[5]) {
    UNROLL for (int i = depth - 1; i > 0; i--) d[i] = d[i - 1];
}

/* A row of which every step inside meets source pixels inside; x is under its first result's first tap. */
CNN_INLINE void ISA(weights_row)(const int kernel, const int stride, const int tap_rows, const struct conv_view *v,
                                 unsigned rows, const stored *x, const stored *dy, const struct depthwise_ahead *ahead,
                                 const stored *next_x, const stored *next_dy, vf sums[25]) {
    const int depth = (kernel + stride - 1) / stride;
    const unsigned all = (1u << depth) - 1, whole = (1u << stride) - 1;
    const int64_t pixel = v->pixel, line = v->w * pixel;
    int64_t left = v->start_w;
    vf d[5];
    UNROLL for (int i = 0; i < depth; i++) d[i] = vset(0);
    UNROLL for (int i = 0; i < depth - 1; i++, left += stride, x += stride * pixel, dy += pixel) {
        unsigned sources = (unsigned)cnn_places_inside(left, stride, v->w);
        ISA(weights_shift)(i + 1, d);
        d[0] = stored_load_spare(dy);
        ISA(weights_step)(kernel, stride, tap_rows, rows, sources, (2u << i) - 1, x, line, pixel, d, sums);
    }
    for (int64_t u = depth - 1; u < v->columns; u++, left += stride, x += stride * pixel, dy += pixel) {
        ISA(weights_shift)(depth, d);
        d[0] = stored_load_spare(dy);
        ISA(weights_ask)(stride, ahead, &next_x, &next_dy);
        ISA(weights_step)(kernel, stride, tap_rows, rows, whole, all, x, line, pixel, d, sums);
    }
    UNROLL for (int i = 1; i < depth; i++, left += stride, x += stride * pixel) {
        unsigned sources = (unsigned)cnn_places_inside(left, stride, v->w);
        ISA(weights_shift)(depth, d);
        ISA(weights_ask)(stride, ahead, &next_x, &next_dy);
        ISA(weights_step)(kernel, stride, tap_rows, rows, sources, all & ~0u << i, x, line, pixel, d, sums);
    }
}

/* Any row. */
CNN_INLINE void ISA(weights_any_row)(const int kernel, const int stride, const int tap_rows, const struct conv_view *v,
                                     unsigned rows, const stored *x, const stored *dy, vf sums[25]) {
    const int depth = (kernel + stride - 1) / stride;
    const int64_t pixel = v->pixel, line = v->w * pixel, columns = v->columns;
    int64_t left = v->start_w;
    vf d[5];
    UNROLL for (int i = 0; i < depth; i++) d[i] = vset(0);
    for (int64_t u = 0; u < columns + depth - 1; u++, left += stride, x += stride * pixel, dy += pixel) {
        unsigned sources = (unsigned)cnn_places_inside(left, stride, v->w);
        unsigned results = (2u << CNN_MIN(u, depth - 1)) - 1;
        ISA(weights_shift)(depth, d);
        if (u < columns) d[0] = stored_load_spare(dy);
        else results &= ~0u << (u - columns + 1);
        ISA(weights_step)(kernel, stride, tap_rows, rows, sources, results, x, line, pixel, d, sums);
    }
}

/* Taps (s … s + tap_rows - 1, all) of one vector of channels, over rows of dy: sums are in registers throughout. */
CNN_INLINE void ISA(weights_rows)(const int kernel, const int stride, const int tap_rows, const struct conv_view *v,
                                  const stored *x, const stored *dy, int64_t row, int64_t count, int64_t s, float *to,
                                  enum depthwise_sums mode, const struct depthwise_ahead *ahead) {
    const int64_t pixel = v->pixel, line = v->w * pixel, columns = v->columns;
    const int64_t depth = (kernel + stride - 1) / stride, first = v->start_w + (depth - 1) * stride;
    const bool usual = columns >= depth && first >= 0 && v->start_w + columns * stride <= v->w;
    const unsigned all = (1u << tap_rows) - 1;
    vf sums[25];
    UNROLL for (int i = 0; i < tap_rows * kernel; i++) sums[i] = ISA(sum_begins)(mode, to + i * VLEN);
    x += row / v->rows * v->h * line + v->start_w * pixel;
    dy += row * columns * pixel;
    const stored *next_x = ahead->x, *next_dy = ahead->dy;
    for (int64_t r = row % v->rows; count > 0; count--) {
        const int64_t y = v->start_h + r * stride + s;
        const unsigned rows = (unsigned)cnn_places_inside(y, tap_rows, v->h);
        const stored *from = x + y * line;
        if (usual && rows == all)
            ISA(weights_row)(kernel, stride, tap_rows, v, all, from, dy, ahead, next_x, next_dy, sums);
        else if (usual) ISA(weights_row)(kernel, stride, tap_rows, v, rows, from, dy, ahead, next_x, next_dy, sums);
        else ISA(weights_any_row)(kernel, stride, tap_rows, v, rows, from, dy, sums);
        dy += columns * pixel, next_x += ahead->x_row, next_dy += ahead->dy_row;
        if (++r == v->rows) r = 0, x += v->h * line;
    }
    UNROLL for (int i = 0; i < tap_rows * kernel; i++) ISA(sum_ends)(mode, to + i * VLEN, sums[i]);
}

#if VLEN == 16 || defined(__aarch64__)
#define TAP_ROWS_5 5 /* 25 sums, 4 values of dy and one of x in 32 registers */
#else
#define TAP_ROWS_5 2
#endif

#define WEIGHTS(name, kernel, stride, most)                                                                     \
    static void ISA(name)(const struct conv_view *v, const void *x, const void *dy, int64_t row, int64_t count, \
                          float *to, enum depthwise_sums mode, const struct depthwise_ahead *ahead) {           \
        const struct depthwise_ahead nothing = {.x = x, .dy = dy};                                              \
        int64_t s = 0;                                                                                          \
        for (; s + most <= v->taps_h; s += most, to += most * kernel * VLEN, ahead = &nothing)                  \
            ISA(weights_rows)(kernel, stride, most, v, x, dy, row, count, s, to, mode, ahead);                  \
        for (; s < v->taps_h; s++, to += kernel * VLEN, ahead = &nothing)                                       \
            ISA(weights_rows)(kernel, stride, 1, v, x, dy, row, count, s, to, mode, ahead);                     \
    }
WEIGHTS(weights_3, 3, 1, 3)
WEIGHTS(weights_5, 5, 1, TAP_ROWS_5)
WEIGHTS(weights_3_stride, 3, 2, 3)
WEIGHTS(weights_5_stride, 5, 2, TAP_ROWS_5)
#undef TAP_ROWS_5

/* The bias: the sum of dy. */
static void ISA(weights_bias)(const struct conv_view *v, int64_t part, const void *gradient, int64_t row, int64_t count,
                              float *to, enum depthwise_sums mode) {
    const stored *dy = gradient;
    vf a = ISA(sum_begins)(mode, to), b = vset(0);
    const stored *end = dy + (row + count) * v->columns * v->pixel;
    const stored *d = dy + row * v->columns * v->pixel;
    for (; d + v->pixel < end; d += 2 * v->pixel) {
        a += stored_load_lanes(d, part);
        b += stored_load_lanes(d + v->pixel, part);
    }
    if (d < end) a += stored_load_lanes(d, part);
    ISA(sum_ends)(mode, to, a + b);
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
                                          const stored *dy, int64_t row, int64_t count, int64_t s, int64_t t, float *to,
                                          enum depthwise_sums mode) {
    vf sums[3];
    UNROLL for (int q = 0; q < taps; q++) sums[q] = ISA(sum_begins)(mode, to + q * VLEN);
    for (int64_t r = row; r < row + count; r++) {
        int64_t y = v->start_h + r % v->rows * v->stride_h + s * v->step_h;
        if (y < 0 || y >= v->h) continue;
        ISA(general_weights_row)(taps, v, part, x + (r / v->rows * v->h + y) * v->w * v->pixel,
                                 v->start_w + t * v->step_w, dy + r * v->columns * v->pixel, sums);
    }
    UNROLL for (int q = 0; q < taps; q++) ISA(sum_ends)(mode, to + q * VLEN, sums[q]);
}

CNN_INLINE void ISA(general_weights_vector)(const struct conv_view *v, int64_t part, const stored *x, const stored *dy,
                                            int64_t row, int64_t count, float *to, enum depthwise_sums mode) {
    for (int64_t s = 0; s < v->taps_h; s++) {
        int64_t t = 0;
        for (; t + 3 <= v->taps_w; t += 3, to += 3 * VLEN)
            ISA(general_weights_taps)(3, v, part, x, dy, row, count, s, t, to, mode);
        for (; t < v->taps_w; t++, to += VLEN) ISA(general_weights_taps)(1, v, part, x, dy, row, count, s, t, to, mode);
    }
}

static void ISA(general_weights)(const struct conv_view *v, const void *x, const void *dy, int64_t row, int64_t count,
                                 float *to, enum depthwise_sums mode, const struct depthwise_ahead *ahead) {
    (void)ahead;
    if (v->pixel < VLEN) ISA(general_weights_vector)(v, v->pixel, x, dy, row, count, to, mode);
    else ISA(general_weights_vector)(v, 0, x, dy, row, count, to, mode);
}

static const struct depthwise_weights_kernels ISA(depthwise_weights_kernels) = {
    .lanes = VLEN,
    .weights = {{ISA(weights_3), ISA(weights_3_stride)}, {ISA(weights_5), ISA(weights_5_stride)}},
    .bias = ISA(weights_bias),
    .general_weights = ISA(general_weights),
};
#undef WEIGHTS
