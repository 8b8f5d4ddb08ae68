/* What the templates of the Winograd convolutions' transforms share: the points, and where a tile is. Included by both
 * of them again for every instruction set; hence no include guard.
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

#undef UNROLL
#define UNROLL CNN_UNROLL(12)

/* Pixels are floats, or bfloat16 where CNN_STORED_BF16 is defined; so many numbers of V, W and U are in 32 bits. */
#include "stored.h"
#ifdef CNN_STORED_BF16
#define LANE_NUMBERS 2
#else
#define LANE_NUMBERS 1
#endif

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

/* The pixels of the `side` x `side` patch whose first one is (top, left) of an image. */
CNN_INLINE void ISA(patch)(const struct winograd_tiles *t, const int side, int64_t image, int64_t top, int64_t left,
                           const stored **at) {
    const struct conv_view *v = t->view;
    int64_t base = ((image * v->h + top) * v->w + left) * v->pixel;
    bool end = t->last && image == v->n - 1;
    if (top >= 0 && left >= 0 && top + side <= v->h && left + side <= v->w &&
        !(end && top + side == v->h && left + side == v->w)) {
        const stored *first = STORED(t->source) + base;
        for (int i = 0; i < side; i++)
            for (int j = 0; j < side; j++) at[i * side + j] = first + (i * v->w + j) * v->pixel;
        return;
    }
    for (int64_t i = 0; i < side; i++) {
        bool row = top + i >= 0 && top + i < v->h, last_row = end && top + i == v->h - 1;
        for (int64_t j = 0; j < side; j++) {
            const stored *pixel = t->zeros;
            if (row && left + j >= 0 && left + j < v->w)
                pixel = last_row && left + j == v->w - 1 ? t->last
                                                         : STORED(t->source) + (base + (i * v->w + j) * v->pixel);
            at[i * side + j] = pixel;
        }
    }
}

CNN_INLINE vf ISA(finished)(const cnn_bf16_finish *f, vf bias, vf value, vf add, vf gate) {
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
