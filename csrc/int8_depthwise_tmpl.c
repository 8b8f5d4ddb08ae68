/* Depthwise convolutions of bytes, the vector version: taps of 4 VLEN channels are put together, then results are summed,
 * four side by side of one or two rows and VLEN channels at once. Compiled for each instruction set by a file of its own
 * (int8_depthwise_avx2.c), on behalf of int8_depthwise.c. */

#include "bytes.h"
#include "int8_lanes.h"

#undef WIDTH
#define WIDTH (4 * VLEN) /* channels whose taps are put together at once */
#define COLUMNS CNN_INT8_COLUMNS

/* Weights as [block of VLEN channels][row of results][group][tap of a row][channel][units]: what is not a tap is 0. */
static void ISA(pack)(const struct int8_depthwise *s, const int8_t *weight, int8_t *packed) {
    const cnn_conv2d *p = s->p;
    dot_weight_t *to = (dot_weight_t *)packed;
    for (int64_t first = 0; first < p->c; first += VLEN)
        for (int64_t r = 0; r < s->together; r++)
            for (int64_t g = 0; g < s->groups; g++)
                for (int64_t t = 0; t < p->kw; t++)
                    for (int64_t i = 0; i < VLEN * DOT_UNITS; i++) {
                        int64_t c = first + i / DOT_UNITS, row = g * DOT_UNITS + i % DOT_UNITS - r * p->stride_h;
                        bool tap = c < p->c && 0 <= row && row < p->kh;
                        *to++ = tap ? weight[(c * p->kh + row) * p->kw + t] : 0;
                    }
}

/* ---- putting taps together ---- */

struct ISA(four) {
    vb of[4];
};

/* Of VLEN channels each: DOT_UNITS taps, which lie at rows, in each lane. */
CNN_INLINE struct ISA(four) ISA(zip)(const uint8_t *const *rows, const int64_t *steps, int64_t column, int64_t part) {
#define TAP(i) ISA(order_to_zip)(ISA(bload_part)(rows[i] + column * steps[i], part))
    const vb a = TAP(0), b = TAP(1), low = ISA(zip_low)(a, b), high = ISA(zip_high)(a, b);
#ifdef CNN_VNNI
    const vb c = TAP(2), d = TAP(3), more = ISA(zip_low)(c, d), most = ISA(zip_high)(c, d);
    return (struct ISA(four)){{ISA(zip_low_pairs)(low, more), ISA(zip_high_pairs)(low, more),
                               ISA(zip_low_pairs)(high, most), ISA(zip_high_pairs)(high, most)}};
#else
    const vb none = {0};
    return (struct ISA(four)){
        {ISA(zip_low)(low, none), ISA(zip_high)(low, none), ISA(zip_low)(high, none), ISA(zip_high)(high, none)}};
#endif
#undef TAP
}

CNN_INLINE void ISA(put)(int32_t *to, int64_t apart, struct ISA(four) a) {
    UNROLL for (int v = 0; v < 4; v++) ISA(bstore)((uint8_t *)(to + v * apart), a.of[v]);
}

/* One group of taps of a row of the image with its borders, as columns of VLEN lanes; the next VLEN channels lie `apart`.
 * `part` channels are real, all WIDTH where that is 0. */
CNN_INLINE void ISA(zip_row)(const struct int8_depthwise *s, const struct int8_rows *r, int64_t part, int32_t *taps,
                             int64_t apart) {
    const int64_t step = s->p->stride_w, w = s->p->w, end = w + s->p->pad_right;
    const vb none = DOT_UNITS == 4 ? ISA(bset)(s->zero) : (vb)ISA(iset)(s->zero * 65537);
    const struct ISA(four) border = {{none, none, none, none}};
    for (int64_t phase = 0; phase < step; phase++, taps += s->of_phase * VLEN) {
        int32_t *to = taps;
        int64_t column = phase - s->p->pad_left;
        for (; column < CNN_MIN(0, end); column += step, to += VLEN) ISA(put)(to, apart, border);
        for (; column < w; column += step, to += VLEN) ISA(put)(to, apart, ISA(zip)(r->at, r->steps, column, part));
        for (; column < end; column += step, to += VLEN) ISA(put)(to, apart, border);
    }
}

/* ---- summing ---- */

