/* Depthwise convolutions: backward-weights. A vector of channels' taps are summed in registers over rows of dy; ranges
 * of rows have partial sums of their own, which are added up in order. Called through depthwise.c. */
#include "depthwise_weights.h"

#define CNN_TEMPLATE "depthwise_weights_tmpl.c"
#include "foreach_isa.h"

static const struct depthwise_weights_kernels *const tables[] = CNN_TABLES(depthwise_weights_kernels);

#define CHUNKS 16       /* where there is work for so many */
#define RANGE_PIXELS 32 /* results that are worth partial sums of their own */
/* Numbers of x that stay in L2, with what follows, while rows of dy are gone over: as many of bfloat16, because the sum
 * of dy is rounded from sweep to sweep, and is to be the same. */
#define SWEEP_NUMBERS 32768

/* The widest vectors that the channels fill. */
static const struct depthwise_weights_kernels *kernels_for(int64_t channels, int storage) {
    if (storage == CNN_BFLOAT16) return cnn_bf16_depthwise_weights(channels);
    int index = cnn_table_index();
    while (index > 0 && tables[index]->lanes > channels) index--;
    return tables[index];
}

struct weights_work {
    const struct conv_view *view;
    const struct depthwise_weights_kernels *kernels;
    depthwise_weights_kernel kernel;
    int storage; /* of x and dy */
    const void *x, *dy;
    float *partial, *dweight, *dbias;
    int64_t lanes, vectors, size; /* size: floats of a vector's sums */
    int64_t rows, count, ranges;  /* rows of dy, of a range; ranges */
    int64_t group, groups;        /* vectors a chunk, chunks of them */
    bool ahead;                   /* whether memory is worth asking ahead */
};

/* Where a vector of channels begins. */
static int64_t vector_start(const struct weights_work *w, int64_t vector) {
    return CNN_MAX(0, CNN_MIN(vector * w->lanes, w->view->pixel - w->lanes));
}

/* A vector's share of the rows of dy from `row` on, and of the rows of x under them, spread over `count` rows. */
static void ask_for(const struct weights_work *w, int64_t row, int64_t vector, int64_t count,
                    struct depthwise_ahead *ahead) {
    const struct conv_view *v = w->view;
    int64_t y = v->start_h + row % v->rows * v->stride_h + v->taps_h - 1;
    int64_t blocks = cnn_ceil_div(v->columns, ASK_COLUMNS), shares = w->vectors * blocks;
    ahead->dy_share = cnn_ceil_div(v->columns * v->pixel, shares);
    ahead->x_share = cnn_ceil_div(v->stride_h * v->w * v->pixel, shares);
    int64_t x = (row / v->rows * v->h + y) * v->w * v->pixel + vector * count * blocks * ahead->x_share;
    int64_t dy = row * v->columns * v->pixel + vector * count * blocks * ahead->dy_share;
    ahead->x = cnn_bf16_at(w->x, w->storage, x);
    ahead->dy = cnn_bf16_at(w->dy, w->storage, dy);
}

static cnn_status weights_chunk(void *context, int64_t chunk) {
    const struct weights_work *w = context;
    const struct conv_view *v = w->view;
    int64_t first = chunk % w->groups * w->group, last = CNN_MIN(first + w->group, w->vectors);
    int64_t range = chunk / w->groups, begin = range * w->count, end = CNN_MIN(begin + w->count, w->rows);
    float *partial = w->partial + range * w->vectors * w->size;
    memset(partial + first * w->size, 0, (size_t)((last - first) * w->size) * sizeof *partial);
    int64_t sweep = CNN_MAX(1, SWEEP_NUMBERS / (v->w * (last - first) * w->lanes) / v->stride_h);
    int64_t part = v->pixel < w->lanes ? v->pixel : 0;
    for (int64_t row = begin; row < end; row += sweep) {
        int64_t count = CNN_MIN(sweep, end - row), next = row + count;
        struct depthwise_ahead ahead = depthwise_nothing_ahead;
        for (int64_t vector = first; vector < last; vector++) {
            int64_t c = vector_start(w, vector);
            const void *x = cnn_bf16_at(w->x, w->storage, c), *dy = cnn_bf16_at(w->dy, w->storage, c);
            float *sums = partial + vector * w->size;
            if (w->ahead && next < end) ask_for(w, next, vector, count, &ahead);
            w->kernel(v, x, dy, row, count, sums, &ahead);
            if (w->dbias) w->kernels->bias(v, part, dy, row, count, sums + w->size - w->lanes);
        }
    }
    return CNN_OK;
}

