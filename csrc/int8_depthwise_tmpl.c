/* Depthwise convolutions of bytes, the vector version: 16 channels of VLEN / 4 results side by side at once, of one or two
 * rows. Compiled for each instruction set by a file of its own (int8_depthwise_avx2.c), on behalf of int8_depthwise.c. */

#include "bytes.h"
#include "int8_lanes.h"

#undef COLUMNS
#undef LANES
#define COLUMNS (VLEN / 4) /* of 16 bytes, in a vector */
#define LANES CNN_INT8_BLOCK

/* Weights as [block][row of results][group][tap of a row][16 channels][units]: what is not a tap of that row is 0. */
static void ISA(pack)(const struct int8_depthwise *s, const int8_t *weight, int8_t *packed) {
    const cnn_conv2d *p = s->p;
    dot_weight_t *to = (dot_weight_t *)packed;
    for (int64_t block = 0; block < s->blocks; block++) {
        struct int8_depthwise_block b = cnn_int8_depthwise_block(p, block);
        for (int64_t r = 0; r < s->together; r++)
            for (int64_t g = 0; g < s->groups; g++)
                for (int64_t t = 0; t < p->kw; t++)
                    for (int64_t i = 0; i < LANES * DOT_UNITS; i++) {
                        int64_t c = i / DOT_UNITS, row = g * DOT_UNITS + i % DOT_UNITS - r * p->stride_h;
                        bool tap = c < b.part && 0 <= row && row < p->kh;
                        *to++ = tap ? weight[((b.first + c) * p->kh + row) * p->kw + t] : 0;
                    }
    }
}

/* ---- laying out ---- */

/* 16 bytes each of COLUMNS columns from `column` on, `step` apart, of which some may be beyond the borders. */
CNN_INLINE vb ISA(columns_at)(const struct int8_depthwise *s, const uint8_t *row, const uint8_t *border,
                              int64_t column) {
    const int64_t step = s->p->stride_w, w = s->p->w, c = s->p->c;
    const uint8_t *from[COLUMNS];
    UNROLL for (int i = 0; i < COLUMNS; i++, column += step)
        from[i] = (uint64_t)column < (uint64_t)w ? row + column * c : border;
    return ISA(gather_columns)(from);
}

/* The same where a pixel has `part` bytes only: what follows them is not to be read. */
static vb ISA(columns_of_part)(const struct int8_depthwise *s, const uint8_t *row, int64_t part, int64_t column) {
    uint8_t some[COLUMNS * LANES];
    memset(some, s->zero, sizeof some);
    for (int i = 0; i < COLUMNS; i++, column += s->p->stride_w)
        if (0 <= column && column < s->p->w) memcpy(some + i * LANES, row + column * s->p->c, (size_t)part);
    return ISA(bload)(some);
}

/* Lays one row of the image out, with its borders; NULL is one beyond them. */
static void ISA(place)(const struct int8_depthwise *s, const uint8_t *row, int64_t part, const uint8_t *border,
                       uint8_t *to) {
    const cnn_conv2d *p = s->p;
    const int64_t step = p->stride_w, all = COLUMNS * step, end = p->w + p->pad_right, next = step * p->c;
    if (!row) {
        const vb none = ISA(bset)(s->zero);
        for (int64_t i = 0; i < s->columns; i += COLUMNS) ISA(bstore)(to + i * LANES, none);
        return;
    }
    for (int64_t phase = 0; phase < step; phase++, to += s->of_phase * LANES) {
        uint8_t *out = to;
        int64_t column = phase - p->pad_left;
        for (; part < LANES && column < end; column += all, out += COLUMNS * LANES)
            ISA(bstore)(out, ISA(spread_columns)(ISA(columns_of_part)(s, row, part, column)));
        for (; column < 0; column += all, out += COLUMNS * LANES)
            ISA(bstore)(out, ISA(spread_columns)(ISA(columns_at)(s, row, border, column)));
        for (; column + all - step < p->w; column += all, out += COLUMNS * LANES) {
            const uint8_t *a = row + column * p->c;
            const uint8_t *const from[4] = {a, a + next, a + 2 * next, a + 3 * next};
            ISA(bstore)(out, ISA(spread_columns)(ISA(gather_columns)(from)));
        }
        for (; column < end; column += all, out += COLUMNS * LANES)
            ISA(bstore)(out, ISA(spread_columns)(ISA(columns_at)(s, row, border, column)));
    }
}

