/* Depthwise convolutions: backward-weights. A vector of channels' taps are summed in registers over rows of dy; ranges
 * of rows have partial sums of their own, which are added up in order. Called through depthwise.c. */
#include "depthwise_weights.h"

#define CNN_TEMPLATE "depthwise_weights_tmpl.c"
#include "foreach_isa.h"

static const struct depthwise_weights_kernels *const tables[] = CNN_TABLES(depthwise_weights_kernels);

#define CHUNKS 16       /* where there is work for so many */
#define RANGE_PIXELS 32 /* results that are worth partial sums of their own */
/* Vectors are taken one after the other, a few to each of so many shares, where ranges have fewer results than this, and
 * where dy has fewer bytes: a walk by pixels through memory is slow. */
#define SHARES 8
#define SHORT_RANGE 400
#define CACHED_BYTES (24 << 20)
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
    int64_t group, groups;        /* vectors that share sweeps, groups of them */
    int64_t share;                /* vectors a chunk, where a chunk goes over all ranges */
    bool ahead;                   /* whether memory is worth asking ahead */
};

/* Where a vector of channels begins. */
static int64_t vector_start(const struct weights_work *w, int64_t vector) {
    return CNN_MAX(0, CNN_MIN(vector * w->lanes, w->view->pixel - w->lanes));
}

/* Rows of a sweep over the vectors of a group. */
static int64_t sweep_rows(const struct weights_work *w, int64_t group) {
    int64_t vectors = CNN_MIN(w->group, w->vectors - group * w->group);
    return CNN_MAX(1, SWEEP_NUMBERS / (w->view->w * vectors * w->lanes) / w->view->stride_h);
}

/* What a vector asks for in a sweep that the sweep from `row` on will read: its share, in the order of memory. */
static struct depthwise_ahead ask_in_order(const struct weights_work *w, int64_t row, int64_t vector, int64_t count) {
    const struct conv_view *v = w->view;
    int64_t step = v->stride_h * v->stride_w * w->lanes, before = vector * count * v->columns;
    int64_t y = v->start_h + row % v->rows * v->stride_h + v->taps_h - 1;
    int64_t x = (row / v->rows * v->h + y) * v->w * v->pixel + before * step;
    int64_t dy = row * v->columns * v->pixel + before * w->lanes;
    return (struct depthwise_ahead){cnn_bf16_at(w->x, w->storage, x),
                                    cnn_bf16_at(w->dy, w->storage, dy),
                                    .x_pixel = w->lanes,
                                    .x_line = v->stride_w * w->lanes,
                                    .x_step = step,
                                    .x_row = v->columns * step,
                                    .dy_step = w->lanes,
                                    .dy_row = v->columns * w->lanes};
}

/* The same of what this very vector, from channel c on, will read. */
static struct depthwise_ahead ask_for(const struct weights_work *w, int64_t row, int64_t c) {
    const struct conv_view *v = w->view;
    int64_t x = (row / v->rows * v->h + row % v->rows * v->stride_h) * v->w * v->pixel + c;
    int64_t dy = row * v->columns * v->pixel + c;
    return (struct depthwise_ahead){cnn_bf16_at(w->x, w->storage, x),
                                    cnn_bf16_at(w->dy, w->storage, dy),
                                    .x_pixel = v->pixel,
                                    .x_line = v->w * v->pixel,
                                    .x_step = v->stride_w * v->pixel,
                                    .x_row = v->stride_h * v->w * v->pixel,
                                    .dy_step = v->pixel,
                                    .dy_row = v->columns * v->pixel};
}

/* A group of vectors over a range of rows, in sweeps: partial sums. */
static cnn_status range_chunk(void *context, int64_t chunk) {
    const struct weights_work *w = context;
    const struct conv_view *v = w->view;
    int64_t group = chunk % w->groups, first = group * w->group, last = CNN_MIN(first + w->group, w->vectors);
    int64_t range = chunk / w->groups, begin = range * w->count, end = CNN_MIN(begin + w->count, w->rows);
    float *partial = w->partial + range * w->vectors * w->size;
    int64_t sweep = sweep_rows(w, group), part = v->pixel < w->lanes ? v->pixel : 0;
    for (int64_t row = begin; row < end; row += sweep) {
        int64_t count = CNN_MIN(sweep, end - row), next = row + count;
        enum depthwise_sums mode = row == begin ? SUMS_BEGIN : SUMS_GO_ON;
        for (int64_t vector = first; vector < last; vector++) {
            int64_t c = vector_start(w, vector);
            const void *x = cnn_bf16_at(w->x, w->storage, c), *dy = cnn_bf16_at(w->dy, w->storage, c);
            float *sums = partial + vector * w->size;
            struct depthwise_ahead ahead = {.x = x, .dy = dy};
            if (w->ahead && next < end) ahead = ask_in_order(w, next, vector, count);
            w->kernel(v, x, dy, row, count, sums, mode, &ahead);
            if (w->dbias) w->kernels->bias(v, part, dy, row, count, sums + w->size - w->lanes, mode);
        }
    }
    return CNN_OK;
}

