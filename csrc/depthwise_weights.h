/* What the vector versions of depthwise convolutions' backward-weights are: depthwise_weights_tmpl.c, compiled by
 * depthwise_weights.c for floats and by bf16_depthwise_weights.c for bfloat16. The first of them calls both. */
#ifndef CNN_DEPTHWISE_WEIGHTS_H
#define CNN_DEPTHWISE_WEIGHTS_H

#include "depthwise.h"

/* Where the lines of x and dy lie that are asked for ahead of their use: for each step along a row of dy one of dy, and
 * as many of x as it moves on by, a square of stride x stride. In numbers, from each to the next. */
struct depthwise_ahead {
    const void *x, *dy;
    int64_t x_pixel, x_line, x_step, x_row; /* of such a square, and of the squares of neighbouring steps and rows */
    int64_t dy_step, dy_row;
};

/* What is done with sums that lie in memory: they begin at zero, or go on, or what begins at zero is added to them. */
enum depthwise_sums { SUMS_BEGIN, SUMS_GO_ON, SUMS_ADD };

/* What `count` rows of dy, from `row` on, say of one vector of channels: `sums`, [taps][lanes]. */
typedef void (*depthwise_weights_kernel)(const struct conv_view *v, const void *x, const void *dy, int64_t row,
                                         int64_t count, float *sums, enum depthwise_sums mode,
                                         const struct depthwise_ahead *ahead);

struct depthwise_weights_kernels {
    int64_t lanes;                          /* of a vector */
    depthwise_weights_kernel weights[2][2]; /* 3 or 5 wide; stride 1 or 2 */
    /* The same for the sum of dy: [lanes], of which `part` are real (0: all). */
    void (*bias)(const struct conv_view *v, int64_t part, const void *dy, int64_t row, int64_t count, float *sums,
                 enum depthwise_sums mode);
    depthwise_weights_kernel general_weights; /* any convolution */
};

/* bf16_depthwise_weights.c: those for x and dy of bfloat16, with the widest vectors that the channels fill. */
const struct depthwise_weights_kernels *cnn_bf16_depthwise_weights(int64_t channels);

#endif
