/* Batch normalisation: entry points, the combining of partial sums, and the plain-loop reference. The passes over
 * memory are norm_tmpl.c; the layer is cnncli/layers/norm.py.
 *
 * An array is `rows` (images x pixels) of c channels. Each pass is cut into chunks of whole rows. A chunk's moments
 * are taken about the chunk's own mean, in float, and combined over chunks in double (Chan et al. 1979), so that a
 * large mean costs no digits of the variance. The mean that the second pass subtracts is kept as a float and its
 * rounding error, for the same reason. */
#include "internal.h"

#define CHUNK_FLOATS 32768 /* 128 KiB: its second reading comes from L2 */
#define CHUNK_ROWS 64      /* chunks are multiples of this, and so of every instruction set's row group */
#define COMBINE_BLOCK 64   /* channels that one chunk of the combining takes */

/* Rows are taken in groups so that a group is a whole number of vectors, and at least 64 floats, even when one row
 * is not: coefficients are repeated to the group's `width`, and sums over a group are folded back to c channels. */
struct norm_kernels {
    int64_t vector;
    void (*sum)(int64_t count, int64_t width, const float *x, float *sum);
    void (*moments)(int64_t count, int64_t width, const float *x, const float *centre, float *first, float *second);
    void (*products)(int64_t count, int64_t width, const float *x, const float *dy, const float *centre, float *first,
                     float *second);
    void (*apply)(int64_t count, int64_t width, const float *coefficients, const float *x, float *y);
    void (*apply_two)(int64_t count, int64_t width, const float *coefficients, const float *x, const float *dy,
                      float *dx);
};

#define CNN_TEMPLATE "norm_tmpl.c"
#include "foreach_isa.h"

static const struct norm_kernels *const tables[] = CNN_TABLES(norm_kernels);

struct norm_work {
    const struct norm_kernels *kernels;
    int64_t rows, c, width, chunk_rows, chunks;
    double eps, momentum;
    const float *x, *dy, *weight, *bias;
    float *y, *running_mean, *running_var, *dweight, *dbias;
    double *mean, *scale; /* of the batch: the mean, and 1 / sqrt(variance + eps) */
    float *coefficients;  /* 4 x c, what the second pass multiplies and adds */
    float *partial;       /* chunks x 3 x c: a chunk's centre, and its first and second sums about it */
};

static int64_t chunk_rows_for(int64_t c) { return cnn_round_up(cnn_ceil_div(CHUNK_FLOATS, c), CHUNK_ROWS); }

int64_t cnn_batch_norm_workspace(int64_t rows, int64_t c) {
    if (!cnn_sizes_fit(64, 2, (int64_t[]){rows, c})) return -1;
    return (4 + 3 * cnn_ceil_div(rows, chunk_rows_for(c))) * c * (int64_t)sizeof(float);
}

/* ---- chunks of the two passes ---- */

static int64_t chunk_count(const struct norm_work *work, int64_t chunk) {
    return CNN_MIN(work->chunk_rows, work->rows - chunk * work->chunk_rows) * work->c;
}

static void repeat(int64_t c, int64_t width, const float *from, float *to) {
    for (int64_t i = 0; i < width; i += c) memcpy(to + i, from, (size_t)c * sizeof(float));
}

static void fold(int64_t c, int64_t width, const float *from, float *to) {
    memcpy(to, from, (size_t)c * sizeof(float));
    for (int64_t i = c; i < width; i += c)
        for (int64_t k = 0; k < c; k++) to[k] += from[i + k];
}

static cnn_status moments_chunk(void *context, int64_t chunk) {
    const struct norm_work *work = context;
    int64_t c = work->c, width = work->width, count = chunk_count(work, chunk);
    float *scratch = cnn_scratch((size_t)(3 * width) * sizeof(float));
    if (!scratch) return CNN_NO_MEMORY;
    float *centre = scratch, *first = scratch + width, *second = first + width;
    const float *x = work->x + chunk * work->chunk_rows * c;
    float *out = work->partial + chunk * 3 * c;
    work->kernels->sum(count, width, x, first);
    fold(c, width, first, out);
    for (int64_t k = 0; k < c; k++) out[k] /= (float)(count / c);
    repeat(c, width, out, centre);
    work->kernels->moments(count, width, x, centre, first, second);
    fold(c, width, first, out + c);
    fold(c, width, second, out + 2 * c);
    return CNN_OK;
}

static cnn_status products_chunk(void *context, int64_t chunk) {
    const struct norm_work *work = context;
    int64_t c = work->c, width = work->width, start = chunk * work->chunk_rows * c;
    float *scratch = cnn_scratch((size_t)(3 * width) * sizeof(float));
    if (!scratch) return CNN_NO_MEMORY;
    float *centre = scratch, *first = scratch + width, *second = first + width;
    float *out = work->partial + chunk * 3 * c;
    for (int64_t k = 0; k < c; k++) out[k] = (float)work->mean[k];
    repeat(c, width, out, centre);
    work->kernels->products(chunk_count(work, chunk), width, work->x + start, work->dy + start, centre, first, second);
    fold(c, width, first, out + c);
    fold(c, width, second, out + 2 * c);
    return CNN_OK;
}

