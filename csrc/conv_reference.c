/* Convolutions as plain loops: the definition of every pass, summed in double. All families are tested against it. */
#include "conv_family.h"
#include "finish.h"

struct work {
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
static double sum_of(const struct work *work, int64_t image, int64_t oh, int64_t ow, int64_t k) {
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
static cnn_status forward_image(void *context, int64_t image) {
    const struct work *work = context;
    const cnn_conv2d *p = work->p;
    for (int64_t o = 0; o < p->oh * p->ow * p->k; o++) {
        int64_t at = image * p->oh * p->ow * p->k + o, k = o % p->k;
        double sum = sum_of(work, image, o / p->k / p->ow, o / p->k % p->ow, k);
        work->out[at] = (float)cnn_finished(work->finish, at, k, sum);
    }
    return CNN_OK;
}

/* The same with a finish that is pooled. */
static cnn_status pooled_image(void *context, int64_t image) {
    const struct work *work = context;
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
            float value = (float)cnn_finished(&before, 0, k, sum_of(work, image, row, column, k));
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
static void backward_pixel(const struct work *work, int64_t image, int64_t i, int64_t j) {
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

static cnn_status backward_image(void *context, int64_t image) {
    const struct work *work = context;
    for (int64_t i = 0; i < work->p->h; i++)
        for (int64_t j = 0; j < work->p->w; j++) backward_pixel(work, image, i, j);
    return CNN_OK;
}

/* The weights of one output channel. */
static cnn_status weights_channel(void *context, int64_t k) {
    const struct work *work = context;
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

/* ---- the family ---- */

static cnn_status forward(const cnn_conv2d *p, const float *x, const float *weight, const float *packed,
                          const cnn_finish *finish, float *y, float *workspace) {
    (void)packed, (void)workspace;
    struct work work = {p, x, weight, finish, y, NULL};
    return cnn_parallel(finish && finish->pooled ? pooled_image : forward_image, &work, p->n);
}

static cnn_status backward_data(const cnn_conv2d *p, const float *dy, const float *weight, const float *packed,
                                const cnn_finish *finish, float *dx, float *workspace) {
    (void)packed, (void)workspace;
    struct work work = {p, dy, weight, finish, dx, NULL};
    return cnn_parallel(backward_image, &work, p->n);
}

static cnn_status backward_weights(const cnn_conv2d *p, const float *x, const float *dy, float *dweight, float *dbias,
                                   float *workspace) {
    (void)workspace;
    struct work work = {p, x, dy, NULL, dweight, dbias};
    return cnn_parallel(weights_channel, &work, p->k);
}

/* Weights are read as they are: nothing of what is chosen for an instruction set is asked of it. */
const struct conv_family cnn_conv_reference = {
    .forward = forward, .backward_data = backward_data, .backward_weights = backward_weights};
