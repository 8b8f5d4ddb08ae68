/* Products of convolutions by tiles. Compiled per instruction set by foreach_isa.h, and for AMX by isa_amx.h, on
 * behalf of bf16_tiles_products.c. A tile of weights is 16 pairs of channels by 16 outputs. */

#include "bf16.h"
#include "tiles.h"

#undef TILE_PRODUCT
#define TILE_PRODUCT tile_dot
#include "tiles_sums.h"

/* ---- maps ---- */

/* What is stored of the sums of `lanes` outputs of a result: the finish's arrays from there on; see cnn_finished. */
CNN_INLINE void ISA(finish)(const struct tile_finish *f, int64_t channel, int64_t at, const float *sums,
                            int64_t lanes) {
    const vf zero = {0}, top = vset(f->activation == CNN_RELU6 ? 6 : INFINITY);
    bool part = lanes < VLEN;
    vf sum = vload(sums);
    if (f->bias) sum += part ? vload_part(f->bias + channel, lanes) : vload(f->bias + channel);
    if (f->add) sum += part ? ISA(half_load_part)(f->add + at, lanes) : ISA(half_load)(f->add + at);
    if (f->activation != CNN_IDENTITY) {
        if (f->gate) {
            vf gate = part ? ISA(half_load_part)(f->gate + at, lanes) : ISA(half_load)(f->gate + at);
            sum = vselect((gate > zero) & (gate < top), sum, zero);
        } else {
            sum = vmin(top, vmax(zero, sum));
        }
    }
    if (part) ISA(half_store_part)(f->out + at, sum, lanes);
    else ISA(half_store)(f->out + at, sum);
}

static void ISA(store)(const struct tile_product *p, int64_t m, int64_t channel, float (*sums)[TILE_SIDE * TILE_SIDE]) {
    int64_t results = CNN_MIN(TILE_BLOCK, p->results - m), outputs = CNN_MIN(TILE_BLOCK, p->finish->outputs - channel);
    for (int64_t i = 0; i < results; i++) {
        int64_t at = p->where[m + i];
        if (at < 0) continue;
        const float *first = sums[i / TILE_SIDE * 2] + i % TILE_SIDE * TILE_SIDE;
        for (int64_t c = 0; c < outputs; c += VLEN)
            ISA(finish)(p->finish, channel + c, at + channel + c,
                        first + c / TILE_SIDE * TILE_SIDE * TILE_SIDE + c % TILE_SIDE, CNN_MIN(VLEN, outputs - c));
    }
}

static void ISA(multiply)(const struct tile_product *p) {
    _Alignas(64) float sums[4][TILE_SIDE * TILE_SIDE];
    tiles_t memory, *tiles = &memory;
    const struct tile_windows *w = &p->windows;
    tiles_begin(tiles);
    for (int64_t block = p->begin; block < p->end; block++) {
        const char *weights = (const char *)(p->weights + block * w->taps * (w->run / TILE_BYTES) * TILE_PANEL);
        bool more_outputs = p->finish->outputs - block * TILE_BLOCK > TILE_SIDE;
        for (int64_t m = 0; m < p->results; m += TILE_BLOCK) {
            const char *from = (const char *)p->from + m * w->step;
            bool more_results = p->results - m > TILE_SIDE;
            if (more_results && more_outputs) ISA(tile_sums)(tiles, w, from, weights, true, true, (char *)sums);
            else if (more_results) ISA(tile_sums)(tiles, w, from, weights, true, false, (char *)sums);
            else ISA(tile_sums)(tiles, w, from, weights, false, more_outputs, (char *)sums);
            ISA(store)(p, m, block * TILE_BLOCK, sums);
        }
    }
    tiles_end(tiles);
}

/* ---- gradients of weights ---- */

/* Of each two pixels, one behind the other in memory, the numbers of each channel side by side: what a tile of pairs
 * reads. */
static void ISA(pairs)(int64_t pairs, int64_t depth, uint16_t *x, uint16_t *room) {
    for (int64_t pair = 0; pair < pairs; pair++, x += 2 * depth) {
        for (int64_t c = 0; c < depth; c += VLEN) {
            vi both = (vi)ISA(half_load)(x + depth + c) | (vi)((ISA(vu_t))ISA(half_load)(x + c) >> 16);
            vstore((float *)(room + 2 * c), (vf)both);
        }
        memcpy(x, room, (size_t)(2 * depth) * sizeof *x);
    }
}

/* Eight channels of eight results: to[channel][result]. */
CNN_INLINE void ISA(transpose_8)(const uint16_t *const *from, int64_t c, uint16_t *to, int64_t stride) {
#if CNN_X86
    __m128i a[8], b[8];
    for (int i = 0; i < 8; i++) a[i] = _mm_loadu_si128((const __m128i *)(from[i] + c));
    for (int i = 0; i < 4; i++) {
        b[2 * i] = _mm_unpacklo_epi16(a[i], a[i + 4]);
        b[2 * i + 1] = _mm_unpackhi_epi16(a[i], a[i + 4]);
    }
    for (int i = 0; i < 4; i++) {
        a[2 * i] = _mm_unpacklo_epi16(b[i], b[i + 4]);
        a[2 * i + 1] = _mm_unpackhi_epi16(b[i], b[i + 4]);
    }
    for (int i = 0; i < 4; i++) {
        _mm_storeu_si128((__m128i *)(to + 2 * i * stride), _mm_unpacklo_epi16(a[i], a[i + 4]));
        _mm_storeu_si128((__m128i *)(to + (2 * i + 1) * stride), _mm_unpackhi_epi16(a[i], a[i + 4]));
    }
#else
    for (int i = 0; i < 8; i++)
        for (int e = 0; e < 8; e++) to[e * stride + i] = from[i][c + e];
#endif
}

