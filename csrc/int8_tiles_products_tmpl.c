/* Products of int8 convolutions by tiles. Compiled per instruction set by foreach_isa.h, and for AMX by isa_amx.h, on
 * behalf of int8_tiles_products.c. A tile of weights is 16 groups of four bytes of a run by 16 outputs. */

#include "bytes.h"
#include "int8_finish.h"
#include "tiles.h"

#undef TILE_PRODUCT
#define TILE_PRODUCT tile_dot_bytes
#include "tiles_sums.h"

/* Stores what becomes of the sums of the results from m on and of the block of outputs that begins with `channel`. */
CNN_INLINE void ISA(store)(const struct int8_tile_product *p, const bool plain, int64_t m, int64_t channel,
                           const int32_t *sums) {
    enum { TILE = TILE_SIDE * TILE_SIDE };
    const cnn_requantise f = *p->finish;
    const vf low = vset((float)(f.least - f.zero)), high = vset((float)(f.most - f.zero));
    int64_t results = CNN_MIN(TILE_BLOCK, p->results - m), outputs = CNN_MIN(TILE_BLOCK, p->outputs - channel);
    for (int64_t c = 0; c < outputs; c += VLEN) {
        int64_t part = outputs - c < VLEN ? outputs - c : 0, first = p->first + channel + c;
        const int32_t *column = sums + c / TILE_SIDE * TILE + c % TILE_SIDE;
        const vi bias = ISA(iload_lanes)(f.bias + first, part);
        const vf multiplier = vload_lanes(f.multiplier + first, part);
        for (int64_t i = 0; i < results; i++) {
            int64_t at = p->where[m + i];
            vi sum = ISA(iload)(column + i / TILE_SIDE * 2 * TILE + i % TILE_SIDE * TILE_SIDE);
            if (at >= 0) ISA(finish_vector)(&f, plain, sum, bias, multiplier, low, high, p->y, at + first, part);
        }
    }
}

/* Where something is added to them, or they are wanted as they are; apart, because it takes more registers. */
static __attribute__((noinline)) void ISA(store_others)(const struct int8_tile_product *p, int64_t m, int64_t channel,
                                                        const int32_t *sums) {
    ISA(store)(p, false, m, channel, sums);
}

static void ISA(multiply)(const struct int8_tile_product *p) {
    _Alignas(64) int32_t sums[4 * TILE_SIDE * TILE_SIDE];
    tiles_t memory, *tiles = &memory;
    const struct tile_windows *w = &p->windows;
    tiles_begin(tiles);
    for (int64_t block = p->begin; block < p->end; block++) {
        int64_t channel = block * TILE_BLOCK;
        const char *weights = (const char *)p->weights + block * w->taps * (w->run / TILE_BYTES) * TILE_PANEL_BYTES;
        bool more_outputs = p->outputs - channel > TILE_SIDE;
        for (int64_t m = 0; m < p->results; m += TILE_BLOCK) {
            const char *from = (const char *)p->from + m * w->step;
            bool more_results = p->results - m > TILE_SIDE;
            if (more_results && more_outputs) ISA(tile_sums)(tiles, w, from, weights, true, true, (char *)sums);
            else if (more_results) ISA(tile_sums)(tiles, w, from, weights, true, false, (char *)sums);
            else ISA(tile_sums)(tiles, w, from, weights, false, more_outputs, (char *)sums);
            if (!p->finish->add && !p->finish->real) ISA(store)(p, true, m, channel, sums);
            else ISA(store_others)(p, m, channel, sums);
        }
    }
    tiles_end(tiles);
}

static const struct int8_tile_kernels ISA(int8_tile_kernels) = {ISA(multiply)};
