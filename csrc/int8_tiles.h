/* What the files of int8 convolutions by tiles of AMX share: int8_tiles.c, which packs weights, cuts the work and lays
 * blocks of the image out, and the products. A tap's run is what a result reads side by side: of all taps of a row, if
 * they lie side by side, otherwise of one. */
#ifndef CNN_INT8_TILES_H
#define CNN_INT8_TILES_H

#include "int8.h"
#include "tiles_grid.h"

#define TILE_PANEL_BYTES \
    (2 * TILE_SIDE * TILE_BYTES) /* bytes of the two tiles of weights that 64 bytes of a run meet */

/* For results 0 … results-1 of one group, and for its blocks of 32 outputs `begin` … end-1. */
struct int8_tile_product {
    struct tile_windows windows;
    const uint8_t *from;
    int64_t results;
    const int8_t *weights; /* of outputs 0 …: for each block of them, tap and 64 bytes of a run a panel */
    int64_t begin, end, outputs;
    const int64_t *where;
    const cnn_requantise *finish;
    int64_t first; /* the group's first output */
    uint8_t *y;
};

struct int8_tile_kernels {
    void (*multiply)(const struct int8_tile_product *);
};

/* Those of the active instruction set and words; NULL where there are no tiles. */
const struct int8_tile_kernels *cnn_int8_tile_kernels(void);

/* Whether tiles pay, by shape alone; where they do, as the functions of int8_conv.c, which has checked everything. */
bool cnn_int8_tiles_suit(const cnn_conv2d *p);
int64_t cnn_int8_tiles_packed(const cnn_conv2d *p);
void cnn_int8_tiles_pack(const cnn_conv2d *p, const int8_t *weight, int8_t *packed);
cnn_status cnn_int8_tiles_forward(const cnn_conv2d *p, const uint8_t *x, int64_t zero_x, const int8_t *packed,
                                  const cnn_requantise *finish, uint8_t *y);

#endif
