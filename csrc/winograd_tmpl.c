/* The products of the Winograd convolutions: register tiles over V, U and W, and the table of kernels. Compiled per
 * instruction set by foreach_isa.h on behalf of winograd.c; the transforms are winograd_transform_tmpl.c, and
 * winograd.h says what each function computes.
 *
 * Every element of M is summed in the order of the channels, one multiply-add at a time, whatever tile it falls into:
 * an image gives the same bits alone and in a batch. */

/* Rows of the register tile of two vectors, and the channels of a band, which that tile divides: as in gemm_tmpl.c, 12
 * rows where there are 32 registers and a row's value needs none of them, 8 where it does, 6 with 16 registers. */
#undef GROUP
#undef BAND
#undef OUTER_TILE
#undef MANY_REGISTERS
#undef UNROLL
#if VLEN == 16
#define GROUP 12
#define BAND 16
#define OUTER_TILE 8
#define MANY_REGISTERS true
#elif defined(__aarch64__)
#define GROUP 8
#define BAND 8
#define OUTER_TILE 8
#define MANY_REGISTERS true
#else
#define GROUP 6
#define BAND (3 * VLEN)
#define OUTER_TILE 6
#define MANY_REGISTERS false
#endif
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 12")
#endif

#include "winograd_transform_tmpl.c"

/* ---- M = V U ---- */

/* `rows` tiles of a group; a is their V at one frequency, b the panel of U there. */
CNN_INLINE void ISA(tile)(const int rows, const int vectors, int64_t channels, const float *a, const float *b,
                          float *m) {
    vf acc[12][2];
    UNROLL for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = vset(0);
    for (; channels > 0; channels -= VLEN, a += (GROUP - 1) * VLEN) {
        for (int64_t d = CNN_MIN(channels, VLEN); d > 0; d--, a++, b += vectors * VLEN) {
            vf b0 = vload(b), b1 = vectors == 2 ? vload(b + VLEN) : b0;
            UNROLL for (int r = 0; r < rows; r++) {
                vf value = vset(a[r * VLEN]);
                acc[r][0] += value * b0;
                if (vectors == 2) acc[r][1] += value * b1;
            }
        }
    }
    UNROLL for (int r = 0; r < rows; r++) {
        vstore(m + r * vectors * WINOGRAD_SLOTS * VLEN, acc[r][0]);
        if (vectors == 2) vstore(m + (r * 2 + 1) * WINOGRAD_SLOTS * VLEN, acc[r][1]);
    }
}

CNN_INLINE void ISA(product_panel)(const int vectors, const float *v, int64_t step, int64_t tiles, int64_t channels,
                                   const float *u, float *m) {
    int64_t group = cnn_round_up(channels, VLEN) * GROUP, depth = channels * vectors * VLEN;
    for (int64_t f = 0; f < 36; f++, v += step, u += depth, m += VLEN) {
        const float *a = v;
        float *to = m;
        int64_t left = tiles;
        for (; left > GROUP / 2; left -= GROUP, a += group, to += GROUP * vectors * WINOGRAD_SLOTS * VLEN)
            ISA(tile)(GROUP, vectors, channels, a, u, to);
        if (left > GROUP / 3) ISA(tile)(GROUP / 2, vectors, channels, a, u, to);
        else if (left > 0) ISA(tile)(GROUP / 3, vectors, channels, a, u, to);
    }
}

static void ISA(product)(const float *v, int64_t step, int64_t tiles, int64_t channels, const float *u,
                         int64_t columns, float *m) {
    if (columns > VLEN) ISA(product_panel)(2, v, step, tiles, channels, u, m);
    else ISA(product_panel)(1, v, step, tiles, channels, u, m);
}

/* ---- dU = V' W ---- */

/* `rows` channels of a band that is `width` wide; a is its V at one frequency, b the panel of W there. */
CNN_INLINE void ISA(outer_tile)(const int rows, const int vectors, int64_t tiles, const float *a, const int64_t width,
                                const float *b, bool accumulate, float *du) {
    vf acc[12][2];
    UNROLL for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = vset(0);
    for (; tiles > 0; tiles--, a += width, b += vectors * VLEN) {
        vf b0 = vload(b), b1 = vectors == 2 ? vload(b + VLEN) : b0;
        UNROLL for (int r = 0; r < rows; r++) {
            vf value = vset(a[r]);
            acc[r][0] += value * b0;
            if (vectors == 2) acc[r][1] += value * b1;
        }
    }
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int i = 0; i < vectors; i++) {
            float *to = du + (r * vectors + i) * WINOGRAD_SLOTS * VLEN;
            vstore(to, accumulate ? vload(to) + acc[r][i] : acc[r][i]);
        }
    }
}

/* The channels of one band from `a` on. */
CNN_INLINE void ISA(outer_band)(const int vectors, int64_t tiles, int64_t count, const float *a, int64_t width,
                                const float *b, bool accumulate, float *du) {
    const int64_t next = vectors * WINOGRAD_SLOTS * VLEN;
    for (; count >= OUTER_TILE; count -= OUTER_TILE, a += OUTER_TILE, du += OUTER_TILE * next)
        ISA(outer_tile)(OUTER_TILE, vectors, tiles, a, width, b, accumulate, du);
    for (; count >= 4; count -= 4, a += 4, du += 4 * next) ISA(outer_tile)(4, vectors, tiles, a, width, b, accumulate, du);
    for (; count > 0; count--, a++, du += next) ISA(outer_tile)(1, vectors, tiles, a, width, b, accumulate, du);
}

CNN_INLINE void ISA(outer_panel)(const int vectors, const float *v, int64_t v_step, const float *w, int64_t w_step,
                                 int64_t tiles, int64_t places, int64_t channels, int64_t first, int64_t count,
                                 bool accumulate, float *du) {
    for (int64_t f = 0; f < 36; f++, v += v_step, w += w_step, du += VLEN) {
        float *to = du;
        for (int64_t c = 0; c < count; c += BAND, to += BAND * vectors * WINOGRAD_SLOTS * VLEN) {
            int64_t width, begin = ISA(band_at)(first + c, channels, places, &width), real = CNN_MIN(BAND, count - c);
            if (width == BAND) ISA(outer_band)(vectors, tiles, real, v + begin, BAND, w, accumulate, to);
            else ISA(outer_band)(vectors, tiles, real, v + begin, width, w, accumulate, to);
        }
    }
}

static void ISA(outer)(const float *v, int64_t v_step, const float *w, int64_t w_step, int64_t tiles, int64_t places,
                       int64_t channels, int64_t first, int64_t count, int64_t columns, bool accumulate, float *du) {
    if (columns > VLEN)
        ISA(outer_panel)(2, v, v_step, w, w_step, tiles, places, channels, first, count, accumulate, du);
    else
        ISA(outer_panel)(1, v, v_step, w, w_step, tiles, places, channels, first, count, accumulate, du);
}

static const struct winograd_kernels ISA(winograd_kernels) = {
    .lanes = VLEN, .panel = 2 * VLEN, .group = GROUP, .band = BAND,
    .input = ISA(input), .weights = ISA(weights), .product = ISA(product), .output = ISA(output),
    .input_columns = ISA(input_columns), .gradient = ISA(gradient), .outer = ISA(outer), .inverse = ISA(inverse)};
