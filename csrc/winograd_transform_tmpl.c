/* The transforms of the Winograd convolutions, a vector of channels at a time: pixels to V, dy to W, weights to U, M to
 * results, dU to gradients. Compiled per instruction set by foreach_isa.h on behalf of winograd_transform.c; winograd.h
 * says what the letters mean and how they lie in memory, winograd_tmpl.c multiplies what is made here.
 *
 * With a = 3/4, b = 3/2 and rows in the order 0, a, -a, b, -b, infinity, n = (a²b², 2a²(a²-b²), 2b²(b²-a²)):
 *
 *        a²b²  0    -(a²+b²)  0       1  0          1  1   1   1   1   0        1/n0  0      0
 *        0    -ab²  -b²       a       1  0          0  a  -a   b  -b   0        1/n1  a/n1   a²/n1
 *   B' = 0     ab²  -b²      -a       1  0     A' = 0  a²  a²  b²  b²  0    G = 1/n1 -a/n1   a²/n1
 *        0    -a²b  -a²       b       1  0          0  a³ -a³  b³ -b³  1        1/n2  b/n2   b²/n2
 *        0     a²b  -a²      -b       1  0                                      1/n2 -b/n2   b²/n2
 *        0     a²b²  0   -(a²+b²)     0  1                                      0     0      1
 *
 * The rows of a point and its negative share an even and an odd part. A two-dimensional transform takes columns
 * first, for some rows of the result at a time, so that these stay in registers, then those rows. */

#include "pool_tap.h"

#undef MANY_REGISTERS
#undef UNROLL
#define MANY_REGISTERS (VLEN == 16 || !CNN_X86)
#define UNROLL CNN_UNROLL(12)

#undef A1
#undef A2
#undef A3
#undef B1
#undef B2
#undef B3
#undef N0
#undef N1
#undef N2
#define A1 0.75f
#define B1 1.5f
#define A2 (A1 * A1)
#define B2 (B1 * B1)
#define A3 (A2 * A1)
#define B3 (B2 * B1)
#define N0 (1.0f / (A2 * B2))
#define N1 (1.0f / (2 * A2 * (A2 - B2)))
#define N2 (1.0f / (2 * B2 * (B2 - A2)))

/* ---- which pixels a tile reads ---- */

/* The pixels of the `side` x `side` patch whose first one is (top, left) of an image. */
CNN_INLINE void ISA(patch)(const struct winograd_tiles *t, const int side, int64_t image, int64_t top, int64_t left,
                           const float **at) {
    const struct conv_view *v = t->view;
    int64_t base = ((image * v->h + top) * v->w + left) * v->pixel;
    bool end = t->last && image == v->n - 1;
    if (top >= 0 && left >= 0 && top + side <= v->h && left + side <= v->w &&
        !(end && top + side == v->h && left + side == v->w)) {
        const float *first = t->source + base;
        for (int i = 0; i < side; i++)
            for (int j = 0; j < side; j++) at[i * side + j] = first + (i * v->w + j) * v->pixel;
        return;
    }
    for (int64_t i = 0; i < side; i++) {
        bool row = top + i >= 0 && top + i < v->h, last_row = end && top + i == v->h - 1;
        for (int64_t j = 0; j < side; j++) {
            const float *pixel = t->zeros;
            if (row && left + j >= 0 && left + j < v->w)
                pixel = last_row && left + j == v->w - 1 ? t->last : t->source + (base + (i * v->w + j) * v->pixel);
            at[i * side + j] = pixel;
        }
    }
}

/* Where a tile is. */
struct ISA(place) {
    int64_t image, row, column;
};
CNN_INLINE struct ISA(place) ISA(place)(const struct winograd_tiles *t, int64_t tile) {
    return (struct ISA(place)){tile / t->across / t->down, tile / t->across % t->down, tile % t->across};
}
CNN_INLINE void ISA(next)(const struct winograd_tiles *t, struct ISA(place) *p) {
    if (++p->column < t->across) return;
    p->column = 0;
    if (++p->row < t->down) return;
    p->row = 0;
    p->image++;
}

/* ---- B' d B ---- */

