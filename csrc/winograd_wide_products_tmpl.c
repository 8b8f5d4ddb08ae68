/* The products of F(7 x 7, 3 x 3), compiled per instruction set by foreach_isa.h on behalf of winograd_wide.c:
 * winograd_wide.h says how the data lie in memory. U is made of H just before it is read, for some channels and nine
 * frequencies at a time: so it is never written to memory, and a network's weights take less of it than as U.
 *
 * Every element of M is a sum of short sums, in the order of the channels, whatever tile it falls into and whoever adds:
 * an image gives the same bits alone and in a batch. */

#include "winograd_wide_tile.h"

/* As in winograd_products_tmpl.c: how many tiles of a last group are taken by thirds of the register tile, or a half. */
#undef WINOGRAD_TAIL
#define WINOGRAD_TAIL (WINOGRAD_GROUP == 12 ? 8 : WINOGRAD_GROUP / 2)

/* ---- H to U ---- */

/* Floats from a frequency of U to the next: constant, so that places of nine are offsets from one. */
#undef WIDE_STEP
#define WIDE_STEP(vectors) (WIDE_DEPTH * (vectors) * VLEN + 16)

CNN_INLINE void ISA(wide_expand)(const int vectors, int64_t depth, const float *h, float *u) {
    const int64_t u_step = WIDE_STEP(vectors);
    for (; depth > 0; depth--, h += 3 * vectors * VLEN, u += vectors * VLEN) {
        UNROLL for (int i = 0; i < vectors; i++) {
            vf row[9];
            const float *from = h + i * VLEN;
            ISA(wide_weights)(vload(from), vload(from + vectors * VLEN), vload(from + 2 * vectors * VLEN), row);
            UNROLL for (int j = 0; j < 9; j++) vstore(u + j * u_step + i * VLEN, row[j]);
        }
    }
}

/* ---- M = V U ---- */

/* `rows` tiles of a group; a is their V at one frequency, b the panel of U there, next the V that comes after it: it
 * may lie in a far cache and is fetched meanwhile. */
CNN_INLINE void ISA(wide_tile)(const int rows, const int vectors, int64_t depth, const float *a, const float *next,
                               const float *b, bool accumulate, float *m) {
    vf acc[12][2];
    CNN_UNROLL(12) for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = vset(0);
    for (; depth > 0; depth -= VLEN, a += (WINOGRAD_GROUP - 1) * VLEN, next -= (VLEN - WINOGRAD_GROUP) * VLEN) {
        for (int64_t d = CNN_MIN(depth, VLEN); d > 0; d--, a++, next += VLEN, b += vectors * VLEN) {
            __builtin_prefetch(next);
            vf b0 = vload(b), b1 = vectors == 2 ? vload(b + VLEN) : b0;
            CNN_UNROLL(12) for (int r = 0; r < rows; r++) {
                vf value = vset(a[r * VLEN]);
                acc[r][0] = vfma(value, b0, acc[r][0]);
                if (vectors == 2) acc[r][1] = vfma(value, b1, acc[r][1]);
            }
        }
    }
    CNN_UNROLL(12) for (int r = 0; r < rows; r++) {
        for (int i = 0; i < vectors; i++) {
            float *to = m + (r * vectors + i) * WIDE_FREQUENCIES * VLEN;
            vstore(to, accumulate ? vload(to) + acc[r][i] : acc[r][i]);
        }
    }
}

/* One frequency of some channels. */
CNN_INLINE void ISA(wide_frequency)(const int vectors, int64_t tiles, int64_t depth, const float *a, int64_t group,
                                    const float *after, const float *u, bool accumulate, float *m) {
    const int64_t row = vectors * WIDE_FREQUENCIES * VLEN;
    for (; tiles > WINOGRAD_TAIL; tiles -= WINOGRAD_GROUP, a += group, m += WINOGRAD_GROUP * row)
        ISA(wide_tile)(WINOGRAD_GROUP, vectors, depth, a, tiles > WINOGRAD_GROUP ? a + group : after, u, accumulate, m);
    if (tiles > WINOGRAD_GROUP / 3 && tiles <= WINOGRAD_GROUP / 2)
        ISA(wide_tile)(WINOGRAD_GROUP / 2, vectors, depth, a, after, u, accumulate, m);
    else
        for (; tiles > 0; tiles -= WINOGRAD_GROUP / 3, a += WINOGRAD_GROUP / 3 * VLEN, m += WINOGRAD_GROUP / 3 * row)
            ISA(wide_tile)(WINOGRAD_GROUP / 3, vectors, depth, a, after, u, accumulate, m);
}

/* ---- … of few tiles, for which U is never stored ---- */

/* How many tiles are few, and how many sums are kept at a time: beside them, taps and U need registers. */
#undef WIDE_FEW
#undef WIDE_KEPT
#define WIDE_FEW (VLEN == 16 ? 12 : 2)
#define WIDE_KEPT (VLEN == 16 ? 24 : 10)

/* Frequencies from … to - 1 of nine; a has their V as [frequency][tile][channel]. `ahead` floats on lies what is read
 * later, and is fetched with the first of them. */
