/* The views of convolutions, which say which pixel meets which: of forward and backward-weights, and of each class of
 * backward-data's results. The families walk over them; conv_view.h says what a view is. */
#include "conv_view.h"

struct conv_view cnn_conv_forward_view(const cnn_conv2d *p) {
    return (struct conv_view){.n = p->n,
                              .h = p->h,
                              .w = p->w,
                              .c = p->c / p->groups,
                              .pixel = p->c,
                              .rows = p->oh,
                              .columns = p->ow,
                              .taps_h = p->kh,
                              .taps_w = p->kw,
                              .start_h = -p->pad_top,
                              .start_w = -p->pad_left,
                              .stride_h = p->stride_h,
                              .stride_w = p->stride_w,
                              .step_h = p->dilation_h,
                              .step_w = p->dilation_w,
                              .out_pixel = p->k,
                              .out_image = p->oh * p->ow,
                              .out_row = p->ow,
                              .out_step = 1,
                              .tap_row = p->kw,
                              .tap_step = 1};
}

static int64_t greatest_common_divisor(int64_t a, int64_t b) {
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* One side of backward-data. Position `class + i * stride` of dx meets tap t at position
 * (class + i * stride + pad - t * dilation) / stride of dy, where that is whole: for every `every`-th tap from the
 * first such on, which lie dilation / gcd apart in dy. Taken from the last tap back, positions in dy rise. */
struct side {
    int64_t results, taps, last_tap, every, start, step;
};

static struct side backward_side(int64_t size, int64_t pad, int64_t taps, int64_t dilation, int64_t stride,
                                 int64_t class) {
    int64_t common = greatest_common_divisor(stride, dilation), first = 0;
    struct side s = {.results = cnn_ceil_div(size - class, stride),
                     .every = stride / common,
                     .step = dilation / common};
    while (first < taps && first < s.every && (class + pad - first * dilation) % stride) first++;
    if (first >= taps || first >= s.every) return s;
    s.taps = (taps - 1 - first) / s.every + 1;
    s.last_tap = first + (s.taps - 1) * s.every;
    s.start = (class + pad - s.last_tap * dilation) / stride;
    return s;
}

struct conv_view cnn_conv_backward_view(const cnn_conv2d *p, int64_t row_class, int64_t column_class) {
    struct side v = backward_side(p->h, p->pad_top, p->kh, p->dilation_h, p->stride_h, row_class);
    struct side h = backward_side(p->w, p->pad_left, p->kw, p->dilation_w, p->stride_w, column_class);
    return (struct conv_view){.n = p->n,
                              .h = p->oh,
                              .w = p->ow,
                              .c = p->k / p->groups,
                              .pixel = p->k,
                              .rows = v.results,
                              .columns = h.results,
                              .taps_h = h.taps ? v.taps : 0,
                              .taps_w = v.taps ? h.taps : 0,
                              .start_h = v.start,
                              .start_w = h.start,
                              .stride_h = 1,
                              .stride_w = 1,
                              .step_h = v.step,
                              .step_w = h.step,
                              .out_pixel = p->c,
                              .out_first = row_class * p->w + column_class,
                              .out_image = p->h * p->w,
                              .out_row = p->stride_h * p->w,
                              .out_step = p->stride_w,
                              .tap_first = v.last_tap * p->kw + h.last_tap,
                              .tap_row = -v.every * p->kw,
                              .tap_step = -h.every};
}