CNN_INLINE void ISA(input_row)(const vf x[6], float *to, int64_t step) {
    vf even_a = x[4] - B2 * x[2], odd_a = A1 * x[3] - A1 * B2 * x[1];
    vf even_b = x[4] - A2 * x[2], odd_b = B1 * x[3] - B1 * A2 * x[1];
    vstore(to, x[4] + (A2 * B2 * x[0] - (A2 + B2) * x[2]));
    vstore(to + step, even_a + odd_a);
    vstore(to + 2 * step, even_a - odd_a);
    vstore(to + 3 * step, even_b + odd_b);
    vstore(to + 4 * step, even_b - odd_b);
    vstore(to + 5 * step, x[5] + (A2 * B2 * x[1] - (A2 + B2) * x[3]));
}

/* Rows 1, 2 and, with `ends`, 0; or rows 3, 4 and, with `ends`, 5 of the result. */
CNN_INLINE void ISA(input_half)(const bool high, const bool ends, const float *const *at, int64_t c, float *to,
                                int64_t step) {
    vf first[6], second[6], end[6];
    UNROLL for (int j = 0; j < 6; j++) {
        vf x1 = vload(at[6 + j] + c), x2 = vload(at[12 + j] + c), x3 = vload(at[18 + j] + c);
        vf x4 = vload(at[24 + j] + c);
        vf even = high ? x4 - A2 * x2 : x4 - B2 * x2;
        vf odd = high ? B1 * x3 - B1 * A2 * x1 : A1 * x3 - A1 * B2 * x1;
        first[j] = even + odd;
        second[j] = even - odd;
        if (!ends) continue;
        if (high) end[j] = vload(at[30 + j] + c) + (A2 * B2 * x1 - (A2 + B2) * x3);
        else end[j] = x4 + (A2 * B2 * vload(at[j] + c) - (A2 + B2) * x2);
    }
    int64_t row = 6 * step;
    if (ends && !high) ISA(input_row)(end, to, step);
    ISA(input_row)(first, to + (high ? 3 : 1) * row, step);
    ISA(input_row)(second, to + (high ? 4 : 2) * row, step);
    if (ends && high) ISA(input_row)(end, to + 5 * row, step);
}

/* Rows 0 and 5, where there are too few registers for three rows at once. */
CNN_INLINE void ISA(input_ends)(const float *const *at, int64_t c, float *to, int64_t step) {
    vf first[6], second[6];
    UNROLL for (int j = 0; j < 6; j++) {
        vf x1 = vload(at[6 + j] + c), x2 = vload(at[12 + j] + c), x3 = vload(at[18 + j] + c);
        first[j] = vload(at[24 + j] + c) + (A2 * B2 * vload(at[j] + c) - (A2 + B2) * x2);
        second[j] = vload(at[30 + j] + c) + (A2 * B2 * x1 - (A2 + B2) * x3);
    }
    ISA(input_row)(first, to, step);
    ISA(input_row)(second, to + 30 * step, step);
}

CNN_INLINE void ISA(input_vector)(const float *const *at, int64_t c, float *to, int64_t step) {
    ISA(input_half)(false, MANY_REGISTERS, at, c, to, step);
    ISA(input_half)(true, MANY_REGISTERS, at, c, to, step);
    if (!MANY_REGISTERS) ISA(input_ends)(at, c, to, step);
}

/* The processor does not see what comes: a row of tiles is six short streams, and from so many channels on a vector's
 * pixels are far apart. Fetched are the new pixels of the tile after the next, or with few channels those of the tile
 * below. */
#undef FAR_CHANNELS
#define FAR_CHANNELS 48

static void ISA(input)(const struct winograd_tiles *t, int64_t first, int64_t count, int64_t step, float *v) {
    const struct conv_view *view = t->view;
    const float *at[36];
    struct ISA(place) place = ISA(place)(t, first);
    int64_t vectors = cnn_ceil_div(view->c, VLEN);
    int64_t ahead = view->c >= FAR_CHANNELS ? 8 * view->pixel : 4 * view->w * view->pixel;
    for (int64_t i = 0; i < count; i++, ISA(next)(t, &place)) {
        ISA(patch)(t, 6, place.image, view->start_h + 4 * place.row, view->start_w + 4 * place.column, at);
        float *tile = v + (i / WINOGRAD_GROUP * vectors * WINOGRAD_GROUP + i % WINOGRAD_GROUP) * VLEN;
        for (int64_t c = 0; c < view->c; c += VLEN) {
            UNROLL for (int row = 2; row < 6; row++)
                for (int j = 1; j < 5; j++) __builtin_prefetch(at[row * 6 + j] + c + ahead);
            ISA(input_vector)(at, c, tile + c * WINOGRAD_GROUP, step);
        }
    }
}

