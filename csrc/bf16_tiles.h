/* What the files of convolutions over bfloat16 by tiles share. bf16_tiles.c is the family, bf16_tiles_map.c computes
 * maps, bf16_tiles_weights.c gradients of weights; both lay a block of the source out as tiles_grid.c says, and call the
 * products of bf16_tiles_products.c. */
#ifndef CNN_BF16_TILES_H
#define CNN_BF16_TILES_H

#include "bf16_conv.h"
#include "tiles_grid.h"

#define TILE_PANEL (TILE_BLOCK * TILE_DEPTH) /* numbers of the two tiles of weights that a step of depth takes */

/* ---- bf16_tiles_products.c ---- */

/* What becomes of sums, and where they go: arrays from the group's first channel on, or NULL. */
struct tile_finish {
    const float *bias;
    const uint16_t *add, *gate;
    int activation;
    uint16_t *out;
    int64_t outputs; /* of the group */
};

/* For results 0 … results-1, and for blocks of outputs `begin` … end-1. A tap's run is a pixel's channels. */
struct tile_product {
    struct tile_windows windows;
    const uint16_t *from;
    int64_t results;
    const uint16_t *weights; /* of outputs 0 …: for each block of them, tap and TILE_DEPTH channels a panel */
    int64_t begin, end;
    const int64_t *where;
    const struct tile_finish *finish;
};

/* Sums over a block's results of dy times x, for 32 outputs and all inputs. */
struct tile_gradient {
    const uint16_t *x; /* pairs of positions: of each channel the first one's number, then the second one's */
    int64_t depth, inputs;
    const uint16_t *dy; /* number m of output k is at k * stride + m; 0 for 31 numbers before and behind the results */
    int64_t stride, results, outputs;
    const int64_t *offsets, *planes; /* of each tap: position that result 0 reads; numbers before that plane in x */
    int64_t taps;
    bool first;  /* whether sums begin with this block */
    float *sums; /* for each 32 inputs and tap four tiles: outputs by inputs */
};

struct tile_kernels {
    void (*multiply)(const struct tile_product *);
    void (*pairs)(int64_t pairs, int64_t depth, uint16_t *x, uint16_t *room);
    void (*transpose)(int64_t results, const int64_t *where, const uint16_t *dy, int64_t channels, uint16_t *to,
                      int64_t stride);
    void (*add_rows)(int64_t rows, int64_t count, const uint16_t *from, int64_t stride, float *sums);
    void (*gradients)(const struct tile_gradient *);
};

/* Those of the active instruction set and words; NULL where there are no tiles. */
const struct tile_kernels *cnn_tile_kernels(void);

/* ---- bf16_tiles_map.c ---- */

/* One walk: the results of a view, all groups. */
struct tile_walk {
    const struct conv_view *view;
    int64_t groups, outputs;          /* outputs of one group */
    const uint16_t *source, *weights; /* weights: the first group's … */
    int64_t group_weights;            /* … and numbers from there to the next one's */
    const cnn_bf16_finish *finish;
    uint16_t *out;
};

cnn_status cnn_tile_walk(const struct tile_walk *w);

/* ---- bf16_tiles_weights.c ---- */

int64_t cnn_tile_weights_workspace(const cnn_conv2d *s); /* bytes */
cnn_status cnn_tile_weights(const cnn_conv2d *s, const uint16_t *x, const uint16_t *dy, float *dweight, float *dbias,
                            float *workspace);

#endif