/* Puts a vector's sums where they belong. */
static void put(const struct weights_work *w, int64_t vector, const float *sums) {
    int64_t taps = w->view->taps_h * w->view->taps_w;
    int64_t start = vector_start(w, vector), end = CNN_MIN((vector + 1) * w->lanes, w->view->pixel);
    for (int64_t c = vector * w->lanes; c < end; c++) {
        for (int64_t tap = 0; tap < taps; tap++) w->dweight[c * taps + tap] = sums[tap * w->lanes + c - start];
        if (w->dbias) w->dbias[c] = sums[taps * w->lanes + c - start];
    }
}

/* Adds up the ranges of a group of vectors, in order. */
static cnn_status sum_chunk(void *context, int64_t chunk) {
    const struct weights_work *w = context;
    int64_t first = chunk * w->group, last = CNN_MIN(first + w->group, w->vectors);
    float *sums = w->partial + first * w->size;
    for (int64_t range = 1; range < w->ranges; range++) {
        const float *part = sums + range * w->vectors * w->size;
        for (int64_t i = 0; i < (last - first) * w->size; i++) sums[i] += part[i];
    }
    for (int64_t vector = first; vector < last; vector++, sums += w->size) put(w, vector, sums);
    return CNN_OK;
}

/* The sum of dy over a range, in the sweeps that the vector's group would take. */
static void range_bias(const struct weights_work *w, int64_t vector, const void *dy, int64_t begin, int64_t end,
                       float *sums) {
    float bias[16];
    int64_t sweep = sweep_rows(w, vector / w->group), part = w->view->pixel < w->lanes ? w->view->pixel : 0;
    for (int64_t row = begin; row < end; row += sweep)
        w->kernels->bias(w->view, part, dy, row, CNN_MIN(sweep, end - row), bias,
                         row == begin ? SUMS_BEGIN : SUMS_GO_ON);
    for (int64_t i = 0; i < w->lanes; i++) sums[i] = begin == 0 ? bias[i] : sums[i] + bias[i];
}

/* A few vectors over all ranges, whose sums are added up at once: where ranges are short, partial sums would be as large
 * as x and dy. */
static cnn_status vectors_chunk(void *context, int64_t chunk) {
    const struct weights_work *w = context;
    const struct conv_view *v = w->view;
    int64_t first = chunk * w->share, last = CNN_MIN(first + w->share, w->vectors);
    for (int64_t row = 0; row < w->rows; row += w->count) {
        int64_t end = CNN_MIN(row + w->count, w->rows);
        for (int64_t vector = first; vector < last; vector++) {
            int64_t c = vector_start(w, vector);
            const void *x = cnn_bf16_at(w->x, w->storage, c), *dy = cnn_bf16_at(w->dy, w->storage, c);
            float *sums = w->partial + vector * w->size;
            struct depthwise_ahead ahead = {.x = x, .dy = dy};
            if (w->ahead) ahead = end < w->rows ? ask_for(w, end, c) : ask_for(w, 0, c + w->share * w->lanes);
            w->kernel(v, x, dy, row, end - row, sums, row == 0 ? SUMS_BEGIN : SUMS_ADD, &ahead);
            if (w->dbias) range_bias(w, vector, dy, row, end, sums + w->size - w->lanes);
        }
    }
    for (int64_t vector = first; vector < last; vector++) put(w, vector, w->partial + vector * w->size);
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
    if (work.vectors >= CHUNKS && work.count * p->ow < SHORT_RANGE &&
        work.rows * p->ow * p->c * cnn_bf16_bytes(storage) < CACHED_BYTES) {
        work.share = work.vectors / SHARES;
        work.ahead = cnn_depthwise_large(p, storage);
        return cnn_parallel(vectors_chunk, &work, cnn_ceil_div(work.vectors, work.share));
    }
    work.ahead = work.groups == 1 && cnn_depthwise_large(p, storage);
    cnn_status status = cnn_parallel(range_chunk, &work, work.ranges * work.groups);
    if (status != CNN_OK) return status;
    return cnn_parallel(sum_chunk, &work, work.groups);
}

int64_t cnn_depthwise_workspace(const cnn_conv2d *p, int pass) {
    if (pass != CNN_BACKWARD_WEIGHTS) return 0;
    return weights_ranges(p) * (p->kh * p->kw + 1) * cnn_round_up(p->c, 16);
}