static void ISA(input_columns)(const struct winograd_tiles *t, int64_t first, int64_t count, int64_t at_place,
                               int64_t places, int64_t step, float *v) {
    const struct conv_view *view = t->view;
    const float *at[36];
    struct ISA(place) place = ISA(place)(t, first);
    for (int64_t i = 0; i < count; i++, ISA(next)(t, &place)) {
        ISA(patch)(t, 6, place.image, view->start_h + 4 * place.row, view->start_w + 4 * place.column, at);
        for (int64_t c = 0; c < view->c; c += VLEN) {
            int64_t width, begin = cnn_winograd_band(WINOGRAD_BAND, VLEN, c, view->c, places, &width);
            ISA(input_vector)(at, c, v + begin + (at_place + i) * width, step);
        }
    }
}

/* ---- A dy A' ---- */

CNN_INLINE void ISA(gradient_row)(const vf y[4], float *to, int64_t step) {
    vf even_a = y[0] + A2 * y[2], odd_a = A1 * y[1] + A3 * y[3];
    vf even_b = y[0] + B2 * y[2], odd_b = B1 * y[1] + B3 * y[3];
    vstore(to, y[0]);
    vstore(to + step, even_a + odd_a);
    vstore(to + 2 * step, even_a - odd_a);
    vstore(to + 3 * step, even_b + odd_b);
    vstore(to + 4 * step, even_b - odd_b);
    vstore(to + 5 * step, y[3]);
}

CNN_INLINE void ISA(gradient_vector)(const float *const *at, int64_t k, float *to, int64_t step, float *sums) {
    vf first[4], second[4], sum = vset(0);
    int64_t row = 6 * step;
    UNROLL for (int j = 0; j < 4; j++) {
        vf y0 = vload(at[j] + k), y1 = vload(at[4 + j] + k), y2 = vload(at[8 + j] + k), y3 = vload(at[12 + j] + k);
        vf even = y0 + A2 * y2, odd = A1 * y1 + A3 * y3;
        first[j] = even + odd;
        second[j] = even - odd;
        sum += (y0 + y1) + (y2 + y3);
    }
    ISA(gradient_row)(first, to + row, step);
    ISA(gradient_row)(second, to + 2 * row, step);
    if (sums) vstore(sums, vload(sums) + sum);
    UNROLL for (int j = 0; j < 4; j++) {
        vf y0 = vload(at[j] + k), y1 = vload(at[4 + j] + k), y2 = vload(at[8 + j] + k), y3 = vload(at[12 + j] + k);
        vf even = y0 + B2 * y2, odd = B1 * y1 + B3 * y3;
        first[j] = even + odd;
        second[j] = even - odd;
    }
    ISA(gradient_row)(first, to + 3 * row, step);
    ISA(gradient_row)(second, to + 4 * row, step);
    UNROLL for (int j = 0; j < 4; j++) {
        first[j] = vload(at[j] + k);
        second[j] = vload(at[12 + j] + k);
    }
    ISA(gradient_row)(first, to, step);
    ISA(gradient_row)(second, to + 5 * row, step);
}

static void ISA(gradient)(const struct winograd_tiles *t, int64_t first, int64_t count, int64_t at_place,
                          int64_t places, int64_t step, float *w, float *sums) {
    const struct conv_view *view = t->view;
    const float *at[16];
    struct ISA(place) place = ISA(place)(t, first);
    for (int64_t i = 0; i < count; i++, ISA(next)(t, &place)) {
        ISA(patch)(t, 4, place.image, 4 * place.row, 4 * place.column, at);
        for (int64_t k = 0; k < view->c; k += 2 * VLEN) {
            int64_t width = cnn_winograd_width(2 * VLEN, view->c, k);
            float *to = w + k * places + (at_place + i) * width;
            ISA(gradient_vector)(at, k, to, step, sums ? sums + k : NULL);
            if (width == 2 * VLEN && view->c - k > VLEN)
                ISA(gradient_vector)(at, k + VLEN, to + VLEN, step, sums ? sums + k + VLEN : NULL);
        }
    }
}

/* ---- G g G' ---- */

CNN_INLINE void ISA(spread)(vf g0, vf g1, vf g2, vf out[6]) {
    vf even_a = N1 * g0 + N1 * A2 * g2, odd_a = N1 * A1 * g1;
    vf even_b = N2 * g0 + N2 * B2 * g2, odd_b = N2 * B1 * g1;
    out[0] = N0 * g0;
    out[1] = even_a + odd_a;
    out[2] = even_a - odd_a;
    out[3] = even_b + odd_b;
    out[4] = even_b - odd_b;
    out[5] = g2;
}

