/* How conv.c, conv_dense.c and depthwise.c speak of a convolution: one view for each way of reading an image through
 * a window. Forward and backward-data are the same walk over different views. */
#ifndef CNN_CONV_H
#define CNN_CONV_H

#include "internal.h"

/* A grid of `rows` x `columns` results an image. Result (i, j) reads, for tap (s, t), the source pixel
 * (start_h + i * stride_h + s * step_h, start_w + j * stride_w + t * step_w), zero where that is outside. */
struct conv_view {
    int64_t n, h, w, c;               /* the source: images, rows, columns, channels read … */
    int64_t pixel;                    /* … and the floats from one of its pixels to the next */
    int64_t rows, columns;
    int64_t taps_h, taps_w;
    int64_t start_h, start_w, stride_h, stride_w, step_h, step_w;
    /* Result (image, i, j) lies out_pixel * (out_first + image * out_image + i * out_row + j * out_step) floats
     * into the output. */
    int64_t out_pixel, out_first, out_image, out_row, out_step;
    /* Where the weight of tap (s, t) is in the kh x kw window: tap_first + s * tap_row + t * tap_step. */
    int64_t tap_first, tap_row, tap_step;
};

static inline int64_t cnn_view_depth(const struct conv_view *v) { return v->taps_h * v->taps_w * v->c; }
static inline int64_t cnn_view_pixels(const struct conv_view *v) { return v->n * v->rows * v->columns; }
static inline int64_t cnn_view_offset(const struct conv_view *v, int64_t image, int64_t i, int64_t j) {
    return v->out_pixel * (v->out_first + image * v->out_image + i * v->out_row + j * v->out_step);
}

/* x seen from y, channels of one group. */
struct conv_view cnn_conv_forward_view(const cnn_conv2d *p);
/* dy seen from dx, channels of one group: with stride s, the pixels of dx whose row is row_class modulo stride_h and
 * whose column is column_class modulo stride_w (classes below h and w), which meet the same taps, or none. */
struct conv_view cnn_conv_backward_view(const cnn_conv2d *p, int64_t row_class, int64_t column_class);

/* Which of `reach` (below 64) places from `left` on are in 0 … size-1, bit by bit. */
static inline uint64_t cnn_places_inside(int64_t left, int64_t reach, int64_t size) {
    uint64_t inside = ((uint64_t)1 << reach) - 1;
    if (left < 0) inside &= left <= -reach ? 0 : ~(uint64_t)0 << -left;
    if (left + reach > size) inside &= left >= size ? 0 : ((uint64_t)1 << (size - left)) - 1;
    return inside;
}

/* What finish makes of the sum that belongs to result `i`, of `channel`: the definition, for the reference and for
 * the ends of vectors. What is added is added to a float, as if the sum had been stored before. */
static inline double cnn_finished(const cnn_finish *f, int64_t i, int64_t channel, double sum) {
    if (!f) return sum;
    if (f->bias) sum += f->bias[channel];
    if (f->add) sum = (float)sum + f->add[i];
    if (f->activation == CNN_IDENTITY) return sum;
    double top = f->activation == CNN_RELU6 ? 6 : INFINITY;
    if (f->gate) return f->gate[i] > 0 && f->gate[i] < top ? sum : 0;
    return sum > 0 ? CNN_MIN(sum, top) : sum == sum ? 0 : sum;
}

/* A way of computing convolutions; conv.c chooses one for each layer and pass. Arguments are checked, sizes are in
 * floats, finish may be NULL. For backward-weights there is nothing to pack. A family's forward may be chosen by
 * everything but n. */
struct conv_family {
    int64_t (*workspace)(const cnn_conv2d *p, int pass);
    int64_t (*packed)(const cnn_conv2d *p, int pass);
    cnn_status (*pack)(const cnn_conv2d *p, int pass, const float *weight, float *packed);
    cnn_status (*forward)(const cnn_conv2d *p, const float *x, const float *weight, const float *packed,
                          const cnn_finish *finish, float *y, float *workspace);
    cnn_status (*backward_data)(const cnn_conv2d *p, const float *dy, const float *weight, const float *packed,
                                const cnn_finish *finish, float *dx, float *workspace);
    cnn_status (*backward_weights)(const cnn_conv2d *p, const float *x, const float *dy, float *dweight, float *dbias,
                                   float *workspace);
    bool pools; /* whether forward takes a finish that is pooled */
};

/* The families, and whether one takes this layer in this pass, and is faster; conv.c asks in its order. */
extern const struct conv_family cnn_dense;     /* conv_dense.c: any convolution, group by group, as products of matrices */
extern const struct conv_family cnn_depthwise; /* depthwise.c: one input channel and one output channel a group */
extern const struct conv_family cnn_winograd;  /* winograd.c: 3 x 3, stride 1 */
extern const struct conv_family cnn_planar;    /* conv_planar.c: images to very few channels; only forward */
extern const struct conv_family cnn_first;     /* conv_first.c: few input channels; not backward-data */
extern const struct conv_family cnn_deep;      /* conv_deep.c: dense layers from thousands of features to few */
extern const struct conv_family cnn_scatter;   /* conv_scatter.c: backward-data to few channels */
bool cnn_winograd_suits(const cnn_conv2d *p, int pass);
bool cnn_planar_suits(const cnn_conv2d *p, int pass);
bool cnn_first_suits(const cnn_conv2d *p, int pass);
bool cnn_deep_suits(const cnn_conv2d *p, int pass);
bool cnn_scatter_suits(const cnn_conv2d *p, int pass);

#endif
