/* The transforms before the Winograd convolutions' products, a vector of channels at a time: pixels to V, dy to W,
 * weights to U. Compiled per instruction set by foreach_isa.h on behalf of winograd_transform.c; winograd.h says what
 * the letters mean and how they lie in memory, winograd_tile.h the matrices, and winograd_products_tmpl.c multiplies
 * what is made here. */

#include "winograd_tile.h"

#undef MANY_REGISTERS
#define MANY_REGISTERS (VLEN == 16 || !CNN_X86)

/* ---- which pixels a tile reads ---- */

/* The pixels of a tile that is not there. */
CNN_INLINE void ISA(no_patch)(const struct winograd_tiles *t, const int side, const stored **at) {
    for (int i = 0; i < side * side; i++) at[i] = t->zeros;
}

/* ---- where transformed data go ---- */

/* One of two is kept as floats in `held` until the other comes, where the two are stored as pairs. */
struct ISA(sink) {
    float *to; /* frequency 0; `step` floats on is the next */
    int64_t step;
    float *held; /* [frequency][lane] */
    int member;  /* ALONE, or of a pair FIRST or SECOND */
};
#define ALONE 0
#define FIRST 1
#define SECOND 2

/* With CNN_STORED_BF16 data are bfloat16. */
CNN_INLINE void ISA(put)(const struct ISA(sink) *s, const int f, vf a) {
#ifdef CNN_STORED_BF16
    if (s->member == FIRST) vstore(s->held + f * VLEN, a);
    else if (s->member == SECOND) vstore(s->to + f * s->step, (vf)ISA(half_pairs)(vload(s->held + f * VLEN), a));
    else ISA(half_store)((uint16_t *)(s->to + f * s->step), a);
#else
    vstore(s->to + f * s->step, a);
#endif
}

/* ---- B' d B ---- */

CNN_INLINE void ISA(input_row)(const vf x[6], const struct ISA(sink) *to, int f) {
    vf even_a = x[4] - B2 * x[2], odd_a = A1 * x[3] - A1 * B2 * x[1];
    vf even_b = x[4] - A2 * x[2], odd_b = B1 * x[3] - B1 * A2 * x[1];
    ISA(put)(to, f, x[4] + (A2 * B2 * x[0] - (A2 + B2) * x[2]));
    ISA(put)(to, f + 1, even_a + odd_a);
    ISA(put)(to, f + 2, even_a - odd_a);
    ISA(put)(to, f + 3, even_b + odd_b);
    ISA(put)(to, f + 4, even_b - odd_b);
    ISA(put)(to, f + 5, x[5] + (A2 * B2 * x[1] - (A2 + B2) * x[3]));
}

/* Rows 1, 2 and, with `ends`, 0; or rows 3, 4 and, with `ends`, 5 of the result. */
CNN_INLINE void ISA(input_half)(const bool high, const bool ends, const stored *const *at, int64_t c,
                                const struct ISA(sink) *to) {
    vf first[6], second[6], end[6];
    UNROLL for (int j = 0; j < 6; j++) {
        vf x1 = stored_load(at[6 + j] + c), x2 = stored_load(at[12 + j] + c), x3 = stored_load(at[18 + j] + c);
        vf x4 = stored_load(at[24 + j] + c);
        vf even = high ? x4 - A2 * x2 : x4 - B2 * x2;
        vf odd = high ? B1 * x3 - B1 * A2 * x1 : A1 * x3 - A1 * B2 * x1;
        first[j] = even + odd;
        second[j] = even - odd;
        if (!ends) continue;
        if (high) end[j] = stored_load(at[30 + j] + c) + (A2 * B2 * x1 - (A2 + B2) * x3);
        else end[j] = x4 + (A2 * B2 * stored_load(at[j] + c) - (A2 + B2) * x2);
    }
    if (ends && !high) ISA(input_row)(end, to, 0);
    ISA(input_row)(first, to, high ? 18 : 6);
    ISA(input_row)(second, to, high ? 24 : 12);
    if (ends && high) ISA(input_row)(end, to, 30);
}

