/* What the files of convolutions over bfloat16 by tiles share. bf16_tiles.c is the family, bf16_tiles_map.c computes
 * maps, bf16_tiles_weights.c gradients of weights; both lay a block of the source out as bf16_tiles_grid.c says, and
 * call the products of bf16_tiles_products.c. */
#ifndef CNN_BF16_TILES_H
#define CNN_BF16_TILES_H

#include "bf16_conv.h"

#define TILE_SIDE 16                         /* rows and columns of a tile of sums */
#define TILE_DEPTH 32                        /* numbers of a row of a tile of bfloat16 */
#define TILE_BLOCK 32                        /* results, outputs or inputs that four tiles of sums span */
#define TILE_PANEL (TILE_BLOCK * TILE_DEPTH) /* numbers of the two tiles of weights that a step of depth takes */

/* ---- bf16_tiles_grid.c: a block of the source as one list of pixels ---- */

/* Results of a block are numbered through rows and images, with some numbers in between that stand for none; what
 * result m reads for a tap lies m positions behind what result 0 reads for it. Positions are pixels of the source,
 * borders included: `width` of a row, `height` rows of an image. The border right of a row is also that left of the
 * next. With a stride there is a plane of positions for each remainder that a tap's row or column leaves. */
struct tile_grid {
    const struct conv_view *view;
    int64_t depth;        /* channels, filled up to whole tiles */
    int64_t images, rows; /* of results of a block: several images only if all their rows are in it */
    int64_t row_blocks, blocks;
    int64_t width, height;
    int64_t planes_h, planes_w, reach; /* reach: positions from a result's first to its last */
    int64_t positions;                 /* of a plane, at most */
    bool straight;                     /* the source itself is that list, cut anywhere */
};

/* A block: its images, the rows of results that it has of each, and how far results are numbered. Of a straight grid,
 * `row` is the first result, and there is neither image nor rows. */
struct tile_part {
    int64_t image, images, row, rows, results;
};

/* Cut so that about `wanted` blocks are there, where that is worth it. Never straight where it is `copied` anyway. */
struct tile_grid cnn_tile_grid(const struct conv_view *v, int64_t wanted, bool copied);
struct tile_part cnn_tile_part(const struct tile_grid *g, int64_t block);
static inline int64_t cnn_tile_taps(const struct conv_view *v) { return v->taps_h * v->taps_w; }
/* Which plane a tap reads, and how many positions behind its first. */
int64_t cnn_tile_plane(const struct tile_grid *g, int64_t tap);
int64_t cnn_tile_offset(const struct tile_grid *g, int64_t tap);
/* Copies what a part reads of `source`, an array of all images from its first channel on: for `count` positions of a
 * plane, and zeros where there is no pixel. */
void cnn_tile_fill(const struct tile_grid *g, const struct tile_part *part, const uint16_t *source, int64_t plane,
                   int64_t count, uint16_t *to);
/* where[m] = the place of result m in the output, or -1: m below `count`, which is at least the part's results. */
void cnn_tile_places(const struct tile_grid *g, const struct tile_part *part, int64_t count, int64_t *where);

/* ---- bf16_tiles_products.c ---- */

/* What becomes of sums, and where they go: arrays from the group's first channel on, or NULL. */
struct tile_finish {
    const float *bias;
    const uint16_t *add, *gate;
    int activation;
    uint16_t *out;
    int64_t outputs; /* of the group */
};

/* For results 0 … results-1, at `from` + m * pixel numbers, and for blocks of outputs `begin` … end-1. */
struct tile_product {
    const uint16_t *from;
    int64_t pixel, results;
    const int64_t *offsets; /* one a tap, in numbers: a pixel's channels are `depth`, a multiple of TILE_DEPTH */
    int64_t taps, depth;
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