/* Makes groups of taps of rows that lie below each other: [group][column][16 channels][units]. */
static __attribute__((noinline)) void ISA(zip)(int64_t groups, int64_t columns, const uint8_t *const *rows, int32_t *taps) {
    for (int64_t g = 0; g < groups; g++, rows += DOT_UNITS) {
        const uint8_t *a = rows[0], *b = rows[1];
#ifdef CNN_VNNI
        const uint8_t *c = rows[2], *d = rows[3];
#endif
        for (int64_t i = 0; i < columns * LANES; i += COLUMNS * LANES, taps += COLUMNS * LANES) {
            vb low = ISA(zip_low)(ISA(bload)(a + i), ISA(bload)(b + i));
            vb high = ISA(zip_high)(ISA(bload)(a + i), ISA(bload)(b + i));
#ifdef CNN_VNNI
            vb more = ISA(zip_low)(ISA(bload)(c + i), ISA(bload)(d + i));
            vb most = ISA(zip_high)(ISA(bload)(c + i), ISA(bload)(d + i));
            const vb made[4] = {ISA(zip_low_pairs)(low, more), ISA(zip_high_pairs)(low, more),
                                ISA(zip_low_pairs)(high, most), ISA(zip_high_pairs)(high, most)};
#else
            const vb none = {0};
            const vb made[4] = {ISA(zip_low)(low, none), ISA(zip_high)(low, none), ISA(zip_low)(high, none),
                                ISA(zip_high)(high, none)};
#endif
            UNROLL for (int v = 0; v < 4; v++) ISA(bstore)((uint8_t *)(taps + v * VLEN), made[v]);
        }
    }
}

/* ---- multiplying ---- */

/* What is the same for all results of a block of channels … */
struct ISA(channels) {
    const struct int8_depthwise *s;
    struct int8_depthwise_block block;
    const int32_t *taps;
    const int8_t *weights;
    int32_t bias[LANES];
    float multiplier[LANES];
};

/* … and of that, what is in registers: for the parts of 16 channels that are a vector each. */
struct ISA(finish) {
    vi bias[LANES / VLEN];
    vf multiplier[LANES / VLEN], low, high;
    int32_t zero;
    uint8_t least;
    bool plain, whole; /* whether bytes are all that is wanted; and of all 16 channels */
};

/* Stores sums one by one, where something is added to them or they are wanted as they are. */
static void ISA(finish_some)(const struct ISA(channels) *c, const int32_t *sums, int64_t at, int64_t count) {
    const cnn_requantise *f = c->s->finish;
    const struct int8_depthwise_block b = c->block;
    for (int64_t j = 0; j < count; j++, sums += LANES, at += c->s->p->c)
        for (int64_t i = b.skip; i < b.part; i++) {
            if (f->real) f->real[at + i] = (float)sums[i] * c->multiplier[i];
            else c->s->y[at + i] = cnn_int8_finished(f, at + i, b.first + i, sums[i] - c->bias[i]);
        }
}

static void ISA(store_some)(const struct ISA(channels) *c, const uint8_t *bytes, int64_t at, int64_t count) {
    for (int64_t j = 0; j < count; j++, bytes += LANES, at += c->s->p->c)
        memcpy(c->s->y + at + c->block.skip, bytes + c->block.skip, (size_t)(c->block.part - c->block.skip));
}

/* Stores the sums of COLUMNS results, of which `count` are real; the first lies at `at` in y. */
CNN_INLINE void ISA(finish)(const struct ISA(channels) *c, const struct ISA(finish) *f, const vi *sums, uint8_t *y,
                            int64_t k, int64_t at, int64_t count) {
    if (!f->plain) {
        int32_t all[4 * VLEN];
        UNROLL for (int v = 0; v < 4; v++) ISA(bstore)((uint8_t *)(all + v * VLEN), (vb)sums[v]);
        ISA(finish_some)(c, all, at, count);
        return;
    }
    vi whole[4];
    UNROLL for (int v = 0; v < 4; v++) {
        vf real = ISA(real)(sums[v]) * f->multiplier[v % (LANES / VLEN)];
#if !CNN_X86
        real = vmax(real, f->low); /* there a number out of range, or none, is not the least int32 */
#endif
        whole[v] = ISA(nearest)(vmin(f->high, real));
    }
    vb bytes = ISA(bytes_of)(whole[0], whole[1], whole[2], whole[3], f->zero, f->least);
    bytes = ISA(join_columns)(bytes);
    if (f->whole) {
        ISA(scatter_columns)(y + at, k, bytes, count);
    } else {
        uint8_t some[COLUMNS * LANES];
        ISA(bstore)(some, bytes);
        ISA(store_some)(c, some, at, count);
    }
}

CNN_INLINE struct ISA(finish) ISA(finish_of)(const struct ISA(channels) *c) {
    const cnn_requantise *f = c->s->finish;
    struct ISA(finish) r = {.low = vset((float)(f->least - f->zero)),
                            .high = vset((float)(f->most - f->zero)),
                            .zero = (int32_t)f->zero,
                            .least = (uint8_t)f->least,
                            .plain = !f->add && !f->real,
                            .whole = c->block.part - c->block.skip == LANES};
    UNROLL for (int v = 0; v < LANES / VLEN; v++) {
        r.bias[v] = ISA(iload)(c->bias + v * VLEN);
        r.multiplier[v] = vload(c->multiplier + v * VLEN);
    }
    return r;
}

