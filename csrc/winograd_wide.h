/* What the files of Winograd's F(7 x 7, 3 x 3) share, which inference takes where its tiles fit: how the transformed
 * data lie in memory, and the table of vector kernels. winograd_wide.c is the family and cuts the work,
 * winograd_wide_transform_tmpl.c and winograd_wide_products_tmpl.c do it. winograd.h explains the algorithm, its letters
 * and the tiles; nothing of it depends on the tiles' size but what is defined here.
 *
 * A tile of 7 x 7 results takes 81 products a channel instead of 441, where F(4 x 4) would take 144 (four tiles). Its
 * rounding errors are larger, too large for training. */
#ifndef CNN_WINOGRAD_WIDE_H
#define CNN_WINOGRAD_WIDE_H

#include "winograd.h"

#define WIDE_TILE 7
#define WIDE_PATCH 9
#define WIDE_FREQUENCIES 81 /* odd, so that rows of M spread over all sets of a cache */

/* Channels that are multiplied at a time: U of nine frequencies of so many channels and a panel stays in L1. */
#define WIDE_DEPTH (256 / VLEN)
#define WIDE_ROOM (9 * (512 + 16)) /* floats of U at a time, on any instruction set */

/* How data lie in memory, panels and groups as in winograd.h:
 *   V   [frequency][group][vector][tile of group][lane]
 *   H   [panel][block of WIDE_DEPTH channels][9][channel][3][column]: weights transformed along their columns alone, a
 *       third of U's size
 *   U   [9][channel][column], of a block of H and one of its nine rows; rows begin cnn_winograd_step floats apart
 *   M   [tile][vector of panel][frequency][lane], of one panel */

/* M = V U for one panel of `columns` real columns, whose H begins at h. */
struct winograd_wide_product {
    const float *v, *h;
    int64_t step, tiles, channels, columns;
    struct winograd_fetch *fetch;
    float *room, *m; /* room: WIDE_ROOM floats */
};

struct winograd_wide_transforms {
    /* V of tiles first … first+count-1. */
    void (*input)(const struct winograd_tiles *t, int64_t first, int64_t count, int64_t step, float *v);
    /* H of one panel, `columns` of them real, from OIHW weights. */
    void (*weights)(const float *weight, int64_t channels, int64_t columns, float *h);
    /* The results of tiles first … first+count-1 in columns column … column+columns-1, from their M. */
    void (*output)(const struct winograd_tiles *t, int64_t first, int64_t count, int64_t column, int64_t columns,
                   const float *m, const cnn_bf16_finish *finish, float *out);
};

struct winograd_wide_products {
    int64_t lanes, panel, depth; /* of a vector, the columns of two, and WIDE_DEPTH */
    void (*forward)(const struct winograd_wide_product *p);
};

/* Those of the active instruction set; never called for the reference. */
const struct winograd_wide_transforms *cnn_winograd_wide_transforms(void);
const struct winograd_wide_products *cnn_winograd_wide_products(void);

#endif
