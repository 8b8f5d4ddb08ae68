/* What conv_first.c, conv_first_weights.c and their templates share. */
#ifndef CNN_CONV_FIRST_H
#define CNN_CONV_FIRST_H

#include "conv_family.h"
#include "conv_view.h"
#include "finish.h"

#define MOST_ROWS 7 /* rows of taps */
#define RESULTS 8   /* of a tile */
#define WIDEST 16   /* lanes of any instruction set */

/* Neighbouring results of a row, with the rows of the image that they meet. */
struct first_tile {
    int64_t rows;
    const float *x[MOST_ROWS]; /* each row's pixel 0 */
    int64_t tap_rows[MOST_ROWS];
    int64_t c, k, left;  /* left: floats to the first pixel; may be before the row */
    uint64_t valid;      /* which pixels are inside the image, bit by bit */
    const float *weight; /* [vectors of k][tap row][c][tap][lanes] */
    int64_t size;        /* kh * kw * c */
    const cnn_finish *finish;
    float *out;
    int64_t at, count; /* where result 0 goes; how many are wanted */
};

typedef void (*first_tile_kernel)(const struct first_tile *tile);
/* Adds what `count` rows of dy, from `row` on, say of one channel of x and one vector of k to `sums`, [taps][lanes]. */
typedef void (*first_weights_kernel)(const struct conv_view *v, const float *x, const float *dy, int64_t k, int64_t row,
                                     int64_t count, float *sums);

enum { SHAPES = 4 }; /* first_shape says which */

struct first_kernels {
    int64_t lanes;
    /* By shape. The first of the last index takes any tile; the others 7 and 8 results, of whose pixels no more than
     * width / 2 are outside on either side. */
    first_tile_kernel tiles[SHAPES][3];
};

struct first_weights_kernels {
    int64_t lanes;
    first_weights_kernel weights[SHAPES];
    void (*bias)(const float *dy, int64_t k, int64_t pixels, float *sums);
};

CNN_DECLARE_TABLES(first_kernels, cnn_first_kernels);                 /* conv_first_tmpl.c's */
CNN_DECLARE_TABLES(first_weights_kernels, cnn_first_weights_kernels); /* conv_first_weights_tmpl.c's */

/* Which of the shapes it is; SHAPES: none of them. */
static inline int first_shape(const cnn_conv2d *p) {
    static const struct {
        int64_t width, stride;
    } shapes[SHAPES] = {{3, 1}, {5, 1}, {3, 2}, {7, 2}};
    int shape = 0;
    while (shape < SHAPES && (p->kw != shapes[shape].width || p->stride_w != shapes[shape].stride)) shape++;
    return shape;
}

/* Vectors of 16 lanes where there are so many channels; otherwise 8, even where not all of them are filled. */
static inline int first_table(const cnn_conv2d *p) {
    int index = cnn_table_index();
    return index == 2 && p->k < WIDEST ? 1 : index;
}

/* Where a vector of output channels begins: the last one overlaps the one before. */
static inline int64_t first_vector(int64_t vector, int64_t lanes, int64_t k) {
    return CNN_MAX(0, CNN_MIN(vector * lanes, k - lanes));
}

int64_t cnn_first_weights_workspace(const cnn_conv2d *p);
cnn_status cnn_first_backward_weights(const cnn_conv2d *p, const float *x, const float *dy, float *dweight,
                                      float *dbias, float *workspace);

#endif