/* to[channel][m] = dy of result m, 0 where there is none: results in eights, 32 channels at most. */
static void ISA(transpose)(int64_t results, const int64_t *where, const uint16_t *dy, int64_t channels, uint16_t *to,
                           int64_t stride) {
    static const uint16_t zeros[TILE_BLOCK];
    for (int64_t m = 0; m < results; m += 8, to += 8) {
        const uint16_t *from[8];
        for (int i = 0; i < 8; i++) from[i] = where[m + i] < 0 ? zeros : dy + where[m + i];
        int64_t c = 0;
        for (; c + 8 <= channels; c += 8) ISA(transpose_8)(from, c, to + c * stride, stride);
        for (; c < channels; c++)
            for (int i = 0; i < 8; i++) to[c * stride + i] = from[i][c];
    }
}

/* sums[row] += the numbers of a row: in pairs, of which there are whole vectors. */
static void ISA(add_rows)(int64_t rows, int64_t count, const uint16_t *from, int64_t stride, float *sums) {
    const vi upper = (vi){0} + (int32_t)0xffff0000;
    for (int64_t row = 0; row < rows; row++, from += stride) {
        vf even = {0}, odd = {0};
        for (int64_t m = 0; m < count; m += 2 * VLEN) {
            vi both = (vi)vload((const float *)(from + m));
            even += (vf)(both << 16);
            odd += (vf)(both & upper);
        }
        sums[row] += vsum(even + odd);
    }
}

/* Sums of 32 outputs by 32 inputs for one tap, for which result 0 reads position `first`. Tiles of x begin at every
 * 32nd position; where these begin before `first` or end behind the last result's, they meet zeros of dy. */
CNN_INLINE void ISA(gradient)(tiles_t *tiles, const struct tile_gradient *g, const uint16_t *x, int64_t first,
                              bool more_outputs, bool more_inputs, float *sums) {
    (void)tiles; /* AMX's are not in memory */
    enum { TILE = TILE_SIDE * TILE_SIDE };
    int64_t begin = first / TILE_DEPTH * TILE_DEPTH, x_bytes = g->depth * 4, dy_bytes = g->stride * 2;
    const uint16_t *dy = g->dy + begin - first;
    x += begin * g->depth;
    if (g->first) {
        tile_zero(tiles, 0);
        tile_zero(tiles, 1);
        tile_zero(tiles, 2);
        tile_zero(tiles, 3);
    } else {
        tile_load(tiles, 0, sums, CNN_TILE_BYTES);
        if (more_inputs) tile_load(tiles, 1, sums + TILE, CNN_TILE_BYTES);
        if (more_outputs) tile_load(tiles, 2, sums + 2 * TILE, CNN_TILE_BYTES);
        if (more_outputs && more_inputs) tile_load(tiles, 3, sums + 3 * TILE, CNN_TILE_BYTES);
    }
    for (int64_t at = begin; at < first + g->results; at += TILE_DEPTH, dy += TILE_DEPTH, x += TILE_DEPTH * g->depth) {
        tile_load(tiles, 4, dy, dy_bytes);
        tile_load(tiles, 6, x, x_bytes);
        tile_dot(tiles, 0, 4, 6);
        if (more_inputs) {
            tile_load(tiles, 7, x + 2 * TILE_SIDE, x_bytes);
            tile_dot(tiles, 1, 4, 7);
        }
        if (more_outputs) {
            tile_load(tiles, 5, dy + TILE_SIDE * g->stride, dy_bytes);
            tile_dot(tiles, 2, 5, 6);
            if (more_inputs) tile_dot(tiles, 3, 5, 7);
        }
    }
    tile_store(tiles, 0, sums, CNN_TILE_BYTES);
    if (more_inputs) tile_store(tiles, 1, sums + TILE, CNN_TILE_BYTES);
    if (more_outputs) tile_store(tiles, 2, sums + 2 * TILE, CNN_TILE_BYTES);
    if (more_outputs && more_inputs) tile_store(tiles, 3, sums + 3 * TILE, CNN_TILE_BYTES);
}

static void ISA(gradients)(const struct tile_gradient *g) {
    tiles_t memory, *tiles = &memory;
    tiles_begin(tiles);
    float *sums = g->sums;
    bool more_outputs = g->outputs > TILE_SIDE;
    for (int64_t c = 0; c < g->depth; c += TILE_BLOCK) {
        bool more_inputs = g->inputs - c > TILE_SIDE;
        for (int64_t tap = 0; tap < g->taps; tap++, sums += TILE_BLOCK * TILE_BLOCK) {
            const uint16_t *x = g->x + g->planes[tap] + 2 * c;
            if (more_outputs && more_inputs) ISA(gradient)(tiles, g, x, g->offsets[tap], true, true, sums);
            else ISA(gradient)(tiles, g, x, g->offsets[tap], more_outputs, more_inputs, sums);
        }
    }
    tiles_end(tiles);
}

static const struct tile_kernels ISA(tile_kernels) = {ISA(multiply), ISA(pairs), ISA(transpose), ISA(add_rows),
                                                      ISA(gradients)};
