/* Convolutions: entry points, checks, the views that say which pixel meets which, and the plain-loop reference.
 * Depthwise convolutions go to depthwise.c, all others to conv_dense.c; the layers are cnncli/layers/conv.py and
 * linear.py. */
#include "conv.h"
#include "gemm.h"

/* ---- checks ---- */

#define LARGEST ((int64_t)1 << 40) /* of a single size: sums of a few products of two still fit */

static bool sizes_valid(const cnn_conv2d *p) {
    int64_t sizes[] = {p->n, p->h, p->w, p->c, p->k, p->kh, p->kw, p->stride_h, p->stride_w,
                       p->dilation_h, p->dilation_w, p->groups, p->oh, p->ow};
    int64_t pads[] = {p->pad_top, p->pad_bottom, p->pad_left, p->pad_right};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i] < 1 || sizes[i] > LARGEST) return false;
    for (size_t i = 0; i < sizeof pads / sizeof *pads; i++)
        if (pads[i] < 0 || pads[i] > LARGEST) return false;
    return p->c % p->groups == 0 && p->k % p->groups == 0;
}

/* Whether `out` results of `taps` taps fill a side. */
static bool side_valid(int64_t side, int64_t before, int64_t after, int64_t taps, int64_t dilation, int64_t stride,
                       int64_t out) {
    int64_t reach;
    if (__builtin_mul_overflow(taps - 1, dilation, &reach) || reach > LARGEST * 4) return false;
    int64_t room = side + before + after - reach - 1;
    return room >= 0 && room / stride + 1 == out;
}

static bool valid(const cnn_conv2d *p) {
    if (!sizes_valid(p)) return false;
    if (!side_valid(p->h, p->pad_top, p->pad_bottom, p->kh, p->dilation_h, p->stride_h, p->oh)) return false;
    if (!side_valid(p->w, p->pad_left, p->pad_right, p->kw, p->dilation_w, p->stride_w, p->ow)) return false;
    /* 64: packed weights are padded to whole panels, and backward-weights keeps several partial sums. */
    int64_t x[] = {p->n, p->h, p->w, p->c}, y[] = {p->n, p->oh, p->ow, p->k};
    int64_t weight[] = {p->k + CNN_WIDEST_PANEL, p->c + CNN_WIDEST_PANEL, p->kh, p->kw, 64};
    return cnn_sizes_fit(sizeof(float), 4, x) && cnn_sizes_fit(sizeof(float), 4, y) &&
           cnn_sizes_fit(sizeof(float), 5, weight);
}

/* ---- views ---- */