/* What is the same for all results of VLEN channels; it fits into registers. */
struct ISA(channels) {
    const int32_t *taps;
    const int8_t *weights;
    int64_t first, part; /* the first channel; how many are real, all where that is 0 */
    vi bias;
    vf multiplier, low, high;
    int32_t zero;
    uint8_t least;
    bool plain; /* whether bytes are all that is wanted, and nothing is added */
};

static struct ISA(channels) ISA(channels_of)(const struct int8_depthwise *s, int64_t first, const int32_t *taps) {
    const cnn_requantise *f = s->finish;
    const int64_t part = s->p->c - first < VLEN ? s->p->c - first : 0;
    return (struct ISA(channels)){.taps = taps,
                                  .weights = s->packed + first * s->channel_bytes,
                                  .first = first,
                                  .part = part,
                                  .bias = ISA(iload_lanes)(f->bias + first, part),
                                  .multiplier = vload_lanes(f->multiplier + first, part),
                                  .low = vset((float)(f->least - f->zero)),
                                  .high = vset((float)(f->most - f->zero)),
                                  .zero = (int32_t)f->zero,
                                  .least = (uint8_t)f->least,
                                  .plain = !f->add && !f->real};
}

/* Stores sums one by one, where something is added to them or they are wanted as they are. */
static void ISA(finish_some)(const struct int8_depthwise *s, int64_t first, int64_t part, const int32_t *sums,
                             int64_t at, int64_t count) {
    const cnn_requantise *f = s->finish;
    for (int64_t j = 0; j < count; j++, sums += VLEN, at += s->p->c)
        for (int64_t i = 0; i < (part ? part : VLEN); i++) {
            int64_t c = first + i;
            if (f->real) f->real[at + c] = (float)(sums[i] + f->bias[c]) * f->multiplier[c];
            else s->y[at + c] = cnn_int8_finished(f, at + c, c, sums[i]);
        }
}

/* Stores the sums of COLUMNS results, of which `count` are real; the first lies at `at` in y. */
CNN_INLINE void ISA(finish)(const struct int8_depthwise *s, const struct ISA(channels) *c, const vi *sums, uint8_t *y,
                            int64_t k, int64_t at, int64_t count) {
    if (!c->plain) {
        int32_t all[COLUMNS * VLEN];
        UNROLL for (int v = 0; v < COLUMNS; v++) ISA(bstore)((uint8_t *)(all + v * VLEN), (vb)(sums[v] - c->bias));
        ISA(finish_some)(s, c->first, c->part, all, at, count);
        return;
    }
    vi whole[COLUMNS];
    UNROLL for (int v = 0; v < COLUMNS; v++) {
        vf real = ISA(real)(sums[v]) * c->multiplier;
#if !CNN_X86
        real = vmax(real, c->low); /* there a number out of range, or none, is not the least int32 */
#endif
        whole[v] = ISA(nearest)(vmin(c->high, real));
    }
    vb bytes = ISA(bytes_of)(whole[0], whole[1], whole[2], whole[3], c->zero, c->least);
    ISA(bstore_four)(y + at + c->first, k, ISA(order_of_bytes)(bytes), count, c->part);
}

struct ISA(sums) {
    vi of[2][COLUMNS];
};

/* Adds one group of taps, whose weights for the second row of results lie `apart` bytes behind those for the first. Sums
 * are held, because compilers would rather make all products first, which do not fit into registers. */
CNN_INLINE void ISA(add_group)(struct ISA(sums) *sums, const int together, const int32_t *x, const int8_t *w,
                               int64_t apart) {
    UNROLL for (int v = 0; v < COLUMNS; v++) {
        vi a = ISA(iload)(x + v * VLEN);
        UNROLL for (int r = 0; r < together; r++) {
            sums->of[r][v] = ISA(dot)(sums->of[r][v], a, ISA(iload)(w + r * apart));
            vhold(sums->of[r][v]);
        }
    }
}

