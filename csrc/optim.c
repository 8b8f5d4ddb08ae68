/* Optimisers and the gradients' norm: entry points, checks and the plain-loop reference. One call steps every
 * parameter of a network: the arrays are cut into pieces that the pool shares, and each piece is read and written
 * once. The vector version is optim_tmpl.c; the Python classes are in cnncli/optim.py. */
#include "internal.h"

struct sgd_step {
    float lr, scale, weight_decay, momentum, fresh; /* fresh: what a new gradient counts in the momentum */
    bool nesterov;
};

struct adam_step {
    float scale, weight_decay, shrink; /* g += weight_decay * p, p *= shrink: one of the two changes nothing */
    float fresh1, beta2, fresh2;       /* 1 - beta1, beta2, 1 - beta2 */
    float step_size, root, eps;        /* lr / (1 - beta1^step), 1 / sqrt(1 - beta2^step) */
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
    int64_t tensors;
    const cnn_tensor *tensor;
    struct sgd_step sgd;
    struct adam_step adam;
    double lr;
    bool decoupled;
    double *partials;
};

/* The pieces of all arrays, one after the other; -1 where an array cannot be. */
static int64_t pieces(int64_t tensors, const cnn_tensor *tensor) {
    int64_t total = 0;
    for (int64_t i = 0; i < tensors; i++) {
        if (tensor[i].count < 0 || tensor[i].count > INT64_MAX / 8) return -1;
        total += cnn_ceil_div(tensor[i].count, CNN_PIECE);
    }
    return total;
}

/* A chunk is a piece: finds its array, and where in it the piece starts and how long it is. A network has some
 * hundred arrays at most, so that the search is nothing beside the 64 KiB of work. */
static const cnn_tensor *locate(const struct optim_work *work, int64_t chunk, int64_t *start, int64_t *count) {
    const cnn_tensor *tensor = work->tensor;
    for (;; tensor++) {
        int64_t here = cnn_ceil_div(tensor->count, CNN_PIECE);
        if (chunk < here) break;
        chunk -= here;
    }
    *start = chunk * CNN_PIECE;
    *count = CNN_MIN(CNN_PIECE, tensor->count - *start);
    return tensor;
}

static cnn_status sgd_chunk(void *context, int64_t chunk) {
    const struct optim_work *work = context;
    int64_t start, count;
    const cnn_tensor *t = locate(work, chunk, &start, &count);
    struct sgd_step step = work->sgd;
    step.weight_decay = (float)t->weight_decay;
    work->kernels->sgd(&step, count, t->gradient + start, t->parameter + start, t->first ? t->first + start : NULL);
    return CNN_OK;
}

static cnn_status adam_chunk(void *context, int64_t chunk) {
    const struct optim_work *work = context;
    int64_t start, count;
    const cnn_tensor *t = locate(work, chunk, &start, &count);
    struct adam_step step = work->adam;
    step.weight_decay = work->decoupled ? 0 : (float)t->weight_decay;
    step.shrink = work->decoupled ? (float)(1 - work->lr * t->weight_decay) : 1;
    work->kernels->adam(&step, count, t->gradient + start, t->parameter + start, t->first + start, t->second + start);
    return CNN_OK;
}

static cnn_status norm_chunk(void *context, int64_t chunk) {
    const struct optim_work *work = context;
    int64_t start, count;
    const cnn_tensor *t = locate(work, chunk, &start, &count);
    work->partials[chunk] = work->kernels->squares(count, t->gradient + start);
    return CNN_OK;
}

cnn_status cnn_sgd(int64_t tensors, const cnn_tensor *tensor, const cnn_hyper *hyper, double momentum,
                   double dampening, int nesterov) {
    int64_t chunks = pieces(tensors, tensor);
    if (chunks < 0 || hyper->step < 1) return CNN_INVALID;
    for (int64_t i = 0; i < tensors; i++)
        if (!tensor[i].parameter || !tensor[i].first != (momentum == 0)) return CNN_INVALID;
    /* The first gradient starts the momentum undampened. */
    double fresh = hyper->step == 1 ? 1 : 1 - dampening;
    struct optim_work work = {.kernels = kernels(), .tensors = tensors, .tensor = tensor,
                              .sgd = {.lr = (float)hyper->lr, .scale = (float)hyper->scale,
                                      .momentum = (float)momentum, .fresh = (float)fresh, .nesterov = nesterov}};
    return cnn_parallel(sgd_chunk, &work, chunks);
}

cnn_status cnn_adam(int64_t tensors, const cnn_tensor *tensor, const cnn_hyper *hyper, double beta1, double beta2,
                    double eps, int decoupled) {
    int64_t chunks = pieces(tensors, tensor);
    if (chunks < 0 || hyper->step < 1) return CNN_INVALID;
    for (int64_t i = 0; i < tensors; i++)
        if (!tensor[i].parameter || !tensor[i].first || !tensor[i].second) return CNN_INVALID;
    double step = (double)hyper->step;
    struct optim_work work = {.kernels = kernels(), .tensors = tensors, .tensor = tensor, .lr = hyper->lr,
                              .decoupled = decoupled,
                              .adam = {.scale = (float)hyper->scale, .fresh1 = (float)(1 - beta1),
                                       .beta2 = (float)beta2, .fresh2 = (float)(1 - beta2), .eps = (float)eps,
                                       .step_size = (float)(hyper->lr / (1 - pow(beta1, step))),
                                       .root = (float)(1 / sqrt(1 - pow(beta2, step)))}};
    return cnn_parallel(adam_chunk, &work, chunks);
}

int64_t cnn_gradient_norm_partials(int64_t tensors, const cnn_tensor *tensor) { return pieces(tensors, tensor); }

cnn_status cnn_gradient_norm(int64_t tensors, const cnn_tensor *tensor, double *partials, double *norm) {
    int64_t chunks = pieces(tensors, tensor);
    if (chunks < 0) return CNN_INVALID;
    struct optim_work work = {.kernels = kernels(), .tensors = tensors, .tensor = tensor, .partials = partials};
    cnn_status status = cnn_parallel(norm_chunk, &work, chunks);
    double sum = 0;
    for (int64_t i = 0; i < chunks; i++) sum += partials[i];
    norm[0] = sqrt(sum);
    return status;
}
