/* The products of the Winograd convolutions: register tiles over V, U and W, compiled per instruction set by
 * foreach_isa.h on behalf of winograd_products.c. The transforms are winograd_transform_tmpl.c and
 * winograd_inverse_tmpl.c; winograd.h says what each
 * function computes.
 *
 * Every element of M is summed in the order of the channels, one multiply-add at a time, whatever tile it falls into:
 * an image gives the same bits alone and in a batch. */

#undef UNROLL
#define UNROLL CNN_UNROLL(12)

/* What V, U and W consist of: floats, or where CNN_STORED_BF16 is defined pairs of bfloat16, which are as large. */
#ifdef CNN_STORED_BF16
#include "bf16.h"
#define UNIT vi
#define unit_load(p) ((vi)vload(p))
#define unit_set(p) ISA(half_pair_set)(p)
#define ADD_PRODUCT(sum, a, b) ((sum) = ISA(half_dot)(sum, a, b))
#else
#define UNIT vf
#define unit_load(p) vload(p)
#define unit_set(p) vset(*(p))
#define ADD_PRODUCT(sum, a, b) ((sum) += (a) * (b))
#endif

/* How many tiles of a last group are taken by thirds of the register tile, which with 12 rows keep the multipliers as
 * busy as the whole does; or by a half. */
#undef WINOGRAD_TAIL
#define WINOGRAD_TAIL (WINOGRAD_GROUP == 12 ? 8 : WINOGRAD_GROUP / 2)

/* ---- M = V U ---- */

/* `rows` tiles of a group; a is their V at one frequency, b the panel of U there, next the V that comes after it: it
 * may lie in a far cache and is fetched meanwhile. */
CNN_INLINE void ISA(tile)(const int rows, const int vectors, int64_t depth, const float *a, const float *next,
                          const float *b, float *m) {
    vf acc[12][2];
    UNROLL for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = vset(0);
    for (; depth > 0; depth -= VLEN, a += (WINOGRAD_GROUP - 1) * VLEN, next -= (VLEN - WINOGRAD_GROUP) * VLEN) {
        for (int64_t d = CNN_MIN(depth, VLEN); d > 0; d--, a++, next += VLEN, b += vectors * VLEN) {
            __builtin_prefetch(next);
            UNIT b0 = unit_load(b), b1 = vectors == 2 ? unit_load(b + VLEN) : b0;
            UNROLL for (int r = 0; r < rows; r++) {
                UNIT value = unit_set(a + r * VLEN);
                ADD_PRODUCT(acc[r][0], value, b0);
                if (vectors == 2) ADD_PRODUCT(acc[r][1], value, b1);
            }
        }
    }
    UNROLL for (int r = 0; r < rows; r++) for (int i = 0; i < vectors; i++)
        vstore(m + (r * vectors + i) * WINOGRAD_SLOTS * VLEN, acc[r][i]);
}

CNN_INLINE void ISA(product_panel)(const int vectors, const struct winograd_product *p) {
    const float *v = p->v, *u = p->u;
    float *m = p->m;
    const int64_t step = p->step, tiles = p->tiles, depth = p->depth;
    struct winograd_fetch *fetch = p->fetch;
    int64_t group = cnn_round_up(depth, VLEN) * WINOGRAD_GROUP;
    int64_t u_step = cnn_winograd_step(depth, vectors * VLEN);
    const int64_t row = vectors * WINOGRAD_SLOTS * VLEN;
    for (int64_t f = 0; f < 36; f++, v += step, u += u_step, m += VLEN) {
        const float *a = v;
        float *to = m;
        int64_t left = tiles;
        for (; left > WINOGRAD_TAIL; left -= WINOGRAD_GROUP, a += group, to += WINOGRAD_GROUP * row) {
            const float *next = left > WINOGRAD_GROUP ? a + group : v + step;
            cnn_winograd_fetch_some(fetch);
            ISA(tile)(WINOGRAD_GROUP, vectors, depth, a, next, u, to);
        }
        if (left > WINOGRAD_GROUP / 3 && left <= WINOGRAD_GROUP / 2)
            ISA(tile)(WINOGRAD_GROUP / 2, vectors, depth, a, v + step, u, to);
        else
            for (; left > 0; left -= WINOGRAD_GROUP / 3, a += WINOGRAD_GROUP / 3 * VLEN, to += WINOGRAD_GROUP / 3 * row)
                ISA(tile)(WINOGRAD_GROUP / 3, vectors, depth, a, v + step, u, to);
    }
}