/* A row of results, or two. Constants but in the last lines of rows_of; stride is 0 where offsets are looked up. */
CNN_INLINE void ISA(multiply)(const struct int8_depthwise *s, const struct ISA(channels) *channels, const int groups,
                              const int taps, const int stride, const int together, int64_t at) {
    const struct ISA(channels) c = *channels;
    const int64_t ow = s->p->ow, k = s->p->k, of_phase = s->of_phase, columns = s->columns;
    const int64_t each = 4 * VLEN, apart = each * groups * taps; /* bytes of weights */
    uint8_t *y = s->y;
    for (int64_t j = 0; j < ow; j += COLUMNS) {
        struct ISA(sums) sums;
        UNROLL for (int r = 0; r < together; r++) UNROLL for (int v = 0; v < COLUMNS; v++) sums.of[r][v] = c.bias;
        const int32_t *x = c.taps + j * VLEN;
        if (stride) {
            UNROLL for (int g = 0; g < groups; g++) UNROLL for (int t = 0; t < taps; t++)
                ISA(add_group)(&sums, together, x + (g * columns + t % stride * of_phase + t / stride) * VLEN,
                               c.weights + (g * taps + t) * each, apart);
        } else {
            for (int g = 0; g < groups; g++)
                for (int t = 0; t < taps; t++)
                    ISA(add_group)(&sums, together, x + (g * columns + s->offsets[t]) * VLEN,
                                   c.weights + (g * taps + t) * each, apart);
        }
        UNROLL for (int r = 0; r < together; r++)
            ISA(finish)(s, &c, sums.of[r], y, k, at + (r * ow + j) * k, CNN_MIN(ow - j, COLUMNS));
    }
}

/* Rows of results of the taps that are put together: the usual kernels have loops of their own. */
static void ISA(rows_of)(const struct int8_depthwise *s, const struct ISA(channels) *c, int64_t count, int64_t at) {
    const cnn_conv2d *p = s->p;
    int groups = (int)s->groups, taps = (int)p->kw, stride = p->dilation_w == 1 ? (int)p->stride_w : 0;
#define KERNEL(height, width, step)                                                                     \
    if (p->kh == height && taps == width && stride == step) {                                           \
        enum { of = (height + DOT_UNITS - 1) / DOT_UNITS };                                             \
        if (count == 2 && height + step <= of * DOT_UNITS) ISA(multiply)(s, c, of, width, step, 2, at); \
        else ISA(multiply)(s, c, of, width, step, 1, at);                                               \
        return;                                                                                         \
    }
    KERNEL(3, 3, 1)
    KERNEL(3, 3, 2)
    KERNEL(5, 5, 1)
    KERNEL(5, 5, 2)
#undef KERNEL
    if (count == 2) ISA(multiply)(s, c, groups, taps, 0, 2, at);
    else ISA(multiply)(s, c, groups, taps, 0, 1, at);
}

static void ISA(rows)(const struct int8_depthwise *s, int64_t image, int64_t begin, int64_t end, int64_t first,
                      int32_t *taps) {
    const cnn_conv2d *p = s->p;
    const int64_t line = p->w * p->c, channels = CNN_MIN(p->c - first, WIDTH), apart = s->groups * s->columns * VLEN;
    const uint8_t *x = s->x + image * p->h * line + first;
    uint8_t border[WIDTH];
    memset(border, s->zero, WIDTH);
    for (int64_t i = begin; i < end; i += s->together) {
        int64_t count = CNN_MIN(s->together, end - i);
        int64_t last = i * p->stride_h + (count - 1) * p->stride_h + (p->kh - 1) * p->dilation_h;
        for (int64_t g = 0; g < s->groups; g++) {
            struct int8_rows rows;
            for (int64_t u = 0; u < DOT_UNITS; u++) { /* where weights are 0, any row will do */
                int64_t row = CNN_MIN(i * p->stride_h + (g * DOT_UNITS + u) * p->dilation_h, last) - p->pad_top;
                bool inside = 0 <= row && row < p->h;
                rows.at[u] = inside ? x + row * line : border;
                rows.steps[u] = inside ? p->c : 0;
            }
            int32_t *to = taps + g * s->columns * VLEN;
            if (channels == WIDTH) ISA(zip_row)(s, &rows, 0, to, apart);
            else ISA(zip_row)(s, &rows, channels, to, apart);
        }
        for (int64_t v = 0; v * VLEN < channels; v++) {
            const struct ISA(channels) c = ISA(channels_of)(s, first + v * VLEN, taps + v * apart);
            ISA(rows_of)(s, &c, count, (image * p->oh + i) * p->ow * p->k);
        }
    }
}

const struct int8_depthwise_kernels ISA(cnn_int8_depthwise_kernels) = {DOT_UNITS, WIDTH, ISA(pack), ISA(rows)};
