/* Convolutions of bytes, the vector version: tiles of up to 8 results side by side times 2 vectors of output channels, or
 * 6 where there are 16 registers.
 * Compiled for each instruction set by a file of its own (int8_conv_avx2.c), on behalf of int8_conv.c. */

#include "bytes.h"
#include "int8_finish.h"

#undef RESULTS
#if VLEN == 16 || defined(__aarch64__)
#define RESULTS 8
#else
#define RESULTS 6
#endif

/* ---- packing ---- */

/* Weights as panels of two vectors of outputs, the last of one or two: [row and tap][run / units][outputs][units], where
 * what is missing is 0. Number j of a run that holds all taps of a row is input j % inputs of tap j / inputs. */
static void ISA(pack)(int64_t rows, int64_t taps, int64_t run, int64_t inputs, int64_t outputs, const int8_t *weight,
                      int8_t *packed) {
    dot_weight_t *to = (dot_weight_t *)packed;
    int64_t runs = rows * taps * inputs / run, taps_of_run = run / inputs;
    for (int64_t first = 0; first < outputs; first += 2 * VLEN) {
        int64_t width = CNN_MIN(cnn_round_up(outputs - first, VLEN), 2 * VLEN);
        for (int64_t r = 0; r < runs; r++)
            for (int64_t i = 0; i < run; i += DOT_UNITS)
                for (int64_t k = first; k < first + width; k++)
                    for (int64_t j = i; j < i + DOT_UNITS; j++) {
                        int64_t tap = r * taps_of_run + j / inputs;
                        bool there = k < outputs && j < run;
                        *to++ = there ? weight[(k * inputs + j % inputs) * rows * taps + tap] : 0;
                    }
    }
}

/* ---- copying ---- */

static void ISA(copy)(int64_t count, const uint8_t *x, uint8_t *to) {
#ifdef CNN_VNNI
    memcpy(to, x, (size_t)count);
#else
    dot_t *out = (dot_t *)to;
    for (int64_t i = 0; i < count; i++) out[i] = x[i];
#endif
}

static void ISA(widen)(int64_t pixels, int64_t c, const uint8_t *x, int64_t pixel, uint8_t *to) {
    dot_t *out = (dot_t *)to;
    int64_t whole = cnn_round_up(c, DOT_UNITS);
    for (int64_t i = 0; i < pixels; i++, x += pixel, out += whole) {
        for (int64_t j = 0; j < c; j++) out[j] = x[j];
        for (int64_t j = c; j < whole; j++) out[j] = 0;
    }
}

static void ISA(fill)(int64_t count, uint8_t value, uint8_t *to) {
    dot_t *out = (dot_t *)to;
    for (int64_t i = 0; i < count; i++) out[i] = value;
}

/* ---- multiplying ---- */

struct ISA(sums) {
    vi of[RESULTS][CNN_INT8_VECTORS];
};

/* Three results share a pointer, by what addresses can express; the empty asm keeps the compiler from giving each its
 * own, which would not fit. */
CNN_INLINE void ISA(sum_tile)(struct ISA(sums) *t, const int results, const int vectors, const struct int8_windows *s,
                              const uint8_t *x, const int8_t *w) {
    const int64_t step = s->step, run = s->run;
    UNROLL for (int r = 0; r < results; r++) UNROLL for (int v = 0; v < vectors; v++) t->of[r][v] = ISA(iset)(0);
    for (int64_t row = 0; row < s->rows; row++, x += s->next_row) {
        const uint8_t *tap = x;
        for (int64_t i = 0; i < s->taps; i++, tap += s->next_tap) {
            const uint8_t *a0 = tap, *a3 = results > 3 ? tap + 3 * step : tap, *a6 = results > 6 ? tap + 6 * step : tap;
            for (int64_t d = 0; d < run; d++) {
                vi w0 = ISA(iload)(w), w1 = vectors > 1 ? ISA(iload)(w + 4 * VLEN) : w0;
                UNROLL for (int r = 0; r < results; r++) {
                    vi a = ISA(ispread)((r < 3 ? a0 : r < 6 ? a3 : a6) + r % 3 * step);
                    t->of[r][0] = ISA(dot)(t->of[r][0], a, w0);
                    if (vectors > 1) t->of[r][1] = ISA(dot)(t->of[r][1], a, w1);
                }
                a0 += 4, a3 += 4, a6 += 4, w += vectors * 4 * VLEN;
                __asm__("" : "+r"(a0), "+r"(a3), "+r"(a6));
            }
        }
    }
}

/* One tile: its results lie k places apart in y, from `at` on; channel is the first of the tile's. */
CNN_INLINE void ISA(tile)(const int results, const int vectors, const struct int8_job *job, const uint8_t *x,
                          const int8_t *w, int64_t channel, int64_t channels, int64_t at) {
    struct ISA(sums) t;
    const cnn_requantise f = *job->finish;
    const int64_t k = job->p->k;
    uint8_t *y = job->y;
    ISA(sum_tile)(&t, results, vectors, &job->windows, x, w);
    const vf low = vset((float)(f.least - f.zero)), high = vset((float)(f.most - f.zero));
    const bool plain = !f.add && !f.real;
    UNROLL for (int v = 0; v < vectors; v++) {
        int64_t part = channels - v * VLEN < VLEN ? channels - v * VLEN : 0, first = channel + v * VLEN;
        const vi bias = ISA(iload_lanes)(f.bias + first, part);
        const vf multiplier = vload_lanes(f.multiplier + first, part);
        UNROLL for (int r = 0; r < results; r++) {
            int64_t place = at + r * k + first;
            if (plain) ISA(finish_vector)(&f, true, t.of[r][v], bias, multiplier, low, high, y, place, part);
            else ISA(finish_vector)(&f, false, t.of[r][v], bias, multiplier, low, high, y, place, part);
        }
    }
}

static void ISA(multiply)(const struct int8_job *job, int64_t count, const struct int8_row *rows, int64_t first,
                          int64_t channels, const int8_t *w) {
    const int64_t step = job->windows.step, k = job->p->k;
    for (const struct int8_row *row = rows; row < rows + count; row++) {
        int64_t tiles = cnn_ceil_div(row->columns, RESULTS), column = 0;
        for (int64_t i = tiles; i > 0; i--) {
            int64_t results = (row->columns - column) / i, at = row->at + column * k; /* as even as can be */
            const uint8_t *x = row->x + column * step;
            column += results;
#define TILE(size)                                                               \
    case size:                                                                   \
        if (channels > VLEN) ISA(tile)(size, 2, job, x, w, first, channels, at); \
        else ISA(tile)(size, 1, job, x, w, first, channels, at);                 \
        break
            switch (results) {
                TILE(1);
                TILE(2);
                TILE(3);
                TILE(4);
                TILE(5);
                TILE(6);
#if RESULTS > 6
                TILE(7);
                TILE(8);
#endif
            }
#undef TILE
        }
    }
}

const struct int8_conv_kernels ISA(cnn_int8_conv_kernels) = {VLEN,       DOT_UNITS, ISA(pack),    ISA(copy),
                                                             ISA(widen), ISA(fill), ISA(multiply)};
