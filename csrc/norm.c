/* Batch normalisation: entry points, and the combining of partial sums. The passes over memory are norm_tmpl.c, those
 * over maps of bfloat16 bf16_norm.c, the plain loops norm_reference.c; the statistics as others may use them are norm.h.
 * The layer is cnncli/layers/norm.py.
 *
 * An array is `rows` (images x pixels) of c channels. Each pass is cut into chunks of whole rows. A chunk's moments
 * are taken in float about the mean of its first eighth, and combined over chunks in double (Chan et al. 1979), so that
 * a large mean costs no digits of the variance: wherever the other rows lie, that centre is within sqrt(7) standard
 * deviations of the chunk's mean, so that three bits are lost at worst. The mean that the second pass subtracts is
 * kept as a float and its rounding error, for the same reason. The second pass takes the chunks last to first: the
 * last are still in cache, and whoever reads its result begins with the first. */
#include "norm.h"
#include "norm_passes.h"

#define CHUNK_FLOATS 32768 /* 128 KiB */
#define CHUNK_ROWS 64      /* chunks are multiples of this, and so of every instruction set's row group */
#define CENTRE_SHARE 8     /* a chunk's centre is the mean of its first eighth */
#define COMBINE_BLOCK 64   /* channels that one chunk of the combining takes */

#define CNN_TEMPLATE "norm_tmpl.c"
#include "foreach_isa.h"

static const struct norm_kernels *const tables[] = CNN_TABLES(norm_kernels);

static int64_t chunk_rows_for(int64_t c) { return cnn_round_up(cnn_ceil_div(CHUNK_FLOATS, c), CHUNK_ROWS); }

static int64_t width_for(int64_t c, int64_t vector) {
    int64_t width = c;
    while (width % vector || width < 4 * vector) width *= 2;
    return width;
}

int64_t cnn_batch_norm_workspace(int64_t rows, int64_t c) {
    if (!cnn_sizes_fit(64, 2, (int64_t[]){rows, c})) return -1;
    return (COEFFICIENTS * c + cnn_ceil_div(rows, chunk_rows_for(c)) * cnn_norm_slot(c)) * (int64_t)sizeof(float);
}

/* ---- statistics ---- */

static void repeat(int64_t c, int64_t width, const float *from, float *to) {
    for (int64_t i = 0; i < width; i += c) memcpy(to + i, from, (size_t)c * sizeof(float));
}

static void fold(int64_t c, int64_t width, const float *from, float *to) {
    memcpy(to, from, (size_t)c * sizeof(float));
    for (int64_t i = c; i < width; i += c)
        for (int64_t k = 0; k < c; k++) to[k] += from[i + k];
}

int64_t cnn_norm_scratch(int64_t c) { return 3 * width_for(c, tables[cnn_table_index()]->vector); }

static void moments(const struct norm_kernels *kernels, int64_t rows, int64_t c, const void *x, float *scratch,
                    float *slot) {
    int64_t width = width_for(c, kernels->vector), head = cnn_ceil_div(rows, CENTRE_SHARE);
    float *centre = scratch, *sums = scratch + width, *squares = sums + width;
    kernels->sum(head * c, width, x, sums);
    fold(c, width, sums, slot);
    for (int64_t k = 0; k < c; k++) slot[k] /= (float)head;
    repeat(c, width, slot, centre);
    kernels->moments(rows * c, width, x, centre, sums, squares);
    fold(c, width, sums, slot + c);
    fold(c, width, squares, slot + 2 * c);
    slot[3 * c] = (float)rows;
}

void cnn_norm_moments(int64_t rows, int64_t c, const float *x, float *scratch, float *slot) {
    moments(tables[cnn_table_index()], rows, c, x, scratch, slot);
}

void cnn_norm_combine(int64_t slots, int64_t c, const float *slot, int64_t from, int64_t to, double *mean,
                      double *square_sum) {
    double seen = 0;
    for (int64_t k = 0; k < to - from; k++) mean[k] = square_sum[k] = 0;
    for (int64_t i = 0; i < slots; i++, slot += cnn_norm_slot(c)) {
        const float *centre = slot + from, *first = centre + c, *second = first + c;
        double rows = slot[3 * c], each = 1 / rows, share = rows / (seen + rows);
        for (int64_t k = 0; k < to - from; k++) {
            double shift = first[k] * each, delta = centre[k] + shift - mean[k];
            double own = second[k] - first[k] * shift;
            square_sum[k] += CNN_MAX(own, 0) + delta * delta * seen * share;
            mean[k] += delta * share;
        }
        seen += rows;
    }
}