/* Rows 0 and 5, where there are too few registers for three rows at once. */
CNN_INLINE void ISA(input_ends)(const stored *const *at, int64_t c, const struct ISA(sink) *to) {
    vf first[6], second[6];
    UNROLL for (int j = 0; j < 6; j++) {
        vf x1 = stored_load(at[6 + j] + c), x2 = stored_load(at[12 + j] + c), x3 = stored_load(at[18 + j] + c);
        first[j] = stored_load(at[24 + j] + c) + (A2 * B2 * stored_load(at[j] + c) - (A2 + B2) * x2);
        second[j] = stored_load(at[30 + j] + c) + (A2 * B2 * x1 - (A2 + B2) * x3);
    }
    ISA(input_row)(first, to, 0);
    ISA(input_row)(second, to, 30);
}

CNN_INLINE void ISA(input_vector)(const stored *const *at, int64_t c, const struct ISA(sink) *to) {
    ISA(input_half)(false, MANY_REGISTERS, at, c, to);
    ISA(input_half)(true, MANY_REGISTERS, at, c, to);
    if (!MANY_REGISTERS) ISA(input_ends)(at, c, to);
}

/* The processor does not see what comes: a row of tiles is six short streams, and from so many channels on a vector's
 * pixels are far apart. Fetched are the new pixels of the tile after the next, or with few channels those of the tile
 * below. */
#undef FAR_CHANNELS
#define FAR_CHANNELS 48

/* The number beside the last channel, where channels go in pairs. */
CNN_INLINE void ISA(end_pair)(float *tile, int64_t step, int64_t c) {
    uint16_t *number = (uint16_t *)(tile + c / (2 * VLEN) * VLEN * WINOGRAD_GROUP) + c % (2 * VLEN);
    for (int f = 0; f < WINOGRAD_FREQUENCIES; f++) memset(number + f * step * 2, 0, sizeof *number);
}

static void ISA(input)(const struct winograd_tiles *t, int64_t first, int64_t count, int64_t step, float *v) {
    const struct conv_view *view = t->view;
    const stored *at[36];
    struct ISA(place) place = ISA(place)(t, first);
    int64_t vectors = cnn_ceil_div(view->c, LANE_NUMBERS * VLEN);
    int64_t ahead = view->c >= FAR_CHANNELS ? 8 * view->pixel : 4 * view->w * view->pixel;
    for (int64_t i = 0; i < count; i++, ISA(next)(t, &place)) {
        ISA(patch)(t, 6, place.image, view->start_h + 4 * place.row, view->start_w + 4 * place.column, at);
        float *tile = v + (i / WINOGRAD_GROUP * vectors * WINOGRAD_GROUP + i % WINOGRAD_GROUP) * VLEN;
        for (int64_t c = 0; c < view->c; c += VLEN) {
            int64_t vector = c / (LANE_NUMBERS * VLEN) * VLEN * WINOGRAD_GROUP;
            UNROLL for (int row = 2; row < 6; row++) for (int j = 1; j < 5; j++)
                __builtin_prefetch(at[row * 6 + j] + c + ahead);
            struct ISA(sink) to = {tile + vector + c % (LANE_NUMBERS * VLEN) / LANE_NUMBERS, step, NULL, ALONE};
            ISA(input_vector)(at, c, &to);
        }
        if (view->c % LANE_NUMBERS) ISA(end_pair)(tile, step, view->c);
    }
}

/* Tiles whose pixels are looked up before those of the first are transformed, where they have few channels: a vector or
 * two leave too little time for the look-up beside them. With many channels pixels would leave L1 meanwhile. */
#undef TILES_AT_ONCE
#define TILES_AT_ONCE 8
#undef FEW_CHANNELS
#define FEW_CHANNELS 48

