/* Activations: entry points, checks and the plain-loop reference. The vector version is pointwise_tmpl.c, what goes over
 * maps of bfloat16 bf16_pointwise.c; the layers that call this are cnncli/layers/activation.py. */
#include "pointwise.h"

static void forward_reference(int activation, float slope, int64_t count, const void *from, void *to) {
    const float *x = from;
    float *y = to;
    for (int64_t i = 0; i < count; i++) y[i] = pointwise_activate(activation, slope, x[i]);
}

static void backward_reference(int activation, float slope, int64_t count, const void *before, const void *behind,
                               const void *from, void *to) {
    const float *x = before, *y = behind, *dy = from;
    float *dx = to;
    for (int64_t i = 0; i < count; i++) dx[i] = pointwise_slope(activation, slope, x ? x[i] : 0, y ? y[i] : 0) * dy[i];
}

#define CNN_TEMPLATE "pointwise_tmpl.c"
#include "foreach_isa.h"

static const struct pointwise_kernels reference = {forward_reference, backward_reference};
static const struct pointwise_kernels *const tables[] = CNN_TABLES(pointwise_kernels);

static const struct pointwise_kernels *kernels(int storage) {
    if (storage == CNN_BFLOAT16) return cnn_bf16_pointwise();
    return cnn_use_reference() ? &reference : tables[cnn_table_index()];
}

struct pointwise_work {
    int storage, activation;
    float slope;
    int64_t count;
    const void *x, *y, *dy;
    void *out;
};

/* A piece's part of an array. */
static void *part(const struct pointwise_work *work, int64_t chunk, const void *array) {
    return (void *)cnn_bf16_at(array, work->storage, chunk * CNN_PIECE);
}

static cnn_status forward_chunk(void *context, int64_t chunk) {
    const struct pointwise_work *work = context;
    int64_t count = CNN_MIN(CNN_PIECE, work->count - chunk * CNN_PIECE);
    kernels(work->storage)
        ->forward(work->activation, work->slope, count, part(work, chunk, work->x), part(work, chunk, work->out));
    return CNN_OK;
}

static cnn_status backward_chunk(void *context, int64_t chunk) {
    const struct pointwise_work *work = context;
    int64_t count = CNN_MIN(CNN_PIECE, work->count - chunk * CNN_PIECE);
    kernels(work->storage)
        ->backward(work->activation, work->slope, count, part(work, chunk, work->x), part(work, chunk, work->y),
                   part(work, chunk, work->dy), part(work, chunk, work->out));
    return CNN_OK;
}

static cnn_status forward(const struct pointwise_work *work) {
    if (work->activation < CNN_RELU || work->activation > CNN_TANH || work->count < 0) return CNN_INVALID;
    return cnn_parallel(forward_chunk, (void *)work, cnn_ceil_div(work->count, CNN_PIECE));
}

static cnn_status backward(const struct pointwise_work *work) {
    if (work->activation < CNN_RELU || work->activation > CNN_TANH || work->count < 0) return CNN_INVALID;
    if (work->activation == CNN_SILU ? !work->x : !work->y) return CNN_INVALID;
    return cnn_parallel(backward_chunk, (void *)work, cnn_ceil_div(work->count, CNN_PIECE));
}

cnn_status cnn_activation_forward(int activation, float slope, int64_t count, const float *x, float *y) {
    return forward(&(struct pointwise_work){CNN_FLOAT32, activation, slope, count, x, NULL, NULL, y});
}

cnn_status cnn_activation_backward(int activation, float slope, int64_t count, const float *x, const float *y,
                                   const float *dy, float *dx) {
    return backward(&(struct pointwise_work){CNN_FLOAT32, activation, slope, count, x, y, dy, dx});
}

cnn_status cnn_bf16_activation_forward(int activation, float slope, int64_t count, const uint16_t *x, uint16_t *y) {
    return forward(&(struct pointwise_work){CNN_BFLOAT16, activation, slope, count, x, NULL, NULL, y});
}

cnn_status cnn_bf16_activation_backward(int activation, float slope, int64_t count, const uint16_t *x,
                                        const uint16_t *y, const uint16_t *dy, uint16_t *dx) {
    return backward(&(struct pointwise_work){CNN_BFLOAT16, activation, slope, count, x, y, dy, dx});
}
