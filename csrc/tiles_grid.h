/* How convolutions by tiles of AMX lay a block of the source out, as one list of pixels, and how tiles read it: what
 * those of bfloat16 (bf16_tiles.h) and those of bytes (int8_tiles.h) share. tiles_grid.c cuts and lays out. */
#ifndef CNN_TILES_GRID_H
#define CNN_TILES_GRID_H

#include "conv_view.h"

#define TILE_SIDE 16  /* rows and columns of a tile of sums */
#define TILE_BYTES 64 /* of a row of a tile */
#define TILE_DEPTH 32 /* numbers of a row of a tile of bfloat16 */
#define TILE_BLOCK 32 /* results, outputs or inputs that four tiles of sums span */

/* Results of a block are numbered through rows and images, with some numbers in between that stand for none; what
 * result m reads for a tap lies m positions behind what result 0 reads for it. Positions are pixels of the source,
 * borders included: `width` of a row, `height` rows of an image. The border right of a row is also that left of the
 * next. With a stride there is a plane of positions for each remainder that a tap's row or column leaves.
 *
 * In a grid of runs all taps of a row are one run of numbers: a position is stride_w pixels, which lie as in the source,
 * and planes are for rows alone. */
struct tile_grid {
    const struct conv_view *view;
    int64_t size, depth;  /* bytes of a number; numbers of a position, its channels being filled up to whole tiles … */
    bool runs;            /* … but in a grid of runs */
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

/* Cut so that about `wanted` blocks are there, where that is worth it. Of bfloat16, never straight where it is `copied`
 * anyway; and a grid of runs of bytes, for forward. */
struct tile_grid cnn_tile_grid(const struct conv_view *v, int64_t wanted, bool copied);
struct tile_grid cnn_tile_grid_of_bytes(const struct conv_view *v, int64_t wanted);
struct tile_part cnn_tile_part(const struct tile_grid *g, int64_t block);
static inline int64_t cnn_tile_taps(const struct conv_view *v) { return v->taps_h * v->taps_w; }
/* Which plane a tap reads, and how many positions behind its first. */
int64_t cnn_tile_plane(const struct tile_grid *g, int64_t tap);
int64_t cnn_tile_offset(const struct tile_grid *g, int64_t tap);
/* The row of the source that a row of results reads of a plane. */
int64_t cnn_tile_row(const struct tile_grid *g, int64_t plane, int64_t row);
/* Copies what a part reads of `source`, an array of bfloat16 of all images from its first channel on: for `count`
 * positions of a plane, and zeros where there is no pixel. */
void cnn_tile_fill(const struct tile_grid *g, const struct tile_part *part, const uint16_t *source, int64_t plane,
                   int64_t count, uint16_t *to);
/* where[m] = the place of result m in the output, or -1: m below `count`, which is at least the part's results. */
void cnn_tile_places(const struct tile_grid *g, const struct tile_part *part, int64_t count, int64_t *where);

/* How tiles read what results want, in bytes: tiles_sums.h. */
struct tile_windows {
    int64_t step;           /* from one result to the next */
    const int64_t *offsets; /* of each tap */
    int64_t taps, run;      /* run: what is read of a tap, in whole rows of tiles */
};

#endif