static void ISA(input_columns)(const struct winograd_tiles *t, struct winograd_places to, float *v) {
    const struct conv_view *view = t->view;
    const stored *at[TILES_AT_ONCE][36];
    float held[WINOGRAD_FREQUENCIES * VLEN] __attribute__((aligned(64)));
    const int64_t many = view->c < FEW_CHANNELS ? TILES_AT_ONCE : LANE_NUMBERS;
    struct ISA(place) place = ISA(place)(t, to.first);
    for (int64_t from = 0; from < to.count; from += many) {
        int64_t tiles = CNN_MIN(many, to.count - from);
        for (int64_t i = 0; i < tiles; i++, ISA(next)(t, &place))
            ISA(patch)(t, 6, place.image, view->start_h + 4 * place.row, view->start_w + 4 * place.column, at[i]);
        if (tiles % LANE_NUMBERS) ISA(no_patch)(t, 6, at[tiles]);
        for (int64_t c = 0; c < view->c; c += VLEN) {
            int64_t width, begin = cnn_winograd_band(WINOGRAD_BAND, VLEN, c, view->c, to.places, &width);
            float *vector = v + begin + (to.at + from / LANE_NUMBERS) * width;
            for (int64_t i = 0; i < tiles; i += LANE_NUMBERS, vector += width) {
                struct ISA(sink) first = {vector, to.step, held, LANE_NUMBERS == 1 ? ALONE : FIRST};
                ISA(input_vector)(at[i], c, &first);
                struct ISA(sink) second = {vector, to.step, held, SECOND};
                if (LANE_NUMBERS == 2) ISA(input_vector)(at[i + 1], c, &second);
            }
        }
    }
}

/* ---- A dy A' ---- */

CNN_INLINE void ISA(gradient_row)(const vf y[4], const struct ISA(sink) *to, int f) {
    vf even_a = y[0] + A2 * y[2], odd_a = A1 * y[1] + A3 * y[3];
    vf even_b = y[0] + B2 * y[2], odd_b = B1 * y[1] + B3 * y[3];
    ISA(put)(to, f, y[0]);
    ISA(put)(to, f + 1, even_a + odd_a);
    ISA(put)(to, f + 2, even_a - odd_a);
    ISA(put)(to, f + 3, even_b + odd_b);
    ISA(put)(to, f + 4, even_b - odd_b);
    ISA(put)(to, f + 5, y[3]);
}

CNN_INLINE void ISA(gradient_vector)(const stored *const *at, int64_t k, const struct ISA(sink) *to, float *sums) {
    vf first[4], second[4], sum = vset(0);
    UNROLL for (int j = 0; j < 4; j++) {
        vf y0 = stored_load(at[j] + k), y1 = stored_load(at[4 + j] + k), y2 = stored_load(at[8 + j] + k),
           y3 = stored_load(at[12 + j] + k);
        vf even = y0 + A2 * y2, odd = A1 * y1 + A3 * y3;
        first[j] = even + odd;
        second[j] = even - odd;
        sum += (y0 + y1) + (y2 + y3);
    }
    ISA(gradient_row)(first, to, 6);
    ISA(gradient_row)(second, to, 12);
    if (sums) vstore(sums, vload(sums) + sum);
    UNROLL for (int j = 0; j < 4; j++) {
        vf y0 = stored_load(at[j] + k), y1 = stored_load(at[4 + j] + k), y2 = stored_load(at[8 + j] + k),
           y3 = stored_load(at[12 + j] + k);
        vf even = y0 + B2 * y2, odd = B1 * y1 + B3 * y3;
        first[j] = even + odd;
        second[j] = even - odd;
    }
    ISA(gradient_row)(first, to, 18);
    ISA(gradient_row)(second, to, 24);
    UNROLL for (int j = 0; j < 4; j++) {
        first[j] = stored_load(at[j] + k);
        second[j] = stored_load(at[12 + j] + k);
    }
    ISA(gradient_row)(first, to, 0);
    ISA(gradient_row)(second, to, 30);
}

