/* The products of the Winograd convolutions: register tiles over V, U and W, compiled per instruction set by
 * foreach_isa.h on behalf of winograd.c. The transforms are winograd_transform_tmpl.c; winograd.h says what each
 * function computes.
 *
 * Every element of M is summed in the order of the channels, one multiply-add at a time, whatever tile it falls into:
 * an image gives the same bits alone and in a batch. */

#undef UNROLL
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 12")
#endif

/* ---- M = V U ---- */

/* `rows` tiles of a group; a is their V at one frequency, b the panel of U there. */
CNN_INLINE void ISA(tile)(const int rows, const int vectors, int64_t channels, const float *a, const float *b,
                          float *m) {
    vf acc[12][2];
    UNROLL for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = vset(0);
    for (; channels > 0; channels -= VLEN, a += (WINOGRAD_GROUP - 1) * VLEN) {
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
    int64_t group = cnn_round_up(channels, VLEN) * WINOGRAD_GROUP, depth = channels * vectors * VLEN;
    for (int64_t f = 0; f < 36; f++, v += step, u += depth, m += VLEN) {
        const float *a = v;
        float *to = m;
        int64_t left = tiles;
        for (; left > WINOGRAD_GROUP / 2; left -= WINOGRAD_GROUP, a += group, to += WINOGRAD_GROUP * vectors * WINOGRAD_SLOTS * VLEN)
            ISA(tile)(WINOGRAD_GROUP, vectors, channels, a, u, to);
        if (left > WINOGRAD_GROUP / 3) ISA(tile)(WINOGRAD_GROUP / 2, vectors, channels, a, u, to);
        else if (left > 0) ISA(tile)(WINOGRAD_GROUP / 3, vectors, channels, a, u, to);
    }
}

static void ISA(forward)(const float *v, int64_t step, int64_t tiles, int64_t channels, const float *u,
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
    for (; count >= WINOGRAD_OUTER_TILE; count -= WINOGRAD_OUTER_TILE, a += WINOGRAD_OUTER_TILE, du += WINOGRAD_OUTER_TILE * next)
        ISA(outer_tile)(WINOGRAD_OUTER_TILE, vectors, tiles, a, width, b, accumulate, du);
    for (; count >= 4; count -= 4, a += 4, du += 4 * next) ISA(outer_tile)(4, vectors, tiles, a, width, b, accumulate, du);
    for (; count > 0; count--, a++, du += next) ISA(outer_tile)(1, vectors, tiles, a, width, b, accumulate, du);
}

CNN_INLINE void ISA(outer_panel)(const int vectors, const float *v, int64_t v_step, const float *w, int64_t w_step,
                                 int64_t tiles, int64_t places, int64_t channels, int64_t first, int64_t count,
                                 bool accumulate, float *du) {
    for (int64_t f = 0; f < 36; f++, v += v_step, w += w_step, du += VLEN) {
        float *to = du;
        for (int64_t c = 0; c < count; c += WINOGRAD_BAND, to += WINOGRAD_BAND * vectors * WINOGRAD_SLOTS * VLEN) {
            int64_t width, real = CNN_MIN(WINOGRAD_BAND, count - c);
            int64_t begin = cnn_winograd_band(WINOGRAD_BAND, VLEN, first + c, channels, places, &width);
            if (width == WINOGRAD_BAND) ISA(outer_band)(vectors, tiles, real, v + begin, WINOGRAD_BAND, w, accumulate, to);
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

static const struct winograd_products ISA(winograd_products) = {VLEN, 2 * VLEN, ISA(forward), ISA(outer)};