CNN_INLINE void ISA(wide_sums)(const int vectors, const int rows, const int from, const int to, int64_t depth,
                               const float *a, const float *h, int64_t ahead, bool accumulate, float *m) {
    vf acc[9][12];
    UNROLL for (int j = from; j < to; j++) CNN_UNROLL(12) for (int r = 0; r < rows; r++) acc[j][r] = vset(0);
    for (; depth > 0; depth--, a++, h += 3 * vectors * VLEN) {
        vf u[9];
        UNROLL for (int i = 0; from == 0 && i < 3; i++) __builtin_prefetch(h + ahead + i * vectors * VLEN, 0, 2);
        ISA(wide_weights)(vload(h), vload(h + vectors * VLEN), vload(h + 2 * vectors * VLEN), u);
        UNROLL for (int j = from; j < to; j++) CNN_UNROLL(12) for (int r = 0; r < rows; r++)
            acc[j][r] = vfma(vset(a[(j * rows + r) * WIDE_DEPTH]), u[j], acc[j][r]);
    }
    UNROLL for (int j = from; j < to; j++) {
        CNN_UNROLL(12) for (int r = 0; r < rows; r++) {
            float *sum = m + (r * vectors * WIDE_FREQUENCIES + j) * VLEN;
            vstore(sum, accumulate ? vload(sum) + acc[j][r] : acc[j][r]);
        }
    }
}

/* Nine frequencies of some channels: as many at a time as can be kept, a point's and its negative's together. */
CNN_INLINE void ISA(wide_few)(const int vectors, const int rows, int64_t depth, const float *v, int64_t step,
                              const float *h, int64_t ahead, bool accumulate, float *a, float *m) {
    const int each = WIDE_KEPT / rows, pairs = CNN_MIN(4, each / 2), first = CNN_MIN(9, 1 + (each - 1) / 2 * 2);
    for (int j = 0; j < 9; j++, v += step)
        for (int r = 0; r < rows; r++)
            for (int64_t c = 0; c < depth; c += VLEN)
                vstore(a + (j * rows + r) * WIDE_DEPTH + c, vload(v + c * WINOGRAD_GROUP + r * VLEN));
    for (int i = 0; i < vectors; i++, h += VLEN, m += WIDE_FREQUENCIES * VLEN) {
        ISA(wide_sums)(vectors, rows, 0, first, depth, a, h, ahead, accumulate, m);
        UNROLL for (int j = first; j < 9; j += 2 * pairs)
            ISA(wide_sums)(vectors, rows, j, CNN_MIN(j + 2 * pairs, 9), depth, a, h, 0, accumulate, m);
    }
}

CNN_INLINE void ISA(wide_some)(const int vectors, int64_t tiles, int64_t depth, const float *v, int64_t step,
                               const float *h, int64_t ahead, bool accumulate, float *room, float *m) {
    if (tiles == 1) ISA(wide_few)(vectors, 1, depth, v, step, h, ahead, accumulate, room, m);
    else if (tiles == 2) ISA(wide_few)(vectors, 2, depth, v, step, h, ahead, accumulate, room, m);
#if VLEN == 16
    else if (tiles <= 4) ISA(wide_few)(vectors, 4, depth, v, step, h, ahead, accumulate, room, m);
    else if (tiles <= 6) ISA(wide_few)(vectors, 6, depth, v, step, h, ahead, accumulate, room, m);
    else if (tiles <= 8) ISA(wide_few)(vectors, 8, depth, v, step, h, ahead, accumulate, room, m);
    else ISA(wide_few)(vectors, 12, depth, v, step, h, ahead, accumulate, room, m);
#endif
}

/* ---- the whole depth ---- */

CNN_INLINE void ISA(wide_panel)(const int vectors, const bool few, const struct winograd_wide_product *p) {
    const float *h = p->h;
    float *u = p->room;
    const int64_t step = p->step, group = cnn_round_up(p->channels, VLEN) * WINOGRAD_GROUP;
    for (int64_t c = 0; c < p->channels; c += WIDE_DEPTH) {
        int64_t depth = CNN_MIN(WIDE_DEPTH, p->channels - c);
        const int64_t lines = 3 * depth * vectors * VLEN / 16;
        for (int64_t f = 0; f < WIDE_FREQUENCIES; f += 9, h += 3 * depth * vectors * VLEN) {
            const float *ahead = h + 2 * 16 * lines;
            if (few) {
                ISA(wide_some)(vectors, p->tiles, depth, p->v + f * step + c * WINOGRAD_GROUP, step, h, ahead - h,
                               c > 0, u, p->m + f * VLEN);
                continue;
            }
            ISA(wide_expand)(vectors, depth, h, u);
            for (int64_t j = f; j < f + 9; j++) {
                const float *a = p->v + j * step + c * WINOGRAD_GROUP;
                for (int64_t line = (j - f) * 16 * lines / 9; line < (j - f + 1) * 16 * lines / 9; line += 16)
                    __builtin_prefetch(ahead + line, 0, 2);
                cnn_winograd_fetch_some(p->fetch);
                ISA(wide_frequency)(vectors, p->tiles, depth, a, group, a + step, u + (j - f) * WIDE_STEP(vectors),
                                    c > 0, p->m + j * VLEN);
            }
        }
    }
}

static void __attribute__((noinline)) ISA(wide_forward_few)(const struct winograd_wide_product *p) {
    if (p->columns > VLEN) ISA(wide_panel)(2, true, p);
    else ISA(wide_panel)(1, true, p);
}

static void ISA(wide_forward)(const struct winograd_wide_product *p) {
    if (p->tiles <= WIDE_FEW) ISA(wide_forward_few)(p);
    else if (p->columns > VLEN) ISA(wide_panel)(2, false, p);
    else ISA(wide_panel)(1, false, p);
}

static const struct winograd_wide_products ISA(winograd_wide_products) = {VLEN, 2 * VLEN, WIDE_DEPTH,
                                                                          ISA(wide_forward)};