static cnn_status apply_chunk(void *context, int64_t chunk) {
    const struct norm_work *work = context;
    int64_t c = work->c, width = work->width, start = chunk * work->chunk_rows * c;
    float *coefficients = work->coefficients;
    if (width != c) {
        coefficients = cnn_scratch((size_t)(4 * width) * sizeof(float));
        if (!coefficients) return CNN_NO_MEMORY;
        for (int i = 0; i < 4; i++) repeat(c, width, work->coefficients + i * c, coefficients + i * width);
    }
    int64_t count = chunk_count(work, chunk);
    if (work->dy) work->kernels->apply_two(count, width, coefficients, work->x + start, work->dy + start, work->y + start);
    else work->kernels->apply(count, width, coefficients, work->x + start, work->y + start);
    return CNN_OK;
}

/* ---- between the passes: per channel, in double ---- */

/* y = (x - coefficients[0]) * coefficients[1] + coefficients[2] */
static void forward_coefficients(const struct norm_work *work, int64_t k, double mean, double scale) {
    float *out = work->coefficients + k, rounded = (float)mean;
    double factor = scale * (work->weight ? work->weight[k] : 1);
    out[0] = rounded;
    out[work->c] = (float)factor;
    out[2 * work->c] = (float)((work->bias ? work->bias[k] : 0) - (mean - rounded) * factor);
    out[3 * work->c] = 0;
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
    int64_t c = work->c, from = block * COMBINE_BLOCK, channels = CNN_MIN(COMBINE_BLOCK, c - from);
    double mean[COMBINE_BLOCK] = {0}, square_sum[COMBINE_BLOCK] = {0}, seen = 0;
    for (int64_t chunk = 0; chunk < work->chunks; chunk++) {
        const float *part = work->partial + chunk * 3 * c + from;
        double rows = (double)(chunk_count(work, chunk) / c), share = rows / (seen + rows);
        for (int64_t k = 0; k < channels; k++) {
            double first = part[c + k], delta = part[k] + first / rows - mean[k];
            square_sum[k] += part[2 * c + k] - first * first / rows + delta * delta * seen * share;
            mean[k] += delta * share;
        }
        seen += rows;
    }
    for (int64_t k = 0; k < channels; k++) keep_statistics(work, from + k, mean[k], square_sum[k]);
    return CNN_OK;
}

/* dx = dy * coefficients[1] + (x - coefficients[0]) * coefficients[2] + coefficients[3], from the sums over the batch
 * of dy and of dy * (x - float(mean)). */
static void backward_results(const struct norm_work *work, int64_t k, double sum, double product) {
    double mean = work->mean[k], scale = work->scale[k], rows = (double)work->rows;
    float rounded = (float)mean;
    double lost = mean - rounded, factor = scale * (work->weight ? work->weight[k] : 1);
    double dweight = (product - lost * sum) * scale, slope = -factor * scale * dweight / rows;
    float *out = work->coefficients + k;
    out[0] = rounded;
    out[work->c] = (float)factor;
    out[2 * work->c] = (float)slope;
    out[3 * work->c] = (float)(-factor * sum / rows - slope * lost);
    if (work->dweight) work->dweight[k] = (float)dweight;
    if (work->dbias) work->dbias[k] = (float)sum;
}

static cnn_status combine_products(void *context, int64_t block) {
    const struct norm_work *work = context;
    int64_t c = work->c, from = block * COMBINE_BLOCK, channels = CNN_MIN(COMBINE_BLOCK, c - from);
    double sum[COMBINE_BLOCK] = {0}, product[COMBINE_BLOCK] = {0};
    for (int64_t chunk = 0; chunk < work->chunks; chunk++) {
        const float *part = work->partial + chunk * 3 * c + from;
        for (int64_t k = 0; k < channels; k++) {
            sum[k] += part[c + k];
            product[k] += part[2 * c + k];
        }
    }
    for (int64_t k = 0; k < channels; k++) backward_results(work, from + k, sum[k], product[k]);
    return CNN_OK;
}

/* ---- the plain-loop reference: the textbook's formulas in double ---- */

static void moments_reference(const struct norm_work *work, int64_t k) {
    double mean = 0, square_sum = 0;
    for (int64_t row = 0; row < work->rows; row++) mean += work->x[row * work->c + k];
    mean /= (double)work->rows;
    for (int64_t row = 0; row < work->rows; row++) {
        double d = work->x[row * work->c + k] - mean;
        square_sum += d * d;
    }
    keep_statistics(work, k, mean, square_sum);
}

