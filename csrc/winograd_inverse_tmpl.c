/* The transforms behind the Winograd convolutions' products, a vector of channels at a time: M to results, dU to
 * gradients. Compiled per instruction set by foreach_isa.h on behalf of winograd_inverse.c; winograd.h says what the
 * letters mean and how they lie in memory, winograd_tile.h the matrices. */

#include "pool_tap.h"
#include "winograd_tile.h"

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

/* Where a tile's results go. */
struct ISA(target) {
    stored *out;
    int64_t first, row, pixel; /* numbers to its first result, from row to row, from pixel to pixel */
    int64_t rows, columns;     /* of the tile that are inside the image */
    const cnn_bf16_finish *finish;
};

CNN_INLINE void ISA(output_row)(const struct ISA(target) *to, const bool whole, int64_t lanes, int i, vf bias,
                                const vf m[6]) {
    vf y[4];
    ISA(gather_even)(m, &y[0], &y[2]);
    ISA(gather_odd)(m, &y[1], &y[3]);
    if (!whole && i >= to->rows) return;
    int64_t at = to->first + i * to->row;
    const cnn_bf16_finish *f = to->finish;
    UNROLL for (int j = 0; j < 4; j++, at += to->pixel) {
        if (!whole && j >= to->columns) break;
        vf add = vset(0), gate = vset(0);
        if (whole || lanes == VLEN) {
            __builtin_prefetch(to->out + at + 4 * to->pixel, 1);
            if (f->add) add = stored_load(STORED(f->add) + at);
            if (f->gate) gate = stored_load(STORED(f->gate) + at);
            stored_store(to->out + at, ISA(finished)(f, bias, y[j], add, gate));
        } else {
            if (f->add) add = stored_load_part(STORED(f->add) + at, lanes);
            if (f->gate) gate = stored_load_part(STORED(f->gate) + at, lanes);
            stored_store_part(to->out + at, ISA(finished)(f, bias, y[j], add, gate), lanes);
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
            if (lanes == VLEN) stored_store(to->out + at, best);
            else stored_store_part(to->out + at, best, lanes);
            if (kept) ISA(max_store_taps)(to->finish->taps + at, place, lanes);
        }
    }
}

static void ISA(output_pooled)(const struct winograd_tiles *t, int64_t first, int64_t count, int64_t column,
                               int64_t columns, const float *m, const cnn_bf16_finish *finish, const vf bias[2],
                               stored *out) {
    const struct conv_view *v = t->view;
    const int64_t rows = v->rows / 2, across = v->columns / 2, k = v->out_pixel;
    int64_t vectors = cnn_winograd_width(2 * VLEN, columns, 0) / VLEN;
    struct ISA(place) place = ISA(place)(t, first);
    for (int64_t i = 0; i < count; i++, ISA(next)(t, &place), m += vectors * WINOGRAD_SLOTS * VLEN) {
        int64_t row = 2 * place.row, left = 2 * place.column;
        struct ISA(target) to = {.out = out,
                                 .row = across * k,
                                 .pixel = k,
                                 .finish = finish,
                                 .rows = rows - row,
                                 .columns = across - left,
                                 .first = ((place.image * rows + row) * across + left) * k + column};
        for (int64_t at = 0; at < columns; at += VLEN, to.first += VLEN) {
            const float *from = m + at * WINOGRAD_SLOTS;
            int64_t lanes = CNN_MIN(columns - at, VLEN);
            if (finish->taps) ISA(pooled_vector)(&to, true, lanes, bias[at / VLEN], from);
            else ISA(pooled_vector)(&to, false, lanes, bias[at / VLEN], from);
        }
    }
}

/* Its arguments are in registers: read from a struct they leave too few for a tile, and values go over the stack. */
static void ISA(output)(const struct winograd_tiles *t, int64_t first, int64_t count, int64_t column, int64_t columns,
                        const float *m, const cnn_bf16_finish *finish, void *out) {
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
        struct ISA(target) to = {.out = out,
                                 .row = v->out_row * v->out_pixel,
                                 .pixel = v->out_step * v->out_pixel,
                                 .finish = finish,
                                 .first = cnn_view_offset(v, place.image, 4 * place.row, 4 * place.column) + column,
                                 .rows = v->rows - 4 * place.row,
                                 .columns = v->columns - 4 * place.column};
        for (int64_t at = 0; at < columns; at += VLEN, to.first += VLEN) {
            const float *from = m + at * WINOGRAD_SLOTS;
            if (to.rows >= 4 && to.columns >= 4 && columns - at >= VLEN)
                ISA(output_vector)(&to, true, VLEN, bias[at / VLEN], from);
            else ISA(output_vector)(&to, false, CNN_MIN(columns - at, VLEN), bias[at / VLEN], from);
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

static const struct winograd_inverses ISA(winograd_inverses) = {.output = ISA(output), .gradients = ISA(inverse)};