/* ---- chunks of the passes ---- */

/* A chunk's part of an array. */
static void *part(const struct norm_work *work, int64_t chunk, const void *array) {
    return (void *)cnn_bf16_at(array, work->storage, chunk * work->chunk_rows * work->c);
}

static int64_t chunk_count(const struct norm_work *work, int64_t chunk) {
    return CNN_MIN(work->chunk_rows, work->rows - chunk * work->chunk_rows) * work->c;
}

static cnn_status moments_chunk(void *context, int64_t chunk) {
    const struct norm_work *work = context;
    int64_t c = work->c;
    float *scratch = cnn_scratch((size_t)cnn_norm_scratch(c) * sizeof(float));
    if (!scratch) return CNN_NO_MEMORY;
    moments(work->kernels, chunk_count(work, chunk) / c, c, part(work, chunk, work->x), scratch,
            work->slots + chunk * cnn_norm_slot(c));
    return CNN_OK;
}

/* A chunk's part of every array, with the coefficients repeated to a group's width in scratch memory, where there is
 * room for two more rows of it. */
static bool span(const struct norm_work *work, int64_t chunk, struct norm_span *s) {
    int64_t width = work->width;
    float *scratch = cnn_scratch((size_t)((COEFFICIENTS + 2) * width) * sizeof(float));
    if (!scratch) return false;
    for (int i = 0; i < COEFFICIENTS; i++)
        repeat(work->c, width, work->coefficients + i * work->c, scratch + i * width);
    *s = (struct norm_span){.count = chunk_count(work, chunk),
                            .width = width,
                            .k = scratch,
                            .gate = work->gate,
                            .active = work->activation != CNN_IDENTITY,
                            .limit = norm_limit(work->activation),
                            .x = part(work, chunk, work->x),
                            .dy = part(work, chunk, work->dy),
                            .y = part(work, chunk, work->y),
                            .add = part(work, chunk, work->add),
                            .out = part(work, chunk, work->out),
                            .first = scratch + COEFFICIENTS * width,
                            .second = scratch + (COEFFICIENTS + 1) * width};
    return true;
}

static cnn_status products_chunk(void *context, int64_t chunk) {
    const struct norm_work *work = context;
    int64_t c = work->c;
    struct norm_span s;
    if (!span(work, chunk, &s)) return CNN_NO_MEMORY;
    bool there = !work->dadd || (work->gate == GATE_NONE && work->dadd == work->dy); /* nothing to write */
    s.out = there ? NULL : part(work, chunk, work->dadd);
    work->kernels->products(&s);
    float *slot = work->slots + chunk * cnn_norm_slot(c);
    fold(c, s.width, s.first, slot + c);
    fold(c, s.width, s.second, slot + 2 * c);
    return CNN_OK;
}

static cnn_status apply_chunk(void *context, int64_t chunk) {
    const struct norm_work *work = context;
    struct norm_span s;
    if (!span(work, work->chunks - 1 - chunk, &s)) return CNN_NO_MEMORY;
    if (work->dy) work->kernels->restore(&s);
    else work->kernels->apply(&s);
    return CNN_OK;
}

/* ---- between the passes: per channel, in double ---- */

/* y = f((x - k0) * k1 + k2 + add) */
static void forward_coefficients(const struct norm_work *work, int64_t k, double mean, double scale) {
    float *out = work->coefficients + k, rounded = (float)mean;
    double factor = scale * (work->weight ? work->weight[k] : 1);
    out[0] = rounded;
    out[work->c] = (float)factor;
    out[2 * work->c] = (float)((work->bias ? work->bias[k] : 0) - (mean - rounded) * factor);
    out[3 * work->c] = out[4 * work->c] = 0;
}

static void keep_statistics(const struct norm_work *work, int64_t k, double mean, double square_sum) {
    double rows = (double)work->rows, variance = square_sum / rows;
    work->mean[k] = mean;
    work->scale[k] = 1 / sqrt(variance + work->eps);
    if (work->running_mean) {
        double old = 1 - work->momentum;
        work->running_mean[k] = (float)(old * work->running_mean[k] + work->momentum * mean);
        work->running_var[k] = (float)(old * work->running_var[k] + work->momentum * square_sum / (rows - 1));
    }
    forward_coefficients(work, k, mean, work->scale[k]);
}

static cnn_status combine_moments(void *context, int64_t block) {
    const struct norm_work *work = context;
    int64_t from = block * COMBINE_BLOCK, to = CNN_MIN(from + COMBINE_BLOCK, work->c);
    double mean[COMBINE_BLOCK], square_sum[COMBINE_BLOCK];
    cnn_norm_combine(work->chunks, work->c, work->slots, from, to, mean, square_sum);
    for (int64_t k = from; k < to; k++) keep_statistics(work, k, mean[k - from], square_sum[k - from]);
    return CNN_OK;
}

