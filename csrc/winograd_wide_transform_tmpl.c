/* The transforms of F(7 x 7, 3 x 3), a vector of channels at a time: pixels to V, weights to H, M to results. Compiled
 * per instruction set by foreach_isa.h on behalf of winograd_wide.c; winograd_wide.h says what the letters mean and how
 * they lie in memory, winograd_wide_tile.h the matrices. */

#include "winograd_tile.h"
#include "winograd_wide_tile.h"

/* ---- B' d B ---- */

/* Columns first. What they become is more than there are registers and goes through memory. */
CNN_INLINE void ISA(wide_input_vector)(const float *const *at, int64_t c, float *to, int64_t step) {
    float held[WIDE_FREQUENCIES * VLEN] __attribute__((aligned(64)));
    vf x[9], row[9];
    for (int j = 0; j < 9; j++) {
        UNROLL for (int i = 0; i < 9; i++) x[i] = vload(at[i * 9 + j] + c);
        ISA(wide_input)(x, row);
        UNROLL for (int i = 0; i < 9; i++) vstore(held + (i * 9 + j) * VLEN, row[i]);
    }
    for (int i = 0; i < 9; i++, to += 9 * step) {
        UNROLL for (int j = 0; j < 9; j++) x[j] = vload(held + (i * 9 + j) * VLEN);
        ISA(wide_input)(x, row);
        UNROLL for (int j = 0; j < 9; j++) vstore(to + j * step, row[j]);
    }
}

static void ISA(wide_transform)(const struct winograd_tiles *t, int64_t first, int64_t count, int64_t step, float *v) {
    const struct conv_view *view = t->view;
    const float *at[WIDE_FREQUENCIES];
    struct ISA(place) place = ISA(place)(t, first);
    int64_t vectors = cnn_ceil_div(view->c, VLEN);
    for (int64_t i = 0; i < count; i++, ISA(next)(t, &place)) {
        ISA(patch)(t, WIDE_PATCH, place.image, view->start_h + WIDE_TILE * place.row,
                   view->start_w + WIDE_TILE * place.column, at);
        float *tile = v + (i / WINOGRAD_GROUP * vectors * WINOGRAD_GROUP + i % WINOGRAD_GROUP) * VLEN;
        for (int64_t c = 0; c < view->c; c += VLEN, tile += VLEN * WINOGRAD_GROUP) {
            for (int row = 1; row < 8; row++)
                UNROLL for (int j = 1; j < 8; j++) __builtin_prefetch(at[row * 9 + j] + c + WIDE_TILE * view->pixel);
            ISA(wide_input_vector)(at, c, tile, step);
        }
    }
}

/* ---- G g ---- */

#define TAPS_AT_ONCE 16 /* channels whose taps are turned into vectors over columns at once: they stay in L1 */

static void ISA(wide_pack)(const float *weight, int64_t channels, int64_t columns, float *h) {
    float taps[TAPS_AT_ONCE * 9 * 2 * VLEN] __attribute__((aligned(64)));
    const int64_t width = cnn_winograd_width(2 * VLEN, columns, 0);
    if (columns < width) memset(taps, 0, sizeof taps);
    for (int64_t c = 0; c < channels; c += TAPS_AT_ONCE) {
        int64_t count = CNN_MIN(TAPS_AT_ONCE, channels - c), block = c / WIDE_DEPTH * WIDE_DEPTH;
        int64_t depth = CNN_MIN(WIDE_DEPTH, channels - block);
        winograd_taps(weight + c * 9, count, columns, 9, channels * 9, width, taps);
        for (int64_t i = 0; i < count; i++) {
            for (int64_t at = 0; at < 3 * width; at += VLEN) {
                const float *from = taps + i * 9 * width + at;
                float *to = h + (block * 9 + c - block + i) * 3 * width + at;
                vf row[9];
                ISA(wide_weights)(vload(from), vload(from + 3 * width), vload(from + 6 * width), row);
                UNROLL for (int j = 0; j < 9; j++) vstore(to + j * depth * 3 * width, row[j]);
            }
        }
    }
}

