/* First layers to bfloat16, the vector version: vectors over output channels, a unit of the image for all of them.
 * Compiled with and without the instruction for it by files of their own (bf16_first_rows_bf16.c), on behalf of
 * bf16_first_rows.c; bf16_first.h says what each function computes. */

#include "bf16.h"
#include "bf16_ending.h"

#undef UNROLL
#define UNROLL CNN_UNROLL(12)
#define MOST 12 /* results, or values, of a tile: with two vectors of each the sums leave registers for a step */

typedef int32_t ISA(unit_t) __attribute__((may_alias, aligned(2)));

CNN_INLINE vi ISA(units_load)(const float *p) { return *(const ISA(vi_unaligned_t) *)p; }

/* sum[0 … vectors) += one unit times units. */
CNN_INLINE void ISA(spread_dot)(const int vectors, vf *sum, const void *at, vi b0, vi b1) {
    vi a = *(const ISA(unit_t) *)at - (vi){0};
    if (vectors > 1) vhold(a);
    sum[0] = ISA(half_dot)(sum[0], a, b0);
    if (vectors > 1) sum[1] = ISA(half_dot)(sum[1], a, b1);
}

/* ---- forward ---- */

/* Sums of neighbouring results, whose first one's runs begin at x. */
CNN_INLINE void ISA(half_first_runs)(const int results, const int vectors, const struct half_first_row *r,
                                     const uint16_t *x, const float *weight, vf sums[MOST][2]) {
    const int64_t step = r->step, units = (r->run + 1) / 2, early = r->run % 2 ? 1 : units;
    for (int64_t row = 0; row < r->rows; row++, x += r->stride) {
        const uint16_t *a0 = x, *a3 = results > 3 ? x + 3 * step : x, *a6 = results > 6 ? x + 6 * step : x;
        const uint16_t *a9 = results > 9 ? x + 9 * step : x;
        for (int64_t left = units - 1; left >= 0; left--, weight += vectors * VLEN) {
            vi b0 = ISA(units_load)(weight), b1 = vectors > 1 ? ISA(units_load)(weight + VLEN) : b0;
            UNROLL for (int q = 0; q < results; q++) {
                const uint16_t *a = q < 3 ? a0 : q < 6 ? a3 : q < 9 ? a6 : a9;
                ISA(spread_dot)(vectors, sums[q], a + q % 3 * step, b0, b1);
            }
            const int64_t by = left == early ? 1 : 2; /* an odd run's last unit begins one value earlier */
            a0 += by, a3 += by, a6 += by, a9 += by;
            __asm__("" : "+r"(a0), "+r"(a3), "+r"(a6), "+r"(a9));
        }
    }
}

CNN_INLINE void ISA(half_first_results)(const int results, const int vectors, const struct half_first_row *r,
                                        const float *weight, int64_t first, int64_t column) {
    vf sums[MOST][2], bias[2];
    const cnn_bf16_finish *f = r->finish;
    const struct ISA(ending) e = ISA(ending_of)(f->activation, f->add, f->gate, r->y);
    const bool plain = !f->add && !f->gate;
    const int64_t k = r->k, tail = CNN_MIN(VLEN, k - column - (vectors - 1) * VLEN);
    int64_t at = r->at + first * k + column;
    UNROLL for (int q = 0; q < results; q++) sums[q][0] = sums[q][1] = vset(0);
    ISA(half_first_runs)(results, vectors, r, r->x + first * r->step, weight, sums);
    UNROLL for (int v = 0; v < vectors; v++)
        bias[v] = !f->bias ? vset(0) : vload_lanes(f->bias + column + v * VLEN, v == vectors - 1 ? tail % VLEN : 0);
    if (plain && tail == VLEN) {
        UNROLL for (int q = 0; q < results; q++, at += k) UNROLL for (int v = 0; v < vectors; v++)
            ISA(end_vector)(&e, true, sums[q][v], bias[v], at + v * VLEN, VLEN);
        return;
    }
    UNROLL for (int q = 0; q < results; q++, at += k) UNROLL for (int v = 0; v < vectors; v++)
        ISA(end_vector)(&e, plain, sums[q][v], bias[v], at + v * VLEN, v == vectors - 1 ? tail : VLEN);
}

CNN_INLINE void ISA(half_first_panel)(const int vectors, const struct half_first_row *r, const float *weight,
                                      int64_t column) {
    int64_t first = 0;
#define TILES(count)                                    \
    for (; first + count <= r->results; first += count) \
    ISA(half_first_results)(count, vectors, r, weight, first, column)
    TILES(12);
    TILES(8);
    TILES(4);
    TILES(2);
    TILES(1);
#undef TILES
}

static void ISA(half_first_row)(const struct half_first_row *r) {
    const int64_t units = (r->run + 1) / 2;
    for (int64_t column = 0; column < r->k; column += 2 * VLEN) {
        const float *weight = r->weight + r->taps * units * column;
        if (r->k - column > VLEN) ISA(half_first_panel)(2, r, weight + r->skipped * units * 2 * VLEN, column);
        else ISA(half_first_panel)(1, r, weight + r->skipped * units * VLEN, column);
    }
}

