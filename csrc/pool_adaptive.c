/* Adaptive average pooling: any image becomes oh x ow means, as VGG wants before its dense layers. Window i of `out`
 * over `size` pixels covers floor(i size / out) … ceil((i + 1) size / out) - 1, so windows may overlap by a pixel, and
 * are repeated where the image is smaller than the result. Entry points, checks and the plain-loop reference; the vector
 * version is pool_adaptive_tmpl.c. The layer is in cnncli/layers/pool.py. */
#include "pool.h"

struct adaptive_kernels {
    void (*add)(int64_t c, float factor, const float *x, float *y); /* y += factor * x, on one pixel's channels */
};

static void add_reference(int64_t c, float factor, const float *x, float *y) {
    for (int64_t k = 0; k < c; k++) y[k] += factor * x[k];
}

#define CNN_TEMPLATE "pool_adaptive_tmpl.c"
#include "foreach_isa.h"

static const struct adaptive_kernels reference = {add_reference};
static const struct adaptive_kernels *const tables[] = CNN_TABLES(adaptive_kernels);

static const struct adaptive_kernels *kernels(void) {
    return cnn_use_reference() ? &reference : tables[cnn_table_index()];
}

struct adaptive_job {
    int64_t h, w, c, oh, ow;
    const float *from;
    float *to;
};

struct window {
    int64_t from, to;
};

static struct window window(int64_t i, int64_t size, int64_t out) {
    return (struct window){i * size / out, cnn_ceil_div((i + 1) * size, out)};
}

static float factor(struct window r, struct window c) { return 1 / (float)((r.to - r.from) * (c.to - c.from)); }

/* One row of results. */
static void forward_row(const struct adaptive_job *job, const float *x, int64_t row, float *y) {
    void (*add)(int64_t, float, const float *, float *) = kernels()->add;
    struct window r = window(row, job->h, job->oh);
    for (int64_t column = 0; column < job->ow; column++, y += job->c) {
        struct window c = window(column, job->w, job->ow);
        float share = factor(r, c);
        memset(y, 0, (size_t)job->c * sizeof(float));
        for (int64_t i = r.from; i < r.to; i++)
            for (int64_t j = c.from; j < c.to; j++) add(job->c, share, x + (i * job->w + j) * job->c, y);
    }
}

static cnn_status forward_chunk(void *context, int64_t chunk) {
    const struct adaptive_job *job = context;
    forward_row(job, job->from + chunk / job->oh * job->h * job->w * job->c, chunk % job->oh,
                job->to + chunk * job->ow * job->c);
    return CNN_OK;
}

/* One image, because windows overlap. */
static void backward_image(const struct adaptive_job *job, const float *dy, float *dx) {
    void (*add)(int64_t, float, const float *, float *) = kernels()->add;
    memset(dx, 0, (size_t)(job->h * job->w * job->c) * sizeof(float));
    for (int64_t at = 0; at < job->oh * job->ow; at++, dy += job->c) {
        struct window r = window(at / job->ow, job->h, job->oh), c = window(at % job->ow, job->w, job->ow);
        float share = factor(r, c);
        for (int64_t i = r.from; i < r.to; i++)
            for (int64_t j = c.from; j < c.to; j++) add(job->c, share, dy, dx + (i * job->w + j) * job->c);
    }
}

static cnn_status backward_chunk(void *context, int64_t chunk) {
    const struct adaptive_job *job = context;
    backward_image(job, job->from + chunk * job->oh * job->ow * job->c, job->to + chunk * job->h * job->w * job->c);
    return CNN_OK;
}

/* Sides are below 2^30, so that their products with an index fit. */
static bool valid(int64_t n, const struct adaptive_job *job) {
    const int64_t limit = (int64_t)1 << 30;
    return cnn_sizes_fit(8, 4, (int64_t[]){n, job->h, job->w, job->c}) &&
           cnn_sizes_fit(8, 4, (int64_t[]){n, job->oh, job->ow, job->c}) && job->h <= limit && job->w <= limit &&
           job->oh <= limit && job->ow <= limit;
}

/* ---- one image, for bf16_pool.c ---- */

static struct adaptive_job of(const cnn_pool *p) {
    return (struct adaptive_job){p->h, p->w, p->c, p->oh, p->ow, NULL, NULL};
}

bool cnn_pool_adaptive_valid(const cnn_pool *p) {
    struct adaptive_job job = of(p);
    return valid(p->n, &job);
}

void cnn_pool_adaptive_forward(const cnn_pool *p, const float *x, float *y) {
    struct adaptive_job job = of(p);
    for (int64_t row = 0; row < p->oh; row++) forward_row(&job, x, row, y + row * p->ow * p->c);
}

void cnn_pool_adaptive_backward(const cnn_pool *p, const float *dy, float *dx) {
    struct adaptive_job job = of(p);
    backward_image(&job, dy, dx);
}

/* ---- entry points ---- */

cnn_status cnn_adaptive_average_pool_forward(int64_t n, int64_t h, int64_t w, int64_t c, int64_t oh, int64_t ow,
                                             const float *x, float *y) {
    struct adaptive_job job = {h, w, c, oh, ow, x, y};
    return valid(n, &job) ? cnn_parallel(forward_chunk, &job, n * oh) : CNN_INVALID;
}

cnn_status cnn_adaptive_average_pool_backward(int64_t n, int64_t h, int64_t w, int64_t c, int64_t oh, int64_t ow,
                                              const float *dy, float *dx) {
    struct adaptive_job job = {h, w, c, oh, ow, dy, dx};
    return valid(n, &job) ? cnn_parallel(backward_chunk, &job, n) : CNN_INVALID;
}
