/* Convolutions of images, backward-weights: the sum over results of what each says of the taps that made it. Vectors
 * run over output channels; ranges of rows have partial sums of their own, which are added up in order. */
#include "conv_first.h"

static const struct first_weights_kernels *const tables[] = CNN_TABLES(cnn_first_weights_kernels);

#define RANGES 16
#define RANGE_PIXELS 64   /* results that are worth partial sums of their own */
#define SWEEP_FLOATS 4096 /* dy that stays in L1 while one vector after the other goes over it */

struct weights_work {
    const cnn_conv2d *p;
    const struct conv_view *view;
    const struct first_weights_kernels *kernels;
    first_weights_kernel kernel;
    const float *x, *dy;
    float *partial, *dweight, *dbias;     /* partial: [ranges][vectors][c * taps + 1][lanes], the last the bias */
    int64_t vectors, size, count, ranges; /* size: floats of a vector; count: rows of dy of a range */
};

static cnn_status weights_chunk(void *context, int64_t range) {
    const struct weights_work *w = context;
    const cnn_conv2d *p = w->p;
    int64_t lanes = w->kernels->lanes, taps = p->kh * p->kw, end = CNN_MIN((range + 1) * w->count, p->n * p->oh);
    int64_t sweep = CNN_MAX(1, SWEEP_FLOATS / (p->ow * p->k));
    float *partial = w->partial + range * w->vectors * w->size;
    memset(partial, 0, (size_t)(w->vectors * w->size) * sizeof *partial);
    for (int64_t row = range * w->count; row < end; row += sweep) {
        int64_t rows = CNN_MIN(sweep, end - row);
        for (int64_t vector = 0; vector < w->vectors; vector++) {
            const float *dy = w->dy + first_vector(vector, lanes, p->k);
            float *sums = partial + vector * w->size;
            for (int64_t c = 0; c < p->c; c++, sums += taps * lanes)
                w->kernel(w->view, w->x + c, dy, p->k, row, rows, sums);
            if (w->dbias) w->kernels->bias(dy + row * p->ow * p->k, p->k, rows * p->ow, sums);
        }
    }
    return CNN_OK;
}

/* Adds up the ranges, in order, and puts the sums where they belong. */
static cnn_status sum_chunk(void *context, int64_t vector) {
    const struct weights_work *w = context;
    const cnn_conv2d *p = w->p;
    int64_t lanes = w->kernels->lanes, depth = p->c * p->kh * p->kw, start = first_vector(vector, lanes, p->k);
    float *sums = w->partial + vector * w->size;
    for (int64_t range = 1; range < w->ranges; range++) {
        const float *part = sums + range * w->vectors * w->size;
        for (int64_t i = 0; i < w->size; i++) sums[i] += part[i];
    }
    for (int64_t k = vector * lanes; k < CNN_MIN((vector + 1) * lanes, p->k); k++) {
        for (int64_t i = 0; i < depth; i++) w->dweight[k * depth + i] = sums[i * lanes + k - start];
        if (w->dbias) w->dbias[k] = sums[depth * lanes + k - start];
    }
    return CNN_OK;
}

static int64_t weights_ranges(const cnn_conv2d *p) {
    return CNN_MAX(1, CNN_MIN(CNN_MIN(RANGES, p->n * p->oh), p->n * p->oh * p->ow / RANGE_PIXELS));
}

cnn_status cnn_first_backward_weights(const cnn_conv2d *p, const float *x, const float *dy, float *dweight,
                                      float *dbias, float *workspace) {
    struct conv_view view = cnn_conv_forward_view(p);
    const struct first_weights_kernels *kernels = tables[first_table(p)];
    struct weights_work work = {.p = p,
                                .view = &view,
                                .kernels = kernels,
                                .kernel = kernels->weights[first_shape(p)],
                                .x = x,
                                .dy = dy,
                                .partial = workspace,
                                .dweight = dweight,
                                .dbias = dbias,
                                .vectors = cnn_ceil_div(p->k, kernels->lanes),
                                .size = (p->c * p->kh * p->kw + 1) * kernels->lanes};
    work.count = cnn_ceil_div(p->n * p->oh, weights_ranges(p));
    work.ranges = cnn_ceil_div(p->n * p->oh, work.count);
    cnn_status status = cnn_parallel(weights_chunk, &work, work.ranges);
    if (status != CNN_OK) return status;
    return cnn_parallel(sum_chunk, &work, work.vectors);
}

int64_t cnn_first_weights_workspace(const cnn_conv2d *p) {
    return weights_ranges(p) * (p->c * p->kh * p->kw + 1) * cnn_round_up(p->k, WIDEST);
}
