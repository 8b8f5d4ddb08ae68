/* Activations: entry points, checks and the plain-loop reference. The vector version is pointwise_tmpl.c; the
 * layers that call this are cnncli/layers/activation.py. */
#include "internal.h"

struct pointwise_kernels {
    void (*forward)(int activation, float slope, int64_t count, const float *x, float *y);
    void (*backward)(int activation, float slope, int64_t count, const float *x, const float *y, const float *dy,
                     float *dx);
};

static float activate(int activation, float slope, float x) {
    switch (activation) {
        case CNN_RELU: return x < 0 ? 0 : x; /* NaN stays NaN */
        case CNN_RELU6: return x < 0 ? 0 : x > 6 ? 6 : x;
        case CNN_LEAKY_RELU: return x < 0 ? slope * x : x;
        case CNN_SILU: return x / (1 + expf(-x));
        case CNN_SIGMOID: return 1 / (1 + expf(-x));
        default: return tanhf(x);
    }
}

/* The slope of `activation` at x, where y = activate(x) is known. */
static float derivative(int activation, float slope, float x, float y) {
    switch (activation) {
        case CNN_RELU: return y > 0 ? 1 : 0;
        case CNN_RELU6: return y > 0 && y < 6 ? 1 : 0;
        case CNN_LEAKY_RELU: return y > 0 ? 1 : slope;
        case CNN_SILU: {
            float s = 1 / (1 + expf(-x));
            return s * (1 + x * (1 - s));
        }
        case CNN_SIGMOID: return y * (1 - y);
        default: return 1 - y * y;
    }
}

static void forward_reference(int activation, float slope, int64_t count, const float *x, float *y) {
    for (int64_t i = 0; i < count; i++) y[i] = activate(activation, slope, x[i]);
}

static void backward_reference(int activation, float slope, int64_t count, const float *x, const float *y,
                               const float *dy, float *dx) {
    for (int64_t i = 0; i < count; i++) dx[i] = derivative(activation, slope, x ? x[i] : 0, y ? y[i] : 0) * dy[i];
}

#define CNN_TEMPLATE "pointwise_tmpl.c"
#include "foreach_isa.h"

static const struct pointwise_kernels reference = {forward_reference, backward_reference};
static const struct pointwise_kernels *const tables[] = CNN_TABLES(pointwise_kernels);

static const struct pointwise_kernels *kernels(void) {
    return cnn_use_reference() ? &reference : tables[cnn_table_index()];
}

struct pointwise_work {
    const struct pointwise_kernels *kernels;
    int activation;
    float slope;
    int64_t count;
    const float *x, *y, *dy;
    float *out;
};

static cnn_status forward_chunk(void *context, int64_t chunk) {
    const struct pointwise_work *work = context;
    int64_t start = chunk * CNN_PIECE, count = CNN_MIN(CNN_PIECE, work->count - start);
    work->kernels->forward(work->activation, work->slope, count, work->x + start, work->out + start);
    return CNN_OK;
}

static cnn_status backward_chunk(void *context, int64_t chunk) {
    const struct pointwise_work *work = context;
    int64_t start = chunk * CNN_PIECE, count = CNN_MIN(CNN_PIECE, work->count - start);
    work->kernels->backward(work->activation, work->slope, count, work->x ? work->x + start : NULL,
                            work->y ? work->y + start : NULL, work->dy + start, work->out + start);
    return CNN_OK;
}

cnn_status cnn_activation_forward(int activation, float slope, int64_t count, const float *x, float *y) {
    if (activation < CNN_RELU || activation > CNN_TANH || count < 0) return CNN_INVALID;
    struct pointwise_work work = {kernels(), activation, slope, count, x, NULL, NULL, y};
    return cnn_parallel(forward_chunk, &work, cnn_ceil_div(count, CNN_PIECE));
}

cnn_status cnn_activation_backward(int activation, float slope, int64_t count, const float *x, const float *y,
                                   const float *dy, float *dx) {
    if (activation < CNN_RELU || activation > CNN_TANH || count < 0) return CNN_INVALID;
    if (activation == CNN_SILU ? !x : !y) return CNN_INVALID;
    struct pointwise_work work = {kernels(), activation, slope, count, x, y, dy, dx};
    return cnn_parallel(backward_chunk, &work, cnn_ceil_div(count, CNN_PIECE));
}
