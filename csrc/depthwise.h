/* What the two files of depthwise convolutions share: depthwise.c (the family, forward and backward-data) and
 * depthwise_weights.c (backward-weights). */
#ifndef CNN_DEPTHWISE_H
#define CNN_DEPTHWISE_H

#include "conv_family.h"
#include "conv_view.h"

#define LINE 16 /* floats of a cache line */

/* Keeps an address: compilers would rather have one for each pixel of a tile. */
#define HOLD_POINTER(a) __asm__("" : "+r"(a))

/* Shapes that have kernels of their own. */
static inline bool cnn_depthwise_common(const cnn_conv2d *p) {
    return p->c >= 4 && (p->kw == 3 || p->kw == 5) && p->kh <= 16 && p->stride_w <= 2 && p->stride_h == p->stride_w &&
           p->dilation_h == 1 && p->dilation_w == 1;
}

/* Source and results that are not to be found in L2. */
static inline bool cnn_depthwise_large(const cnn_conv2d *p) {
    return p->n * (p->h * p->w + p->oh * p->ow) * p->c > 262144;
}

/* depthwise_weights.c: the third pass, as struct conv_family says, and every pass's workspace. */
cnn_status cnn_depthwise_backward_weights(const cnn_conv2d *p, const float *x, const float *dy, float *dweight,
                                          float *dbias, float *workspace);
int64_t cnn_depthwise_workspace(const cnn_conv2d *p, int pass);

#endif
