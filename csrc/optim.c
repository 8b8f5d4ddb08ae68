/* Optimisers and the gradients' norm: entry points, checks and the plain-loop reference. One call steps every
 * parameter of a network, and each is read and written once. The vector version is optim_tmpl.c; the Python classes are
 * in cnncli/optim/optimisers.py.
 *
 * The arrays, one behind the other, are cut into pieces that the pool shares, wherever that is: a network has a few
 * arrays that hold nearly everything and many that hold next to nothing. */
#include "internal.h"

#define PIECE 32768 /* floats of a chunk: some microseconds */
#define ALONE 98304 /* so few are not worth waking a thread for */
#define LINE 16     /* each array counts as whole lines, so that pieces are whole lines of it */

struct sgd_step {
    float lr, scale, weight_decay, momentum, fresh; /* fresh: what a new gradient counts in the momentum */
    bool nesterov;
};

struct adam_step {
    float scale, weight_decay, shrink; /* g += weight_decay * p, p *= shrink: one of the two changes nothing */
    float fresh1, beta2, fresh2;       /* 1 - beta1, beta2, 1 - beta2 */
    float step_size, root, eps;        /* lr * rate / (1 - beta1^step), 1 / sqrt(1 - beta2^step) */
};

struct optim_kernels {
    void (*sgd)(const struct sgd_step *step, int64_t count, const float *gradient, float *p, float *first);
    void (*adam)(const struct adam_step *step, int64_t count, const float *gradient, float *p, float *first,
                 float *second);
    double (*squares)(int64_t count, const float *gradient);
};

static void sgd_reference(const struct sgd_step *step, int64_t count, const float *gradient, float *p, float *first) {
    for (int64_t i = 0; i < count; i++) {
        float g = step->scale * gradient[i] + step->weight_decay * p[i];
        if (first) {
            first[i] = step->momentum * first[i] + step->fresh * g;
            g = step->nesterov ? g + step->momentum * first[i] : first[i];
        }
        p[i] -= step->lr * g;
    }
}

static void adam_reference(const struct adam_step *step, int64_t count, const float *gradient, float *p, float *first,
                           float *second) {
    for (int64_t i = 0; i < count; i++) {
        float g = step->scale * gradient[i] + step->weight_decay * p[i];
        first[i] += step->fresh1 * (g - first[i]);
        second[i] = step->beta2 * second[i] + step->fresh2 * g * g;
        p[i] = step->shrink * p[i] - step->step_size * first[i] / (sqrtf(second[i]) * step->root + step->eps);
    }
}

static double squares_reference(int64_t count, const float *gradient) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += (double)gradient[i] * gradient[i];
    return sum;
}

#define CNN_TEMPLATE "optim_tmpl.c"
#include "foreach_isa.h"

static const struct optim_kernels reference = {sgd_reference, adam_reference, squares_reference};
static const struct optim_kernels *const tables[] = CNN_TABLES(optim_kernels);

static const struct optim_kernels *kernels(void) {
    return cnn_use_reference() ? &reference : tables[cnn_table_index()];
}

struct optim_work {
    const struct optim_kernels *kernels;
    int64_t tensors, piece;
    const cnn_tensor *tensor;
    struct sgd_step sgd;
    struct adam_step adam;
    double lr, step_size; /* step_size: Adam's, lr / (1 - beta1^step) */
    bool decoupled;
    double *partials;
};

/* All arrays together, in lines' worth of floats; -1 where an array cannot be. */
static int64_t total_of(int64_t tensors, const cnn_tensor *tensor) {
    int64_t total = tensors < 0 ? -1 : 0;
    for (int64_t i = 0; i < tensors; i++) {
        if (tensor[i].count < 0 || tensor[i].count > INT64_MAX / 16 - total) return -1;
        total += cnn_round_up(tensor[i].count, LINE);
    }
    return total;
}

static int64_t piece_of(int64_t total) { return total <= ALONE ? ALONE : PIECE; }

/* A chunk's work on `count` floats of an array, from `start`. */
typedef void (*part)(const struct optim_work *work, int64_t chunk, const cnn_tensor *t, int64_t start, int64_t count);

/* Finds the arrays of which a chunk has a part. */
static void visit(const struct optim_work *work, int64_t chunk, part do_part) {
    int64_t from = chunk * work->piece, to = from + work->piece, at = 0;
    for (const cnn_tensor *t = work->tensor, *end = t + work->tensors; t < end && at < to; t++) {
        int64_t start = CNN_MAX(from - at, 0), stop = CNN_MIN(to - at, t->count);
        if (start < stop) do_part(work, chunk, t, start, stop - start);
        at += cnn_round_up(t->count, LINE);
    }
}