/* dx = dz * k1 + (x - k0) * k3 + k4, from the sums over the batch of dz and of dz * (x - float(mean)); k3 and k4 are 0
 * where the statistics do not follow x. */
static void backward_results(const struct norm_work *work, int64_t k, double sum, double product) {
    double mean = work->mean[k], scale = work->scale[k], rows = (double)work->rows;
    double lost = mean - (float)mean, factor = scale * (work->weight ? work->weight[k] : 1);
    double dweight = (product - lost * sum) * scale, slope = work->fixed ? 0 : -factor * scale * dweight / rows;
    float *out = work->coefficients + k;
    out[3 * work->c] = (float)slope;
    out[4 * work->c] = work->fixed ? 0 : (float)(-factor * sum / rows - slope * lost);
    if (work->dweight) work->dweight[k] = (float)dweight;
    if (work->dbias) work->dbias[k] = (float)sum;
}

static cnn_status combine_products(void *context, int64_t block) {
    const struct norm_work *work = context;
    int64_t c = work->c, from = block * COMBINE_BLOCK, channels = CNN_MIN(COMBINE_BLOCK, c - from);
    double sum[COMBINE_BLOCK] = {0}, product[COMBINE_BLOCK] = {0};
    for (int64_t chunk = 0; chunk < work->chunks; chunk++) {
        const float *slot = work->slots + chunk * cnn_norm_slot(c) + from;
        for (int64_t k = 0; k < channels; k++) {
            sum[k] += slot[c + k];
            product[k] += slot[2 * c + k];
        }
    }
    for (int64_t k = 0; k < channels; k++) backward_results(work, from + k, sum[k], product[k]);
    return CNN_OK;
}

/* ---- entry points: of both storages, then of each ---- */

/* Everything but what a pass writes. */
static bool set_up(struct norm_work *work, int storage, const cnn_norm *p, const void *x) {
    const int64_t rows = p->rows, c = p->c;
    if (!cnn_sizes_fit(64, 2, (int64_t[]){rows, c})) return false;
    if (p->activation < CNN_IDENTITY || p->activation > CNN_RELU6) return false;
    work->storage = storage;
    work->rows = rows;
    work->c = c;
    work->x = x;
    work->weight = p->weight;
    work->bias = p->bias;
    work->activation = p->activation;
    work->mean = p->statistics;
    work->scale = p->statistics ? p->statistics + c : NULL;
    work->chunk_rows = chunk_rows_for(c);
    work->chunks = cnn_ceil_div(rows, work->chunk_rows);
    work->coefficients = p->workspace;
    work->slots = work->coefficients + COEFFICIENTS * c;
    if (cnn_use_reference()) return true;
    work->kernels = storage == CNN_BFLOAT16 ? cnn_bf16_norm_passes() : tables[cnn_table_index()];
    work->width = width_for(c, work->kernels->vector);
    return true;
}

static cnn_status train(struct norm_work *work) {
    if (work->rows < 2 || !work->running_mean != !work->running_var) return CNN_INVALID;
    if (!work->kernels) {
        for (int64_t k = 0; k < work->c; k++) {
            double mean, square_sum;
            cnn_norm_moments_reference(work, k, &mean, &square_sum);
            keep_statistics(work, k, mean, square_sum);
            cnn_norm_apply_reference(work, k, work->mean[k], work->scale[k]);
        }
        return CNN_OK;
    }
    cnn_status status = cnn_parallel(moments_chunk, work, work->chunks);
    if (!status) status = cnn_parallel(combine_moments, work, cnn_ceil_div(work->c, COMBINE_BLOCK));
    if (!status) status = cnn_parallel(apply_chunk, work, work->chunks);
    return status;
}

/* With the mean and scale of channel k. */
static void prepare(const struct norm_work *work, int64_t k, double mean, double scale) {
    if (work->kernels) forward_coefficients(work, k, mean, scale);
    else cnn_norm_apply_reference(work, k, mean, scale);
}

static cnn_status again(struct norm_work *work) {
    for (int64_t k = 0; k < work->c; k++) prepare(work, k, work->mean[k], work->scale[k]);
    return work->kernels ? cnn_parallel(apply_chunk, work, work->chunks) : CNN_OK;
}

