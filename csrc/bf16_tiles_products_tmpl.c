/* Products of convolutions by tiles. Compiled per instruction set by foreach_isa.h, and for AMX by isa_amx.h, on behalf
 * of bf16_tiles_products.c.
 *
 * Tiles 0 … 3 are sums: of 16 results and 16 outputs each, two of them by two. 4 and 5 are results' pixels, read straight
 * from where they lie; 6 and 7 are weights: 16 pairs of channels by 16 outputs. */

#include "bf16.h"
#include "tiles.h"

/* ---- maps ---- */

/* Sums of the results from m on, and of one block of outputs; without the second 16 of either where nobody wants them. */
CNN_INLINE void ISA(products)(tiles_t *tiles, const struct tile_product *p, int64_t m, const uint16_t *weights,
                              bool more_results, bool more_outputs, float (*sums)[TILE_SIDE * TILE_SIDE]) {
    (void)tiles; /* AMX's are not in memory */
    const uint16_t *from = p->from + m * p->pixel;
    int64_t bytes = p->pixel * (int64_t)sizeof *from;
    tile_zero(tiles, 0);
    tile_zero(tiles, 1);
    tile_zero(tiles, 2);
    tile_zero(tiles, 3);
    for (int64_t tap = 0; tap < p->taps; tap++) {
        const uint16_t *a = from + p->offsets[tap];
        for (int64_t c = 0; c < p->depth; c += TILE_DEPTH, weights += TILE_PANEL) {
            tile_load(tiles, 4, a + c, bytes);
            tile_load(tiles, 6, weights, CNN_TILE_BYTES);
            tile_dot(tiles, 0, 4, 6);
            if (more_outputs) {
                tile_load(tiles, 7, weights + TILE_PANEL / 2, CNN_TILE_BYTES);
                tile_dot(tiles, 1, 4, 7);
            }
            if (more_results) {
                tile_load(tiles, 5, a + TILE_SIDE * p->pixel + c, bytes);
                tile_dot(tiles, 2, 5, 6);
                if (more_outputs) tile_dot(tiles, 3, 5, 7);
            }
        }
    }
    tile_store(tiles, 0, sums[0], CNN_TILE_BYTES);
    tile_store(tiles, 1, sums[1], CNN_TILE_BYTES);
    if (!more_results) return;
    tile_store(tiles, 2, sums[2], CNN_TILE_BYTES);
    tile_store(tiles, 3, sums[3], CNN_TILE_BYTES);
}

/* What is stored of the sums of `lanes` outputs of a result: the finish's arrays from there on; see cnn_finished. */
CNN_INLINE void ISA(finish)(const struct tile_finish *f, int64_t channel, int64_t at, const float *sums, int64_t lanes) {
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
    tiles_begin(tiles);
    for (int64_t block = p->begin; block < p->end; block++) {
        const uint16_t *weights = p->weights + block * p->taps * (p->depth / TILE_DEPTH) * TILE_PANEL;
        bool more_outputs = p->finish->outputs - block * TILE_BLOCK > TILE_SIDE;
        for (int64_t m = 0; m < p->results; m += TILE_BLOCK) {
            bool more_results = p->results - m > TILE_SIDE;
            if (more_results && more_outputs) ISA(products)(tiles, p, m, weights, true, true, sums);
            else if (more_results) ISA(products)(tiles, p, m, weights, true, false, sums);
            else ISA(products)(tiles, p, m, weights, false, more_outputs, sums);
            ISA(store)(p, m, block * TILE_BLOCK, sums);
        }
    }
    tiles_end(tiles);
}

static const struct tile_kernels ISA(tile_kernels) = {ISA(multiply)};
