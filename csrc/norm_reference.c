/* Batch normalisation as plain loops: the textbook's formulas in double. norm.c calls this for the reference. */
#include "norm_passes.h"

static float number(const struct norm_work *work, const void *array, int64_t i) {
    return cnn_stored_number(array, work->storage, i);
}
static void put(const struct norm_work *work, void *array, int64_t i, float a) {
    cnn_stored_put(array, work->storage, i, a);
}

void cnn_norm_moments_reference(const struct norm_work *work, int64_t k, double *batch_mean, double *batch_sum) {
    double mean = 0, square_sum = 0;
    for (int64_t row = 0; row < work->rows; row++) mean += number(work, work->x, row * work->c + k);
    mean /= (double)work->rows;
    for (int64_t row = 0; row < work->rows; row++) {
        double d = number(work, work->x, row * work->c + k) - mean;
        square_sum += d * d;
    }
    *batch_mean = mean;
    *batch_sum = square_sum;
}

/* What f is applied to, for element i of channel k. */
static double value_reference(const struct norm_work *work, int64_t i, int64_t k, double mean, double scale) {
    double weight = work->weight ? work->weight[k] : 1, bias = work->bias ? work->bias[k] : 0;
    double normal = (number(work, work->x, i) - mean) * scale * weight + bias;
    return work->add ? (float)normal + number(work, work->add, i) : normal; /* as if the layers ran one by one */
}

void cnn_norm_apply_reference(const struct norm_work *work, int64_t k, double mean, double scale) {
    for (int64_t row = 0; row < work->rows; row++) {
        int64_t i = row * work->c + k;
        float z = (float)value_reference(work, i, k, mean, scale), limit = norm_limit(work->activation);
        put(work, work->out, i, work->activation == CNN_IDENTITY ? z : z < 0 ? 0 : z > limit ? limit : z);
    }
}

/* dy behind f. */
static float gated_reference(const struct norm_work *work, int64_t i, int64_t k) {
    if (work->gate == GATE_NONE) return number(work, work->dy, i);
    float y = work->gate == GATE_Y ? number(work, work->y, i)
                                   : (float)value_reference(work, i, k, work->mean[k], work->scale[k]);
    return y > 0 && !(y >= norm_limit(work->activation)) ? number(work, work->dy, i) : 0;
}

void cnn_norm_backward_reference(const struct norm_work *work, int64_t k) {
    double mean = work->mean[k], scale = work->scale[k], dweight = 0, dbias = 0, rows = (double)work->rows;
    for (int64_t row = 0; row < work->rows; row++) {
        int64_t i = row * work->c + k;
        float dz = gated_reference(work, i, k);
        dbias += dz;
        dweight += dz * (number(work, work->x, i) - mean) * scale;
    }
    double factor = scale * (work->weight ? work->weight[k] : 1);
    for (int64_t row = 0; row < work->rows; row++) {
        int64_t i = row * work->c + k;
        double normal = (number(work, work->x, i) - mean) * scale;
        float dz = gated_reference(work, i, k);
        if (work->dadd) put(work, work->dadd, i, dz);
        double through = work->fixed ? 0 : dbias / rows + normal * dweight / rows; /* by way of the statistics */
        if (work->out) put(work, work->out, i, (float)(factor * (dz - through)));
    }
    if (work->dweight) work->dweight[k] = (float)dweight;
    if (work->dbias) work->dbias[k] = (float)dbias;
}