/* Adds up the ranges of a group of vectors, in order, and puts the sums where they belong. */
static cnn_status sum_chunk(void *context, int64_t chunk) {
    const struct weights_work *w = context;
    int64_t first = chunk * w->group, last = CNN_MIN(first + w->group, w->vectors);
    int64_t taps = w->view->taps_h * w->view->taps_w;
    float *sums = w->partial + first * w->size;
    for (int64_t range = 1; range < w->ranges; range++) {
        const float *part = sums + range * w->vectors * w->size;
        for (int64_t i = 0; i < (last - first) * w->size; i++) sums[i] += part[i];
    }
    for (int64_t vector = first; vector < last; vector++, sums += w->size) {
        int64_t start = vector_start(w, vector), end = CNN_MIN((vector + 1) * w->lanes, w->view->pixel);
        for (int64_t c = vector * w->lanes; c < end; c++) {
            for (int64_t tap = 0; tap < taps; tap++) w->dweight[c * taps + tap] = sums[tap * w->lanes + c - start];
            if (w->dbias) w->dbias[c] = sums[taps * w->lanes + c - start];
        }
    }
    return CNN_OK;
}

static int64_t weights_ranges(const cnn_conv2d *p) {
    int64_t pixels = p->n * p->oh * p->ow;
    return CNN_MAX(1, CNN_MIN(CNN_MIN(CHUNKS, p->n * p->oh), pixels / RANGE_PIXELS));
}

cnn_status cnn_depthwise_weights(const cnn_conv2d *p, int storage, const void *x, const void *dy, float *dweight,
                                 float *dbias, float *workspace) {
    struct conv_view view = cnn_conv_forward_view(p);
    const struct depthwise_weights_kernels *kernels = kernels_for(p->c, storage);
    struct weights_work work = {.view = &view,
                                .kernels = kernels,
                                .storage = storage,
                                .x = x,
                                .dy = dy,
                                .partial = workspace,
                                .dweight = dweight,
                                .dbias = dbias,
                                .lanes = kernels->lanes,
                                .vectors = cnn_ceil_div(p->c, kernels->lanes),
                                .size = (p->kh * p->kw + 1) * kernels->lanes,
                                .rows = p->n * p->oh};
    work.kernel = cnn_depthwise_common(p) ? kernels->weights[p->kw == 5][p->stride_w - 1] : kernels->general_weights;
    work.count = cnn_ceil_div(work.rows, weights_ranges(p));
    work.ranges = cnn_ceil_div(work.rows, work.count);
    work.group = CNN_MAX(1, work.vectors / cnn_ceil_div(CHUNKS, work.ranges));
    work.groups = cnn_ceil_div(work.vectors, work.group);
    work.ahead = work.groups == 1 && cnn_depthwise_large(p, storage);
    cnn_status status = cnn_parallel(weights_chunk, &work, work.ranges * work.groups);
    if (status != CNN_OK) return status;
    return cnn_parallel(sum_chunk, &work, work.groups);
}

int64_t cnn_depthwise_workspace(const cnn_conv2d *p, int pass) {
    if (pass != CNN_BACKWARD_WEIGHTS) return 0;
    return weights_ranges(p) * (p->kh * p->kw + 1) * cnn_round_up(p->c, 16);
}