static void ISA(forward)(const struct winograd_product *p) {
    if (p->columns > VLEN) ISA(product_panel)(2, p);
    else ISA(product_panel)(1, p);
}

/* ---- dU = V' W ---- */

/* `rows` channels of a band that is `width` wide; a is its V at one frequency, b the panel of W there. What is read
 * next lies a_ahead and b_ahead floats on, perhaps in a far cache, and is fetched meanwhile. */
CNN_INLINE void ISA(outer_tile)(const int rows, const int vectors, int64_t places, const float *a, const int64_t width,
                                int64_t a_ahead, const float *b, int64_t b_ahead, bool accumulate, float *du) {
    vf acc[12][2];
    UNROLL for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = vset(0);
    for (; places > 0; places--, a += width, b += vectors * VLEN) {
        __builtin_prefetch(a + a_ahead);
        __builtin_prefetch(b + b_ahead);
        UNIT b0 = unit_load(b), b1 = vectors == 2 ? unit_load(b + VLEN) : b0;
        UNROLL for (int r = 0; r < rows; r++) {
            UNIT value = unit_set(a + r);
            ADD_PRODUCT(acc[r][0], value, b0);
            if (vectors == 2) ADD_PRODUCT(acc[r][1], value, b1);
        }
    }
    UNROLL for (int r = 0; r < rows; r++) {
        for (int i = 0; i < vectors; i++) {
            float *to = du + (r * vectors + i) * WINOGRAD_SLOTS * VLEN;
            vstore(to, accumulate ? vload(to) + acc[r][i] : acc[r][i]);
        }
    }
}

/* The channels of one band from `a` on; each tile fetches another of a panel's two vectors. */
CNN_INLINE void ISA(outer_band)(const int vectors, int64_t places, int64_t count, const float *a, int64_t width,
                                int64_t a_ahead, const float *b, int64_t b_ahead, bool accumulate, float *du) {
    const int64_t next = vectors * WINOGRAD_SLOTS * VLEN;
    const int64_t other = 2 * b_ahead + (vectors - 1) * VLEN;
#define TILES(rows)                                                                               \
    for (; count >= rows; count -= rows, a += rows, du += rows * next, b_ahead = other - b_ahead) \
    ISA(outer_tile)(rows, vectors, places, a, width, a_ahead, b, b_ahead, accumulate, du)
    TILES(WINOGRAD_OUTER_TILE);
    TILES(4);
    TILES(1);
#undef TILES
}

CNN_INLINE void ISA(outer_panel)(const int vectors, const struct winograd_outer *o) {
    const float *v = o->v, *w = o->w;
    float *du = o->du;
    const int64_t v_step = o->v_step, w_step = o->w_step, places = o->places;
    const int64_t channels = o->channels, first = o->first, count = o->count;
    const bool accumulate = o->accumulate;
    struct winograd_fetch *fetch = o->fetch;
    int64_t width, start = cnn_winograd_band(WINOGRAD_BAND, VLEN, first, channels, places, &width);
    for (int64_t f = 0; f < 36; f++, v += v_step, w += w_step, du += VLEN) {
        float *to = du;
        for (int64_t c = 0; c < count; c += WINOGRAD_BAND, to += WINOGRAD_BAND * vectors * WINOGRAD_SLOTS * VLEN) {
            int64_t real = CNN_MIN(WINOGRAD_BAND, count - c);
            cnn_winograd_fetch_some(fetch);
            int64_t begin = cnn_winograd_band(WINOGRAD_BAND, VLEN, first + c, channels, places, &width);
            int64_t ahead = c + WINOGRAD_BAND < count ? WINOGRAD_BAND * places : v_step + start - begin;
            if (width == WINOGRAD_BAND)
                ISA(outer_band)(vectors, places, real, v + begin, WINOGRAD_BAND, ahead, w, w_step, accumulate, to);
            else ISA(outer_band)(vectors, places, real, v + begin, width, ahead, w, w_step, accumulate, to);
        }
    }
}

static void ISA(outer)(const struct winograd_outer *o) {
    if (o->columns > VLEN) ISA(outer_panel)(2, o);
    else ISA(outer_panel)(1, o);
}

static const struct winograd_products ISA(winograd_products) = {VLEN,          2 * VLEN,     WINOGRAD_GROUP,
                                                                WINOGRAD_BAND, ISA(forward), ISA(outer)};