static void normalise_reference(const struct norm_work *work, int64_t k, double mean, double scale) {
    double weight = work->weight ? work->weight[k] : 1, bias = work->bias ? work->bias[k] : 0;
    for (int64_t row = 0; row < work->rows; row++) {
        int64_t i = row * work->c + k;
        work->y[i] = (float)((work->x[i] - mean) * scale * weight + bias);
    }
}

static void backward_reference(const struct norm_work *work, int64_t k) {
    double mean = work->mean[k], scale = work->scale[k], dweight = 0, dbias = 0, rows = (double)work->rows;
    for (int64_t row = 0; row < work->rows; row++) {
        int64_t i = row * work->c + k;
        dbias += work->dy[i];
        dweight += work->dy[i] * (work->x[i] - mean) * scale;
    }
    double factor = scale * (work->weight ? work->weight[k] : 1);
    for (int64_t row = 0; work->y && row < work->rows; row++) {
        int64_t i = row * work->c + k;
        double normal = (work->x[i] - mean) * scale;
        work->y[i] = (float)(factor * (work->dy[i] - dbias / rows - normal * dweight / rows));
    }
    if (work->dweight) work->dweight[k] = (float)dweight;
    if (work->dbias) work->dbias[k] = (float)dbias;
}

/* ---- entry points ---- */

static bool set_up(struct norm_work *work, int64_t rows, int64_t c, float *workspace) {
    if (!cnn_sizes_fit(64, 2, (int64_t[]){rows, c})) return false;
    work->rows = rows;
    work->c = c;
    work->chunk_rows = chunk_rows_for(c);
    work->chunks = cnn_ceil_div(rows, work->chunk_rows);
    work->coefficients = workspace;
    work->partial = workspace + 4 * c;
    if (cnn_use_reference()) return true;
    work->kernels = tables[cnn_table_index()];
    work->width = c;
    while (work->width % work->kernels->vector || work->width < 64) work->width *= 2;
    return true;
}

cnn_status cnn_batch_norm_train(int64_t rows, int64_t c, double eps, double momentum, const float *x,
                                const float *weight, const float *bias, float *y, float *running_mean,
                                float *running_var, double *statistics, void *workspace) {
    struct norm_work work = {.eps = eps, .momentum = momentum, .x = x, .weight = weight, .bias = bias, .y = y,
                             .running_mean = running_mean, .running_var = running_var, .mean = statistics,
                             .scale = statistics + c};
    if (!set_up(&work, rows, c, workspace) || rows < 2 || !running_mean != !running_var) return CNN_INVALID;
    if (!work.kernels) {
        for (int64_t k = 0; k < c; k++) {
            moments_reference(&work, k);
            normalise_reference(&work, k, work.mean[k], work.scale[k]);
        }
        return CNN_OK;
    }
    cnn_status status = cnn_parallel(moments_chunk, &work, work.chunks);
    if (!status) status = cnn_parallel(combine_moments, &work, cnn_ceil_div(c, COMBINE_BLOCK));
    if (!status) status = cnn_parallel(apply_chunk, &work, work.chunks);
    return status;
}

cnn_status cnn_batch_norm_infer(int64_t rows, int64_t c, double eps, const float *x, const float *weight,
                                const float *bias, const float *mean, const float *var, float *y, void *workspace) {
    struct norm_work work = {.eps = eps, .x = x, .weight = weight, .bias = bias, .y = y};
    if (!set_up(&work, rows, c, workspace)) return CNN_INVALID;
    for (int64_t k = 0; k < c; k++) {
        double scale = 1 / sqrt(var[k] + eps);
        if (work.kernels) forward_coefficients(&work, k, mean[k], scale);
        else normalise_reference(&work, k, mean[k], scale);
    }
    return work.kernels ? cnn_parallel(apply_chunk, &work, work.chunks) : CNN_OK;
}

cnn_status cnn_batch_norm_backward(int64_t rows, int64_t c, const float *x, const float *weight, const float *dy,
                                   const double *statistics, float *dx, float *dweight, float *dbias,
                                   void *workspace) {
    struct norm_work work = {.x = x, .dy = dy, .weight = weight, .y = dx, .dweight = dweight, .dbias = dbias,
                             .mean = (double *)statistics, .scale = (double *)statistics + c};
    if (!set_up(&work, rows, c, workspace)) return CNN_INVALID;
    if (!work.kernels) {
        for (int64_t k = 0; k < c; k++) backward_reference(&work, k);
        return CNN_OK;
    }
    cnn_status status = cnn_parallel(products_chunk, &work, work.chunks);
    if (!status) status = cnn_parallel(combine_products, &work, cnn_ceil_div(c, COMBINE_BLOCK));
    if (!status && dx) status = cnn_parallel(apply_chunk, &work, work.chunks);
    return status;
}