static cnn_status infer(struct norm_work *work, const float *mean, const float *var) {
    for (int64_t k = 0; k < work->c; k++) {
        double scale = 1 / sqrt(var[k] + work->eps);
        if (work->mean) work->mean[k] = mean[k], work->scale[k] = scale;
        prepare(work, k, mean[k], scale);
    }
    return work->kernels ? cnn_parallel(apply_chunk, work, work->chunks) : CNN_OK;
}

static cnn_status backward(struct norm_work *work) {
    if (work->out && work->out == work->dadd) return CNN_INVALID;
    work->gate = work->activation == CNN_IDENTITY ? GATE_NONE : work->y ? GATE_Y : GATE_X;
    if (!work->kernels) {
        for (int64_t k = 0; k < work->c; k++) cnn_norm_backward_reference(work, k);
        return CNN_OK;
    }
    for (int64_t k = 0; k < work->c; k++) forward_coefficients(work, k, work->mean[k], work->scale[k]);
    cnn_status status = cnn_parallel(products_chunk, work, work->chunks);
    if (!status) status = cnn_parallel(combine_products, work, cnn_ceil_div(work->c, COMBINE_BLOCK));
    if (work->dadd) { /* it holds dz now: nothing to gate any more */
        work->dy = work->dadd;
        work->gate = GATE_NONE;
    }
    if (!status && work->out) status = cnn_parallel(apply_chunk, work, work->chunks);
    return status;
}

cnn_status cnn_batch_norm_train(const cnn_norm *p, double eps, double momentum, const float *add, float *y,
                                float *running_mean, float *running_var) {
    struct norm_work work = {.eps = eps,
                             .momentum = momentum,
                             .add = add,
                             .out = y,
                             .running_mean = running_mean,
                             .running_var = running_var};
    return set_up(&work, CNN_FLOAT32, p, p->x) ? train(&work) : CNN_INVALID;
}

cnn_status cnn_batch_norm_again(const cnn_norm *p, float *y) {
    struct norm_work work = {.out = y};
    return set_up(&work, CNN_FLOAT32, p, p->x) ? again(&work) : CNN_INVALID;
}

cnn_status cnn_batch_norm_infer(const cnn_norm *p, double eps, const float *mean, const float *var, const float *add,
                                float *y) {
    struct norm_work work = {.eps = eps, .add = add, .out = y};
    return set_up(&work, CNN_FLOAT32, p, p->x) ? infer(&work, mean, var) : CNN_INVALID;
}

cnn_status cnn_batch_norm_backward(const cnn_norm *p, const float *y, const float *dy, int fixed, float *dx,
                                   float *dadd, float *dweight, float *dbias) {
    struct norm_work work =
        {.fixed = fixed != 0, .y = y, .dy = dy, .out = dx, .dadd = dadd, .dweight = dweight, .dbias = dbias};
    return set_up(&work, CNN_FLOAT32, p, p->x) ? backward(&work) : CNN_INVALID;
}

/* p->x is not read. */
cnn_status cnn_bf16_batch_norm_train(const cnn_norm *p, double eps, double momentum, const uint16_t *x,
                                     const uint16_t *add, uint16_t *y, float *running_mean, float *running_var) {
    struct norm_work work = {.eps = eps,
                             .momentum = momentum,
                             .add = add,
                             .out = y,
                             .running_mean = running_mean,
                             .running_var = running_var};
    return set_up(&work, CNN_BFLOAT16, p, x) ? train(&work) : CNN_INVALID;
}

cnn_status cnn_bf16_batch_norm_again(const cnn_norm *p, const uint16_t *x, uint16_t *y) {
    struct norm_work work = {.out = y};
    return set_up(&work, CNN_BFLOAT16, p, x) ? again(&work) : CNN_INVALID;
}

cnn_status cnn_bf16_batch_norm_infer(const cnn_norm *p, double eps, const float *mean, const float *var,
                                     const uint16_t *x, const uint16_t *add, uint16_t *y) {
    struct norm_work work = {.eps = eps, .add = add, .out = y};
    return set_up(&work, CNN_BFLOAT16, p, x) ? infer(&work, mean, var) : CNN_INVALID;
}

cnn_status cnn_bf16_batch_norm_backward(const cnn_norm *p, const uint16_t *x, const uint16_t *y, const uint16_t *dy,
                                        int fixed, uint16_t *dx, uint16_t *dadd, float *dweight, float *dbias) {
    struct norm_work work =
        {.fixed = fixed != 0, .y = y, .dy = dy, .out = dx, .dadd = dadd, .dweight = dweight, .dbias = dbias};
    return set_up(&work, CNN_BFLOAT16, p, x) ? backward(&work) : CNN_INVALID;
}