/* A vector of nine taps, `width` floats apart from one to the next, to U's 36 frequencies. */
CNN_INLINE void ISA(weights_vector)(const float *taps, int64_t width, float *u, int64_t step) {
    vf held[3][6], row[6];
    UNROLL for (int j = 0; j < 3; j++)
        ISA(spread)(vload(taps + j * width), vload(taps + (3 + j) * width), vload(taps + (6 + j) * width), held[j]);
    UNROLL for (int i = 0; i < 6; i++) {
        ISA(spread)(held[0][i], held[1][i], held[2][i], row);
        UNROLL for (int j = 0; j < 6; j++) vstore(u + (i * 6 + j) * step, row[j]);
    }
}

#define TAPS_AT_ONCE 16 /* channels whose taps are turned into vectors over columns at once: they stay in L1 */

static void ISA(weights)(const float *weight, int64_t channels, int64_t columns, int64_t channel_step,
                         int64_t column_step, bool flipped, float *u) {
    float taps[TAPS_AT_ONCE * 9 * 2 * VLEN] __attribute__((aligned(64)));
    int64_t width = cnn_winograd_width(2 * VLEN, columns, 0), step = cnn_winograd_step(channels, width);
    int64_t first = flipped ? 8 * width : 0, next = flipped ? -width : width;
    if (columns < width) memset(taps, 0, sizeof taps);
    for (int64_t c = 0; c < channels; c += TAPS_AT_ONCE) {
        int64_t count = CNN_MIN(TAPS_AT_ONCE, channels - c);
        winograd_taps(weight + c * channel_step, count, columns, channel_step, column_step, width, taps);
        for (int64_t i = 0; i < count; i++)
            for (int64_t at = 0; at < width; at += VLEN)
                ISA(weights_vector)(taps + i * 9 * width + first + at, next, u + (c + i) * width + at, step);
    }
}

/* ---- A' M A, and what becomes of the result ---- */

/* Rows 0 and 2 of the six values, or 1 and 3. Which products are rounded is not left to the compiler, whose choice may
 * differ from one place to the next: with and without pooling results are to be the same bits. */
CNN_INLINE void ISA(gather_even)(const vf m[6], vf *y0, vf *y2) {
    vf a = m[1] + m[2], b = m[3] + m[4];
    *y0 = m[0] + (a + b);
    *y2 = vfma(vset(A2), a, vset(B2) * b);
}
CNN_INLINE void ISA(gather_odd)(const vf m[6], vf *y1, vf *y3) {
    vf a = m[1] - m[2], b = m[3] - m[4];
    *y1 = vfma(vset(A1), a, vset(B1) * b);
    *y3 = vfma(vset(A3), a, vfma(vset(B3), b, m[5]));
}

CNN_INLINE vf ISA(finished)(const cnn_finish *f, vf bias, vf value, vf add, vf gate) {
    const vf zero = vset(0), six = vset(6);
    value += bias;
    if (f->add) value += add;
    if (f->gate) {
        if (f->activation == CNN_RELU) return vselect(gate > zero, value, zero);
        if (f->activation == CNN_RELU6) return vselect((gate > zero) & (gate < six), value, zero);
        return value;
    }
    if (f->activation == CNN_RELU) return vselect(value < zero, zero, value);
    if (f->activation == CNN_RELU6) return vselect(value < zero, zero, vselect(value > six, six, value));
    return value;
}

/* Where a tile's results go. */
struct ISA(target) {
    float *out;
    int64_t first, row, pixel; /* floats to its first result, from row to row, from pixel to pixel */
    int64_t rows, columns;     /* of the tile that are inside the image */
    const cnn_finish *finish;
};

CNN_INLINE void ISA(output_row)(const struct ISA(target) *to, const bool whole, int64_t lanes, int i, vf bias,
                                const vf m[6]) {
    vf y[4];
    ISA(gather_even)(m, &y[0], &y[2]);
    ISA(gather_odd)(m, &y[1], &y[3]);
    if (!whole && i >= to->rows) return;
    int64_t at = to->first + i * to->row;
    const cnn_finish *f = to->finish;
    UNROLL for (int j = 0; j < 4; j++, at += to->pixel) {
        if (!whole && j >= to->columns) break;
        vf add = vset(0), gate = vset(0);
        if (whole || lanes == VLEN) {
            __builtin_prefetch(to->out + at + 4 * to->pixel, 1);
            if (f->add) add = vload(f->add + at);
            if (f->gate) gate = vload(f->gate + at);
            vstore(to->out + at, ISA(finished)(f, bias, y[j], add, gate));
        } else {
            if (f->add) add = vload_part(f->add + at, lanes);
            if (f->gate) gate = vload_part(f->gate + at, lanes);
            vstore_part(to->out + at, ISA(finished)(f, bias, y[j], add, gate), lanes);
        }
    }
}

