/* What the vector versions of depthwise convolutions' backward-weights are: depthwise_weights_tmpl.c, compiled by
 * depthwise_weights.c for floats and by bf16_depthwise_weights.c for bfloat16. The first of them calls both. */
#ifndef CNN_DEPTHWISE_WEIGHTS_H
#define CNN_DEPTHWISE_WEIGHTS_H

#include "depthwise.h"

#define WEIGHTS_COLUMNS 4 /* results that are taken at a time */
#define ASK_COLUMNS 16    /* results between two requests for what comes next; whole WEIGHTS_COLUMNS */

/* What will be read after some rows of dy: so many numbers of x and dy are to be asked for with every ASK_COLUMNS, not
 * more at once than a core can wait for beside its work. */
struct depthwise_ahead {
    const void *x, *dy;
    int64_t x_share, dy_share;
};

/* Adds what `count` rows of dy, from `row` on, say of one vector of channels to `sums`, [taps][lanes]. */
typedef void (*depthwise_weights_kernel)(const struct conv_view *v, const void *x, const void *dy, int64_t row,
                                         int64_t count, float *sums, const struct depthwise_ahead *ahead);

static const struct depthwise_ahead depthwise_nothing_ahead;

struct depthwise_weights_kernels {
    int64_t lanes;                          /* of a vector */
    depthwise_weights_kernel weights[2][2]; /* 3 or 5 wide; stride 1 or 2 */
    /* The same for the sum of dy: [lanes], of which `part` are real (0: all). */
    void (*bias)(const struct conv_view *v, int64_t part, const void *dy, int64_t row, int64_t count, float *sums);
    depthwise_weights_kernel general_weights; /* any convolution */
};

/* bf16_depthwise_weights.c: those for x and dy of bfloat16, with the widest vectors that the channels fill. */
const struct depthwise_weights_kernels *cnn_bf16_depthwise_weights(int64_t channels);

#endif