static void ISA(gradient)(const struct winograd_tiles *t, struct winograd_places p, float *w, float *sums) {
    const struct conv_view *view = t->view;
    const stored *at[TILES_AT_ONCE][16];
    float held[WINOGRAD_FREQUENCIES * VLEN] __attribute__((aligned(64)));
    const int64_t many = view->c < FEW_CHANNELS ? TILES_AT_ONCE : LANE_NUMBERS;
    struct ISA(place) place = ISA(place)(t, p.first);
    for (int64_t from = 0; from < p.count; from += many) {
        int64_t tiles = CNN_MIN(many, p.count - from);
        for (int64_t i = 0; i < tiles; i++, ISA(next)(t, &place))
            ISA(patch)(t, 4, place.image, 4 * place.row, 4 * place.column, at[i]);
        if (tiles % LANE_NUMBERS) ISA(no_patch)(t, 4, at[tiles]);
        for (int64_t k = 0; k < view->c; k += VLEN) {
            int64_t panel = k / (2 * VLEN) * (2 * VLEN), width = cnn_winograd_width(2 * VLEN, view->c, panel);
            float *vector = w + panel * p.places + (p.at + from / LANE_NUMBERS) * width + k - panel;
            for (int64_t i = 0; i < tiles; i += LANE_NUMBERS, vector += width) {
                struct ISA(sink) first = {vector, p.step, held, LANE_NUMBERS == 1 ? ALONE : FIRST};
                ISA(gradient_vector)(at[i], k, &first, sums ? sums + k : NULL);
                struct ISA(sink) second = {vector, p.step, held, SECOND};
                if (LANE_NUMBERS == 2) ISA(gradient_vector)(at[i + 1], k, &second, sums ? sums + k : NULL);
            }
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
CNN_INLINE void ISA(weights_vector)(const float *taps, int64_t width, const struct ISA(sink) *to) {
    vf held[3][6], row[6];
    UNROLL for (int j = 0; j < 3; j++)
        ISA(spread)(vload(taps + j * width), vload(taps + (3 + j) * width), vload(taps + (6 + j) * width), held[j]);
    UNROLL for (int i = 0; i < 6; i++) {
        ISA(spread)(held[0][i], held[1][i], held[2][i], row);
        UNROLL for (int j = 0; j < 6; j++) ISA(put)(to, i * 6 + j, row[j]);
    }
}

#define TAPS_AT_ONCE 16 /* channels whose taps are turned into vectors over columns at once: they stay in L1 */

static void ISA(weights)(const float *weight, int64_t channels, int64_t columns, int64_t channel_step,
                         int64_t column_step, bool flipped, float *u) {
    float taps[TAPS_AT_ONCE * 9 * 2 * VLEN] __attribute__((aligned(64)));
    float held[WINOGRAD_FREQUENCIES * VLEN] __attribute__((aligned(64)));
    int64_t width = cnn_winograd_width(2 * VLEN, columns, 0);
    int64_t step = cnn_winograd_step(cnn_ceil_div(channels, LANE_NUMBERS), width);
    int64_t first = flipped ? 8 * width : 0, next = flipped ? -width : width;
    if (columns < width) memset(taps, 0, sizeof taps);
    for (int64_t c = 0; c < channels; c += TAPS_AT_ONCE) {
        int64_t count = CNN_MIN(TAPS_AT_ONCE, channels - c);
        winograd_taps(weight + c * channel_step, count, columns, channel_step, column_step, width, taps);
        if (count % LANE_NUMBERS) memset(taps + count * 9 * width, 0, (size_t)(9 * width) * sizeof *taps);
        for (int64_t i = 0; i < count; i += LANE_NUMBERS) {
            for (int64_t at = 0; at < width; at += VLEN) {
                const float *from = taps + i * 9 * width + first + at;
                float *vector = u + (c + i) / LANE_NUMBERS * width + at;
                struct ISA(sink) one = {vector, step, held, LANE_NUMBERS == 1 ? ALONE : FIRST};
                ISA(weights_vector)(from, next, &one);
                struct ISA(sink) other = {vector, step, held, SECOND};
                if (LANE_NUMBERS == 2) ISA(weights_vector)(from + 9 * width, next, &other);
            }
        }
    }
}

static const struct winograd_transforms ISA(winograd_transforms) = {
    .input = ISA(input), .weights = ISA(weights), .input_columns = ISA(input_columns), .gradient = ISA(gradient)};
