/* How the families of convolutions speak of one: a view for each way of reading an image through a window. Forward and
 * backward-data are the same walk over different views. */
#ifndef CNN_CONV_VIEW_H
#define CNN_CONV_VIEW_H

#include "internal.h"

/* A grid of `rows` x `columns` results an image. Result (i, j) reads, for tap (s, t), the source pixel
 * (start_h + i * stride_h + s * step_h, start_w + j * stride_w + t * step_w), zero where that is outside. */
struct conv_view {
    int64_t n, h, w, c; /* the source: images, rows, columns, channels read … */
    int64_t pixel;      /* … and the floats from one of its pixels to the next */
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

#endif