/* Rows `parity` and `parity` + 2 of a tile. */
CNN_INLINE void ISA(output_rows)(const struct ISA(target) *to, const bool whole, int64_t lanes, const int parity,
                                 vf bias, const float *m) {
    vf first[6], second[6];
    UNROLL for (int j = 0; j < 6; j++) {
        vf column[6];
        UNROLL for (int i = 0; i < 6; i++) column[i] = vload(m + (i * 6 + j) * VLEN);
        if (parity) ISA(gather_odd)(column, &first[j], &second[j]);
        else ISA(gather_even)(column, &first[j], &second[j]);
    }
    ISA(output_row)(to, whole, lanes, parity, bias, first);
    ISA(output_row)(to, whole, lanes, parity + 2, bias, second);
}

CNN_INLINE void ISA(output_vector)(const struct ISA(target) *to, const bool whole, int64_t lanes, vf bias,
                                   const float *m) {
    ISA(output_rows)(to, whole, lanes, 0, bias, m);
    ISA(output_rows)(to, whole, lanes, 1, bias, m);
}

/* ---- … and of every 2 x 2 results the largest ---- */

/* Rows `parity` and `parity` + 2 of a tile. */
CNN_INLINE void ISA(results)(const int parity, vf bias, const float *m, vf y[2][4]) {
    vf first[6], second[6];
    UNROLL for (int j = 0; j < 6; j++) {
        vf column[6];
        UNROLL for (int i = 0; i < 6; i++) column[i] = vload(m + (i * 6 + j) * VLEN);
        if (parity) ISA(gather_odd)(column, &first[j], &second[j]);
        else ISA(gather_even)(column, &first[j], &second[j]);
    }
    ISA(gather_even)(first, &y[0][0], &y[0][2]);
    ISA(gather_odd)(first, &y[0][1], &y[0][3]);
    ISA(gather_even)(second, &y[1][0], &y[1][2]);
    ISA(gather_odd)(second, &y[1][1], &y[1][3]);
    UNROLL for (int j = 0; j < 8; j++) y[j / 4][j % 4] += bias;
}

/* A target's rows and columns are those of the four largest. */
CNN_INLINE void ISA(pooled_vector)(const struct ISA(target) *to, const bool kept, int64_t lanes, vf bias,
                                   const float *m) {
    const vf lowest = vset(to->finish->activation == CNN_IDENTITY ? -INFINITY : 0);
    const vf limit = vset(to->finish->activation == CNN_RELU6 ? 6 : INFINITY);
    vf upper[2][4], lower[2][4];
    ISA(results)(0, bias, m, upper);
    ISA(results)(1, bias, m, lower);
    UNROLL for (int i = 0; i < 2; i++) {
        UNROLL for (int j = 0; j < 2; j++) {
            vf best = upper[i][2 * j];
            vi place = {0};
            ISA(max_tap)(kept, upper[i][2 * j + 1], 1, &best, &place);
            ISA(max_tap)(kept, lower[i][2 * j], 2, &best, &place);
            ISA(max_tap)(kept, lower[i][2 * j + 1], 3, &best, &place);
            if (i >= to->rows || j >= to->columns) continue;
            int64_t at = to->first + i * to->row + j * to->pixel;
            best = vmin(limit, vmax(lowest, best));
            if (lanes == VLEN) vstore(to->out + at, best);
            else vstore_part(to->out + at, best, lanes);
            if (kept) ISA(max_store_taps)(to->finish->taps + at, place, lanes);
        }
    }
}