static void sgd_part(const struct optim_work *work, int64_t chunk, const cnn_tensor *t, int64_t start, int64_t count) {
    (void)chunk;
    struct sgd_step step = work->sgd;
    step.weight_decay = (float)t->weight_decay;
    step.lr = (float)(work->lr * t->rate);
    work->kernels->sgd(&step, count, t->gradient + start, t->parameter + start, t->first ? t->first + start : NULL);
}

static void adam_part(const struct optim_work *work, int64_t chunk, const cnn_tensor *t, int64_t start, int64_t count) {
    (void)chunk;
    struct adam_step step = work->adam;
    step.weight_decay = work->decoupled ? 0 : (float)t->weight_decay;
    step.shrink = work->decoupled ? (float)(1 - work->lr * t->rate * t->weight_decay) : 1;
    step.step_size = (float)(work->step_size * t->rate);
    work->kernels->adam(&step, count, t->gradient + start, t->parameter + start, t->first + start, t->second + start);
}

static void norm_part(const struct optim_work *work, int64_t chunk, const cnn_tensor *t, int64_t start, int64_t count) {
    work->partials[chunk] += work->kernels->squares(count, t->gradient + start);
}

static cnn_status sgd_chunk(void *context, int64_t chunk) {
    visit(context, chunk, sgd_part);
    return CNN_OK;
}

static cnn_status adam_chunk(void *context, int64_t chunk) {
    visit(context, chunk, adam_part);
    return CNN_OK;
}

static cnn_status norm_chunk(void *context, int64_t chunk) {
    const struct optim_work *work = context;
    work->partials[chunk] = 0;
    visit(work, chunk, norm_part);
    return CNN_OK;
}

/* Runs `chunk` over all arrays, which are no more than `total`. */
static cnn_status run(cnn_chunk chunk, struct optim_work *work, int64_t total) {
    work->kernels = kernels();
    work->piece = piece_of(total);
    return cnn_parallel(chunk, work, cnn_ceil_div(total, work->piece));
}

cnn_status cnn_sgd(int64_t tensors, const cnn_tensor *tensor, const cnn_hyper *hyper, double momentum, double dampening,
                   int nesterov) {
    int64_t total = total_of(tensors, tensor);
    if (total < 0 || hyper->step < 1) return CNN_INVALID;
    for (int64_t i = 0; i < tensors; i++)
        if (!tensor[i].parameter || !tensor[i].first != (momentum == 0)) return CNN_INVALID;
    /* The first gradient starts the momentum undampened. */
    double fresh = hyper->step == 1 ? 1 : 1 - dampening;
    struct optim_work work = {.tensors = tensors,
                              .tensor = tensor,
                              .lr = hyper->lr,
                              .sgd = {.scale = (float)hyper->scale,
                                      .momentum = (float)momentum,
                                      .fresh = (float)fresh,
                                      .nesterov = nesterov}};
    return run(sgd_chunk, &work, total);
}

cnn_status cnn_adam(int64_t tensors, const cnn_tensor *tensor, const cnn_hyper *hyper, double beta1, double beta2,
                    double eps, int decoupled) {
    int64_t total = total_of(tensors, tensor);
    if (total < 0 || hyper->step < 1) return CNN_INVALID;
    for (int64_t i = 0; i < tensors; i++)
        if (!tensor[i].parameter || !tensor[i].first || !tensor[i].second) return CNN_INVALID;
    double step = (double)hyper->step;
    struct optim_work work = {.tensors = tensors,
                              .tensor = tensor,
                              .lr = hyper->lr,
                              .step_size = hyper->lr / (1 - pow(beta1, step)),
                              .decoupled = decoupled,
                              .adam = {.scale = (float)hyper->scale,
                                       .fresh1 = (float)(1 - beta1),
                                       .beta2 = (float)beta2,
                                       .fresh2 = (float)(1 - beta2),
                                       .eps = (float)eps,
                                       .root = (float)(1 / sqrt(1 - pow(beta2, step)))}};
    return run(adam_chunk, &work, total);
}

int64_t cnn_gradient_norm_partials(int64_t tensors, const cnn_tensor *tensor) {
    int64_t total = total_of(tensors, tensor);
    return total < 0 ? -1 : cnn_ceil_div(total, piece_of(total));
}

cnn_status cnn_gradient_norm(int64_t tensors, const cnn_tensor *tensor, double *partials, double *norm) {
    int64_t total = total_of(tensors, tensor);
    if (total < 0) return CNN_INVALID;
    struct optim_work work = {.tensors = tensors, .tensor = tensor, .partials = partials};
    cnn_status status = run(norm_chunk, &work, total);
    double sum = 0;
    for (int64_t i = 0; i < cnn_ceil_div(total, work.piece); i++) sum += partials[i];
    norm[0] = sqrt(sum);
    return status;
}