/* A row of results, or two. Constants but for the last case of rows_of; stride is 0 where offsets are looked up. */
CNN_INLINE void ISA(multiply)(const struct ISA(channels) *c, const int groups, const int taps, const int stride,
                              const int together, int64_t at) {
    const struct int8_depthwise *s = c->s;
    const int64_t ow = s->p->ow, k = s->p->k, of_phase = s->of_phase, columns = s->columns;
    const struct ISA(finish) finish = ISA(finish_of)(c);
    uint8_t *y = s->y;
    for (int64_t j = 0; j < ow; j += COLUMNS) {
        vi sums[2][4];
        UNROLL for (int r = 0; r < together; r++)
            UNROLL for (int v = 0; v < 4; v++) sums[r][v] = finish.bias[v % (LANES / VLEN)];
        UNROLL for (int g = 0; g < groups; g++) {
            UNROLL for (int t = 0; t < taps; t++) {
                int64_t offset = stride ? t % stride * of_phase + t / stride : s->offsets[t];
                const int32_t *x = c->taps + (g * columns + offset + j) * LANES;
                UNROLL for (int v = 0; v < 4; v++) {
                    vi a = ISA(iload)(x + v * VLEN);
                    UNROLL for (int r = 0; r < together; r++) {
                        const int8_t *w = c->weights + (((r * groups + g) * taps + t) * LANES + v * VLEN % LANES) * 4;
                        sums[r][v] = ISA(dot)(sums[r][v], a, ISA(iload)(w));
                    }
                }
            }
        }
        UNROLL for (int r = 0; r < together; r++)
            ISA(finish)(c, &finish, sums[r], y, k, at + (r * ow + j) * k, CNN_MIN(ow - j, COLUMNS));
    }
}

/* Rows of results of the taps that are made: the usual kernels have loops of their own. */
static __attribute__((noinline)) void ISA(rows_of)(const struct ISA(channels) *c, int64_t count, int64_t at) {
    const cnn_conv2d *p = c->s->p;
    int groups = (int)c->s->groups, taps = (int)p->kw, stride = p->dilation_w == 1 ? (int)p->stride_w : 0;
#define KERNEL(height, width, step)                                                                              \
    if (p->kh == height && taps == width && stride == step) {                                                    \
        enum { of = (height + DOT_UNITS - 1) / DOT_UNITS };                                                      \
        if (count == 2 && height + step <= of * DOT_UNITS) ISA(multiply)(c, of, width, step, 2, at);             \
        else ISA(multiply)(c, of, width, step, 1, at);                                                           \
        return;                                                                                                  \
    }
    KERNEL(3, 3, 1)
    KERNEL(3, 3, 2)
    KERNEL(5, 5, 1)
    KERNEL(5, 5, 2)
#undef KERNEL
    if (count == 2) ISA(multiply)(c, groups, taps, 0, 2, at);
    else ISA(multiply)(c, groups, taps, 0, 1, at);
}

static struct ISA(channels) ISA(channels_of)(const struct int8_depthwise *s, int64_t block, const int32_t *taps) {
    struct ISA(channels) c = {.s = s, .block = cnn_int8_depthwise_block(s->p, block), .taps = taps};
    c.weights = s->packed + block * s->block_bytes;
    size_t each = (size_t)c.block.part * 4;
    memcpy(c.bias, s->finish->bias + c.block.first, each);
    memcpy(c.multiplier, s->finish->multiplier + c.block.first, each);
    return c;
}

static void ISA(rows)(const struct int8_depthwise *s, int64_t image, int64_t begin, int64_t end, int64_t block,
                      struct int8_depthwise_memory memory) {
    const cnn_conv2d *p = s->p;
    const struct ISA(channels) c = ISA(channels_of)(s, block, memory.taps);
    const int64_t next = s->columns * LANES, line = p->w * p->c, ring = s->ring * next;
    const uint8_t *x = s->x + image * p->h * line + c.block.first, *rows[CNN_INT8_SIDE + 4];
    uint8_t border[LANES];
    memset(border, s->zero, sizeof border);
    /* Rows are counted from the upper border: the first of these results', and the next to lay out. */
    int64_t first = begin * p->stride_h, placed = first, slot = 0, start = 0;
    for (int64_t i = begin; i < end; i += s->together) {
        int64_t count = CNN_MIN(s->together, end - i);
        int64_t reach = (count - 1) * p->stride_h + (p->kh - 1) * p->dilation_h;
        for (; placed <= first + reach; placed++) {
            int64_t row = placed - p->pad_top;
            ISA(place)(s, 0 <= row && row < p->h ? x + row * line : NULL, c.block.part, border, memory.ring + slot);
            slot = slot + next < ring ? slot + next : 0;
        }
        for (int64_t r = 0; r < s->groups * DOT_UNITS; r++) { /* where weights are 0, any row will do */
            int64_t at = start + CNN_MIN(r * p->dilation_h, reach) * next;
            rows[r] = memory.ring + (at < ring ? at : at - ring);
        }
        ISA(zip)(s->groups, s->columns, rows, memory.taps);
        ISA(rows_of)(&c, count, ((image * p->oh + i) * p->ow) * p->k + c.block.first);
        first += s->together * p->stride_h;
        start = (start + s->together * p->stride_h * next) % ring;
    }
}

const struct int8_depthwise_kernels ISA(cnn_int8_depthwise_kernels) = {DOT_UNITS, ISA(pack), ISA(rows)};