static void ISA(output_pooled)(const struct winograd_tiles *t, int64_t first, int64_t count, int64_t column,
                               int64_t columns, const float *m, const cnn_finish *finish, const vf bias[2],
                               float *out) {
    const struct conv_view *v = t->view;
    const int64_t rows = v->rows / 2, across = v->columns / 2, k = v->out_pixel;
    int64_t vectors = cnn_winograd_width(2 * VLEN, columns, 0) / VLEN;
    struct ISA(place) place = ISA(place)(t, first);
    for (int64_t i = 0; i < count; i++, ISA(next)(t, &place), m += vectors * WINOGRAD_SLOTS * VLEN) {
        int64_t row = 2 * place.row, left = 2 * place.column;
        struct ISA(target) to = {
            .out = out, .row = across * k, .pixel = k, .finish = finish, .rows = rows - row, .columns = across - left,
            .first = ((place.image * rows + row) * across + left) * k + column};
        for (int64_t at = 0; at < columns; at += VLEN, to.first += VLEN) {
            const float *from = m + at * WINOGRAD_SLOTS;
            int64_t lanes = CNN_MIN(columns - at, VLEN);
            if (finish->taps) ISA(pooled_vector)(&to, true, lanes, bias[at / VLEN], from);
            else ISA(pooled_vector)(&to, false, lanes, bias[at / VLEN], from);
        }
    }
}

static void ISA(output)(const struct winograd_tiles *t, int64_t first, int64_t count, int64_t column, int64_t columns,
                        const float *m, const cnn_finish *finish, float *out) {
    const struct conv_view *v = t->view;
    struct ISA(place) place = ISA(place)(t, first);
    int64_t vectors = cnn_winograd_width(2 * VLEN, columns, 0) / VLEN;
    vf bias[2] = {vset(0), vset(0)};
    if (finish->bias) {
        bias[0] = vload_part(finish->bias + column, CNN_MIN(columns, VLEN));
        if (columns > VLEN) bias[1] = vload_part(finish->bias + column + VLEN, columns - VLEN);
    }
    if (finish->pooled) {
        ISA(output_pooled)(t, first, count, column, columns, m, finish, bias, out);
        return;
    }
    for (int64_t i = 0; i < count; i++, ISA(next)(t, &place), m += vectors * WINOGRAD_SLOTS * VLEN) {
        struct ISA(target) to = {
            .out = out, .row = v->out_row * v->out_pixel, .pixel = v->out_step * v->out_pixel, .finish = finish,
            .first = cnn_view_offset(v, place.image, 4 * place.row, 4 * place.column) + column,
            .rows = v->rows - 4 * place.row, .columns = v->columns - 4 * place.column};
        for (int64_t at = 0; at < columns; at += VLEN, to.first += VLEN) {
            const float *from = m + at * WINOGRAD_SLOTS;
            if (to.rows >= 4 && to.columns >= 4 && columns - at >= VLEN)
                ISA(output_vector)(&to, true, VLEN, bias[at / VLEN], from);
            else
                ISA(output_vector)(&to, false, CNN_MIN(columns - at, VLEN), bias[at / VLEN], from);
        }
    }
}

/* ---- G' dU G ---- */

CNN_INLINE void ISA(collect)(const vf m[6], vf g[3]) {
    vf sum_a = m[1] + m[2], sum_b = m[3] + m[4], difference_a = m[1] - m[2], difference_b = m[3] - m[4];
    g[0] = N0 * m[0] + (N1 * sum_a + N2 * sum_b);
    g[1] = N1 * A1 * difference_a + N2 * B1 * difference_b;
    g[2] = N1 * A2 * sum_a + (N2 * B2 * sum_b + m[5]);
}

static void ISA(inverse)(const float *du, int64_t channels, int64_t columns, bool accumulate, float *gradients) {
    int64_t width = cnn_winograd_width(2 * VLEN, columns, 0);
    for (int64_t c = 0; c < channels; c++, gradients += 9 * width) {
        for (int64_t at = 0; at < width; at += VLEN, du += WINOGRAD_SLOTS * VLEN) {
            vf held[6][3], row[6], g[3];
            UNROLL for (int j = 0; j < 6; j++) {
                UNROLL for (int i = 0; i < 6; i++) row[i] = vload(du + (i * 6 + j) * VLEN);
                ISA(collect)(row, held[j]);
            }
            UNROLL for (int i = 0; i < 3; i++) {
                UNROLL for (int j = 0; j < 6; j++) row[j] = held[j][i];
                ISA(collect)(row, g);
                UNROLL for (int j = 0; j < 3; j++) {
                    float *to = gradients + (i * 3 + j) * width + at;
                    vstore(to, accumulate ? vload(to) + g[j] : g[j]);
                }
            }
        }
    }
}

static const struct winograd_transforms ISA(winograd_transforms) = {
    .input = ISA(input), .weights = ISA(weights), .output = ISA(output), .input_columns = ISA(input_columns),
    .gradient = ISA(gradient), .inverse = ISA(inverse)};