static void ISA(half_first_round)(int64_t count, const float *x, uint16_t *y) {
    int64_t i = 0;
    for (; i + VLEN <= count; i += VLEN) ISA(half_store)(y + i, vload(x + i));
    if (i < count) ISA(half_store_part)(y + i, vload_part(x + i, count - i), count - i);
}

/* ---- backward-weights ---- */

static void ISA(half_first_pair)(int64_t count, int64_t step, const uint16_t *x, float *units) {
    for (int64_t i = 0; i < count; i += VLEN) {
        vi low = (vi)ISA(half_load)(x + i), high = (vi)ISA(half_load)(x + i + step);
        vstore(units + i, (vf)((ISA(vu_t))low >> 16 | (ISA(vu_t))high));
    }
}

/* Sums of `values` values of runs in neighbouring rows of taps. */
CNN_INLINE void ISA(half_first_gradient)(const int taps, const int values, const int vectors,
                                         const struct half_first_sums *g, const float *x, const float *dy, float *to) {
    const int64_t pairs = (g->results + 1) / 2, step = g->step, columns = g->columns, stride = g->x_stride;
    const int64_t tap = g->run * columns;
    vf sums[MOST][2];
    UNROLL for (int i = 0; i < taps * values; i++) UNROLL for (int v = 0; v < vectors; v++)
        sums[i][v] = vload(to + i / values * tap + i % values * columns + v * VLEN);
    for (int64_t row = 0; row < g->rows; row++, x += g->row_step) {
        const float *a = x;
        for (int64_t pair = 0; pair < pairs; pair++, a += step, dy += columns) {
            vi b0 = ISA(units_load)(dy), b1 = vectors > 1 ? ISA(units_load)(dy + VLEN) : b0;
            UNROLL for (int i = 0; i < taps * values; i++)
                ISA(spread_dot)(vectors, sums[i], a + i / values * stride + i % values, b0, b1);
        }
    }
    UNROLL for (int i = 0; i < taps * values; i++) UNROLL for (int v = 0; v < vectors; v++)
        vstore(to + i / values * tap + i % values * columns + v * VLEN, sums[i][v]);
}

/* Tiles of one row of taps by values, and of three; with one vector and with two. */
typedef void ISA(half_first_tile)(const struct half_first_sums *g, const float *x, const float *dy, float *to);
#define NAME(taps, values, vectors) ISA(half_first_gradient_##taps##_##values##_##vectors)
#define TILE(taps, values, vectors)                                                                           \
    static void NAME(taps, values, vectors)(const struct half_first_sums *g, const float *x, const float *dy, \
                                            float *to) {                                                      \
        ISA(half_first_gradient)(taps, values, vectors, g, x, dy, to);                                        \
    }
#define TILES(taps, values) TILE(taps, values, 1) TILE(taps, values, 2)
TILES(1, 2)
TILES(1, 3)
TILES(1, 4)
TILES(1, 5)
TILES(1, 6)
TILES(1, 7)
TILES(1, 8)
TILES(1, 9)
TILES(1, 10)
TILES(1, 11)
TILES(1, 12)
TILES(3, 2)
TILES(3, 3)
TILES(3, 4)
#undef TILES
#undef TILE

#define FEWEST 2
#define TILES(taps, values) {NAME(taps, values, 1), NAME(taps, values, 2)}
static ISA(half_first_tile) *const ISA(half_first_one_row)[][2] = {TILES(1, 2),  TILES(1, 3),  TILES(1, 4), TILES(1, 5),
                                                                   TILES(1, 6),  TILES(1, 7),  TILES(1, 8), TILES(1, 9),
                                                                   TILES(1, 10), TILES(1, 11), TILES(1, 12)};
static ISA(half_first_tile) *const ISA(half_first_three_rows)[][2] = {TILES(3, 2), TILES(3, 3), TILES(3, 4)};
#undef TILES
#undef NAME

static void ISA(half_first_gradients)(const struct half_first_sums *g) {
    const int64_t run = g->run, columns = g->columns, parts = cnn_ceil_div(run, MOST);
    for (int64_t column = 0; column < columns; column += 2 * VLEN) {
        const int two = columns - column > VLEN;
        const float *dy = g->dy + column;
        float *sums = g->sums + column;
        int64_t tap = 0;
        for (; 3 * run <= MOST && tap + 3 <= g->taps; tap += 3)
            ISA(half_first_three_rows)[run - FEWEST][two](g, g->x + tap * g->x_stride, dy, sums + tap * run * columns);
        for (; tap < g->taps; tap++) {
            for (int64_t part = 0; part < parts; part++) {
                int64_t from = run * part / parts, values = run * (part + 1) / parts - from;
                ISA(half_first_one_row)[values - FEWEST][two](g, g->x + tap * g->x_stride + from, dy,
                                                              sums + (tap * run + from) * columns);
            }
        }
    }
}

const struct half_first_kernels ISA(cnn_half_first) = {ISA(half_first_row), ISA(half_first_pair),
                                                       ISA(half_first_gradients), ISA(half_first_round)};
#undef FEWEST
#undef MOST
