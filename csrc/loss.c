/* Losses: entry points, checks and the plain-loop reference. One visit to a row of logits yields the row's share of
 * the loss and its gradient. The vector version is loss_tmpl.c; the Python classes are in cnncli/loss.py. */
#include "internal.h"

struct loss_row {
    int64_t classes, label, other;
    double share;            /* of the target that is the label's; the rest is the other's */
    double smoothing, scale; /* scale: 1 / the sum of the weights in the batch, or 1 / n */
    double weight_sum;       /* of all classes: what smoothing spreads the target over */
    const float *weights;    /* NULL: ones */
};

struct loss_kernels {
    double (*cross_entropy)(const struct loss_row *row, const float *x, float *dx);
    double (*squared_error)(const struct loss_row *row, const float *x, float *dx);
};

static inline float weight_of(const float *weights, int64_t k) { return weights ? weights[k] : 1; }

/* With z = x - max x, log softmax is z - log sum e^z: no exponential overflows and the logarithm is at least 0. */
static double cross_entropy_reference(const struct loss_row *row, const float *x, float *dx) {
    int64_t classes = row->classes;
    double spread = row->smoothing / (double)classes;
    double peak = (1 - row->smoothing) * row->share * weight_of(row->weights, row->label);
    double second = (1 - row->smoothing) * (1 - row->share) * weight_of(row->weights, row->other);
    double total = peak + second + spread * row->weight_sum;
    float top = x[0];
    for (int64_t k = 1; k < classes; k++) top = CNN_MAX(x[k], top);
    double sum = 0, smooth = 0, at_label = x[row->label] - top, at_other = x[row->other] - top;
    for (int64_t k = 0; k < classes; k++) {
        float z = x[k] - top;
        sum += exp(z);
        if (spread > 0) smooth += (double)weight_of(row->weights, k) * z;
    }
    if (dx) {
        for (int64_t k = 0; k < classes; k++) {
            double target = spread * weight_of(row->weights, k) + (k == row->label ? peak : 0) +
                            (k == row->other ? second : 0);
            dx[k] = (float)((exp(x[k] - top) / sum * total - target) * row->scale);
        }
    }
    double hit = peak * at_label + (second > 0 ? second * at_other : 0); /* a class ruled out is at minus infinity */
    return (total * log(sum) - hit - spread * smooth) * row->scale;
}

static double squared_error_reference(const struct loss_row *row, const float *x, float *dx) {
    double sum = 0;
    for (int64_t k = 0; k < row->classes; k++) {
        double difference = x[k] - row->share * (k == row->label) - (1 - row->share) * (k == row->other);
        sum += difference * difference;
        if (dx) dx[k] = (float)(difference * row->scale);
    }
    return 0.5 * sum * row->scale;
}

#define CNN_TEMPLATE "loss_tmpl.c"
#include "foreach_isa.h"

static const struct loss_kernels reference = {cross_entropy_reference, squared_error_reference};
static const struct loss_kernels *const tables[] = CNN_TABLES(loss_kernels);

static const struct loss_kernels *kernels(void) { return cnn_use_reference() ? &reference : tables[cnn_table_index()]; }

struct loss_work {
    double (*loss)(const struct loss_row *row, const float *x, float *dx);
    struct loss_row row; /* but for the label */
    const cnn_targets *targets;
    int64_t rows; /* of one chunk */
    const float *x;
    double *losses;
    float *dx;
};

static cnn_status loss_chunk(void *context, int64_t chunk) {
    const struct loss_work *work = context;
    struct loss_row row = work->row;
    const cnn_targets *targets = work->targets;
    int64_t end = CNN_MIN(targets->n, (chunk + 1) * work->rows);
    for (int64_t i = chunk * work->rows; i < end; i++) {
        row.label = targets->labels[i];
        row.other = targets->others ? targets->others[i] : row.label;
        row.share = targets->shares ? targets->shares[i] : 1;
        float *dx = work->dx ? work->dx + i * row.classes : NULL;
        work->losses[i] = work->loss(&row, work->x + i * row.classes, dx);
    }
    return CNN_OK;
}

static bool labels_fit(int64_t n, int64_t classes, const int64_t *labels) {
    for (int64_t i = 0; i < n; i++)
        if (labels[i] < 0 || labels[i] >= classes) return false;
    return true;
}

static bool targets_fit(const cnn_targets *t) {
    if (!cnn_sizes_fit(sizeof(float), 2, (int64_t[]){t->n, t->classes})) return false;
    if (!labels_fit(t->n, t->classes, t->labels) || !t->others != !t->shares) return false;
    for (int64_t i = 0; t->shares && i < t->n; i++)
        if (!(t->shares[i] >= 0 && t->shares[i] <= 1)) return false;
    return !t->others || labels_fit(t->n, t->classes, t->others);
}

static cnn_status run(struct loss_work *work) {
    work->rows = CNN_MAX(1, CNN_PIECE / 4 / work->row.classes); /* an exponential costs some four plain words */
    return cnn_parallel(loss_chunk, work, cnn_ceil_div(work->targets->n, work->rows));
}

cnn_status cnn_cross_entropy(const cnn_targets *targets, double smoothing, const float *logits, const float *weights,
                             double *losses, float *dlogits) {
    if (!targets_fit(targets) || !(smoothing >= 0 && smoothing <= 1)) return CNN_INVALID;
    double batch = 0, all = 0;
    for (int64_t i = 0; i < targets->n; i++) {
        double share = targets->shares ? targets->shares[i] : 1;
        batch += share * weight_of(weights, targets->labels[i]);
        if (targets->others) batch += (1 - share) * weight_of(weights, targets->others[i]);
    }
    for (int64_t k = 0; k < targets->classes; k++) all += weight_of(weights, k);
    double scale = batch > 0 ? 1 / batch : 0;
    struct loss_work work = {.loss = kernels()->cross_entropy,
                             .targets = targets,
                             .x = logits,
                             .losses = losses,
                             .dx = dlogits,
                             .row = {.classes = targets->classes,
                                     .smoothing = smoothing,
                                     .scale = scale,
                                     .weight_sum = all,
                                     .weights = weights}};
    return run(&work);
}

cnn_status cnn_squared_error(const cnn_targets *targets, const float *outputs, double *losses, float *doutputs) {
    if (!targets_fit(targets)) return CNN_INVALID;
    struct loss_work work = {.loss = kernels()->squared_error,
                             .targets = targets,
                             .x = outputs,
                             .losses = losses,
                             .dx = doutputs,
                             .row = {.classes = targets->classes, .scale = 1 / (double)targets->n}};
    return run(&work);
}