/* ---- A' M A, and what becomes of the result ---- */

/* Where a tile's results go. */
struct ISA(wide_target) {
    float *out;
    int64_t first, row, pixel; /* floats to its first result, from row to row, from pixel to pixel */
    int64_t rows, columns;     /* of the tile that are inside the image */
    int64_t lanes;
    const cnn_bf16_finish *finish;
};

CNN_INLINE void ISA(wide_output_vector)(const struct ISA(wide_target) *to, const bool whole, vf bias, const float *m) {
    float held[WIDE_TILE * 9 * VLEN] __attribute__((aligned(64)));
    const cnn_bf16_finish *f = to->finish;
    vf row[9], y[7];
    for (int j = 0; j < 9; j++) {
        UNROLL for (int i = 0; i < 9; i++) row[i] = vload(m + (i * 9 + j) * VLEN);
        ISA(wide_output)(row, y);
        UNROLL for (int i = 0; i < 7; i++) vstore(held + (i * 9 + j) * VLEN, y[i]);
    }
    for (int i = 0; i < to->rows; i++) {
        int64_t at = to->first + i * to->row;
        UNROLL for (int j = 0; j < 9; j++) row[j] = vload(held + (i * 9 + j) * VLEN);
        ISA(wide_output)(row, y);
        UNROLL for (int j = 0; j < 7; j++, at += to->pixel) {
            if (!whole && j >= to->columns) break;
            vf add = vset(0), gate = vset(0);
            if (whole) {
                __builtin_prefetch(to->out + at + 7 * to->pixel, 1);
                if (f->add) add = vload((const float *)f->add + at);
                if (f->gate) gate = vload((const float *)f->gate + at);
                vstore(to->out + at, ISA(finished)(f, bias, y[j], add, gate));
            } else {
                if (f->add) add = vload_lanes((const float *)f->add + at, to->lanes);
                if (f->gate) gate = vload_lanes((const float *)f->gate + at, to->lanes);
                vstore_lanes(to->out + at, ISA(finished)(f, bias, y[j], add, gate), to->lanes);
            }
        }
    }
}

static void ISA(wide_results)(const struct winograd_tiles *t, int64_t first, int64_t count, int64_t column,
                              int64_t columns, const float *m, const cnn_bf16_finish *finish, float *out) {
    const struct conv_view *v = t->view;
    struct ISA(place) place = ISA(place)(t, first);
    int64_t vectors = cnn_winograd_width(2 * VLEN, columns, 0) / VLEN;
    vf bias[2] = {vset(0), vset(0)};
    if (finish->bias) {
        bias[0] = vload_lanes(finish->bias + column, columns < VLEN ? columns : 0);
        if (columns > VLEN) bias[1] = vload_lanes(finish->bias + column + VLEN, (columns - VLEN) % VLEN);
    }
    for (int64_t i = 0; i < count; i++, ISA(next)(t, &place), m += vectors * WIDE_FREQUENCIES * VLEN) {
        int64_t row = WIDE_TILE * place.row, left = WIDE_TILE * place.column;
        struct ISA(wide_target) to = {.out = out,
                                      .row = v->out_row * v->out_pixel,
                                      .pixel = v->out_step * v->out_pixel,
                                      .finish = finish,
                                      .first = cnn_view_offset(v, place.image, row, left) + column,
                                      .rows = CNN_MIN(v->rows - row, WIDE_TILE),
                                      .columns = v->columns - left};
        for (int64_t at = 0; at < columns; at += VLEN, to.first += VLEN) {
            const float *from = m + at * WIDE_FREQUENCIES;
            to.lanes = columns - at < VLEN ? columns - at : 0;
            if (to.columns >= WIDE_TILE && !to.lanes) ISA(wide_output_vector)(&to, true, bias[at / VLEN], from);
            else ISA(wide_output_vector)(&to, false, bias[at / VLEN], from);
        }
    }
}

static const struct winograd_wide_transforms ISA(winograd_wide_transforms) = {
    .input = ISA(wide_transform), .weights = ISA(wide_pack), .output = ISA(wide_results)};