struct conv_view cnn_conv_forward_view(const cnn_conv2d *p) {
    return (struct conv_view){
        .n = p->n, .h = p->h, .w = p->w, .c = p->c / p->groups, .pixel = p->c,
        .rows = p->oh, .columns = p->ow, .taps_h = p->kh, .taps_w = p->kw,
        .start_h = -p->pad_top, .start_w = -p->pad_left, .stride_h = p->stride_h, .stride_w = p->stride_w,
        .step_h = p->dilation_h, .step_w = p->dilation_w,
        .out_pixel = p->k, .out_image = p->oh * p->ow, .out_row = p->ow, .out_step = 1,
        .tap_row = p->kw, .tap_step = 1};
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
    struct side s = {.results = cnn_ceil_div(size - class, stride), .every = stride / common,
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
    return (struct conv_view){
        .n = p->n, .h = p->oh, .w = p->ow, .c = p->k / p->groups, .pixel = p->k,
        .rows = v.results, .columns = h.results, .taps_h = h.taps ? v.taps : 0, .taps_w = v.taps ? h.taps : 0,
        .start_h = v.start, .start_w = h.start, .stride_h = 1, .stride_w = 1, .step_h = v.step, .step_w = h.step,
        .out_pixel = p->c, .out_first = row_class * p->w + column_class, .out_image = p->h * p->w,
        .out_row = p->stride_h * p->w, .out_step = p->stride_w,
        .tap_first = v.last_tap * p->kw + h.last_tap, .tap_row = -v.every * p->kw, .tap_step = -h.every};
}

/* ---- the reference: the definition, summed in double ---- */

struct reference_work {
    const cnn_conv2d *p;
    const float *in, *other;
    const cnn_finish *finish;
    float *out, *dbias;
};

/* Index of x's pixel (i, j) under tap (s, t) of result (oh, ow), or -1 where it is padding. */
static int64_t pixel_under(const cnn_conv2d *p, int64_t image, int64_t oh, int64_t ow, int64_t s, int64_t t) {
    int64_t i = oh * p->stride_h - p->pad_top + s * p->dilation_h;
    int64_t j = ow * p->stride_w - p->pad_left + t * p->dilation_w;
    if (i < 0 || i >= p->h || j < 0 || j >= p->w) return -1;
    return (image * p->h + i) * p->w + j;
}

/* The sum of one result. */
static double reference_sum(const struct reference_work *work, int64_t image, int64_t oh, int64_t ow, int64_t k) {
    const cnn_conv2d *p = work->p;
    int64_t in = p->c / p->groups, out = p->k / p->groups;
    const float *weight = work->other + k * in * p->kh * p->kw;
    double sum = 0;
    for (int64_t s = 0; s < p->kh; s++) {
        for (int64_t t = 0; t < p->kw; t++) {
            int64_t pixel = pixel_under(p, image, oh, ow, s, t);
            for (int64_t c = 0; pixel >= 0 && c < in; c++)
                sum += (double)work->in[pixel * p->c + k / out * in + c] * weight[(c * p->kh + s) * p->kw + t];
        }
    }
    return sum;
}

/* One image. */
static cnn_status reference_forward(void *context, int64_t image) {
    const struct reference_work *work = context;
    const cnn_conv2d *p = work->p;
    for (int64_t o = 0; o < p->oh * p->ow * p->k; o++) {
        int64_t at = image * p->oh * p->ow * p->k + o, k = o % p->k;
        double sum = reference_sum(work, image, o / p->k / p->ow, o / p->k % p->ow, k);
        work->out[at] = (float)cnn_finished(work->finish, at, k, sum);
    }
    return CNN_OK;
}

/* The same with a finish that is pooled. */
static cnn_status reference_pooled(void *context, int64_t image) {
    const struct reference_work *work = context;
    const cnn_conv2d *p = work->p;
    const cnn_finish before = {.bias = work->finish->bias, .activation = CNN_IDENTITY};
    const cnn_finish after = {.activation = work->finish->activation};
    int64_t rows = p->oh / 2, columns = p->ow / 2;
    for (int64_t o = 0; o < rows * columns * p->k; o++) {
        int64_t at = image * rows * columns * p->k + o, k = o % p->k;
        float largest = 0;
        uint8_t place = 0;
        for (uint8_t tap = 0; tap < 4; tap++) {
            int64_t row = 2 * (o / p->k / columns) + tap / 2, column = 2 * (o / p->k % columns) + tap % 2;
            float value = (float)cnn_finished(&before, 0, k, reference_sum(work, image, row, column, k));
            if (tap && !(value > largest || value != value)) continue;
            largest = value;
            place = tap;
        }
        work->out[at] = (float)cnn_finished(&after, at, k, largest);
        if (work->finish->taps) work->finish->taps[at] = place;
    }
    return CNN_OK;
}

/* One pixel of dx. */
static void reference_pixel(const struct reference_work *work, int64_t image, int64_t i, int64_t j) {
    const cnn_conv2d *p = work->p;
    int64_t in = p->c / p->groups, out = p->k / p->groups;
    int64_t at = ((image * p->h + i) * p->w + j) * p->c;
    for (int64_t c = 0; c < p->c; c++) {
        double sum = 0;
        for (int64_t s = 0; s < p->kh; s++) {
            for (int64_t t = 0; t < p->kw; t++) {
                int64_t y = i + p->pad_top - s * p->dilation_h, x = j + p->pad_left - t * p->dilation_w;
                if (y < 0 || y % p->stride_h || y / p->stride_h >= p->oh) continue;
                if (x < 0 || x % p->stride_w || x / p->stride_w >= p->ow) continue;
                const float *dy = work->in + ((image * p->oh + y / p->stride_h) * p->ow + x / p->stride_w) * p->k;
                for (int64_t k = c / in * out; k < (c / in + 1) * out; k++)
                    sum += (double)dy[k] * work->other[((k * in + c % in) * p->kh + s) * p->kw + t];
            }
        }
        work->out[at + c] = (float)cnn_finished(work->finish, at + c, c, sum);
    }
}

static cnn_status reference_backward_data(void *context, int64_t image) {
    const struct reference_work *work = context;
    for (int64_t i = 0; i < work->p->h; i++)
        for (int64_t j = 0; j < work->p->w; j++) reference_pixel(work, image, i, j);
    return CNN_OK;
}

/* The weights of one output channel. */
static cnn_status reference_backward_weights(void *context, int64_t k) {
    const struct reference_work *work = context;
    const cnn_conv2d *p = work->p;
    int64_t in = p->c / p->groups, first = k / (p->k / p->groups) * in, window = p->kh * p->kw;
    for (int64_t at = 0; at < in * window; at++) {
        int64_t c = at / window, s = at % window / p->kw, t = at % p->kw;
        double sum = 0;
        for (int64_t o = 0; o < p->n * p->oh * p->ow; o++) {
            int64_t pixel = pixel_under(p, o / p->ow / p->oh, o / p->ow % p->oh, o % p->ow, s, t);
            if (pixel >= 0) sum += (double)work->in[pixel * p->c + first + c] * work->other[o * p->k + k];
        }
        work->out[k * in * window + at] = (float)sum;
    }
    if (!work->dbias) return CNN_OK;
    double sum = 0;
    for (int64_t o = 0; o < p->n * p->oh * p->ow; o++) sum += work->other[o * p->k + k];
    work->dbias[k] = (float)sum;
    return CNN_OK;
}

/* ---- entry points ---- */

static const struct conv_family *family(const cnn_conv2d *p, int pass) {
    if (p->groups > 1 && p->groups == p->c && p->groups == p->k) return &cnn_depthwise;
    if (cnn_planar_suits(p, pass)) return &cnn_planar;
    if (cnn_first_suits(p, pass)) return &cnn_first;
    if (!p->exact && cnn_winograd_suits(p, pass)) return &cnn_winograd;
    if (cnn_deep_suits(p, pass)) return &cnn_deep;
    if (cnn_scatter_suits(p, pass)) return &cnn_scatter;
    return &cnn_dense;
}

static bool finish_valid(const cnn_finish *f) {
    return !f || (f->activation >= CNN_IDENTITY && f->activation <= CNN_RELU6);
}

int cnn_conv2d_pools(const cnn_conv2d *p) {
    return valid(p) && p->oh > 1 && p->ow > 1 && family(p, CNN_FORWARD)->pools;
}

static bool pooling_valid(const cnn_conv2d *p, const cnn_finish *f) {
    return !f || !f->pooled || (cnn_conv2d_pools(p) && !f->add && !f->gate);
}

int64_t cnn_conv2d_workspace(const cnn_conv2d *p, int pass) {
    if (!valid(p) || pass < CNN_FORWARD || pass > CNN_BACKWARD_WEIGHTS) return -1;
    return family(p, pass)->workspace(p, pass) * (int64_t)sizeof(float);
}

int64_t cnn_conv2d_packed(const cnn_conv2d *p, int pass) {
    if (!valid(p) || pass < CNN_FORWARD || pass > CNN_BACKWARD_DATA) return -1;
    return family(p, pass)->packed(p, pass) * (int64_t)sizeof(float);
}

cnn_status cnn_conv2d_pack(const cnn_conv2d *p, int pass, const float *weight, float *packed) {
    if (!valid(p) || pass < CNN_FORWARD || pass > CNN_BACKWARD_DATA) return CNN_INVALID;
    return cnn_use_reference() || !family(p, pass)->packed(p, pass) ? CNN_OK
                                                                   : family(p, pass)->pack(p, pass, weight, packed);
}

cnn_status cnn_conv2d_forward(const cnn_conv2d *p, const float *x, const float *weight, const float *packed,
                              const cnn_finish *finish, float *y, void *workspace) {
    if (!valid(p) || !finish_valid(finish) || !pooling_valid(p, finish)) return CNN_INVALID;
    if (cnn_use_reference()) {
        struct reference_work work = {p, x, weight, finish, y, NULL};
        return cnn_parallel(finish && finish->pooled ? reference_pooled : reference_forward, &work, p->n);
    }
    return family(p, CNN_FORWARD)->forward(p, x, weight, packed, finish, y, workspace);
}

cnn_status cnn_conv2d_backward_data(const cnn_conv2d *p, const float *dy, const float *weight, const float *packed,
                                    const cnn_finish *finish, float *dx, void *workspace) {
    if (!valid(p) || !finish_valid(finish) || (finish && finish->pooled)) return CNN_INVALID;
    if (cnn_use_reference()) {
        struct reference_work work = {p, dy, weight, finish, dx, NULL};
        return cnn_parallel(reference_backward_data, &work, p->n);
    }
    return family(p, CNN_BACKWARD_DATA)->backward_data(p, dy, weight, packed, finish, dx, workspace);
}

cnn_status cnn_conv2d_backward_weights(const cnn_conv2d *p, const float *x, const float *dy, float *dweight,
                                       float *dbias, void *workspace) {
    if (!valid(p)) return CNN_INVALID;
    if (cnn_use_reference()) {
        struct reference_work work = {p, x, dy, NULL, dweight, dbias};
        return cnn_parallel(reference_backward_weights, &work, p->k);
    }
    return family(p, CNN_BACKWARD_WEIGHTS)->backward_weights(p, x, dy, dweight, dbias, workspace);
}
