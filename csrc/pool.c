/* Pooling: entry points, checks and the plain-loop reference. The windows' geometry is in pool.h, the vector version in
 * pool_tmpl.c, but for the maxima of small windows, which are pool_max.c; the layers are in cnncli/layers/pool.py.
 *
 * Forward is cut into output rows. Backward adds every window's share into dx, so its chunks are whole images, or
 * blocks of an image's channels: no two chunks ever write to one pixel's channel. */
#include "pool.h"

#define LINE_FLOATS 2048 /* a scratch row of this size stays in L1 with its places */
#define CHANNEL_BLOCK 64 /* channels of one backward chunk where there are too few images to go round: 4 lines */

struct pool_kernels {
    void (*forward)(const struct pool_job *job, int64_t image, int64_t row, float *scratch);
    /* channels from … to-1 */
    void (*backward)(const struct pool_job *job, int64_t image, int64_t from, int64_t to, float *scratch);
};

/* ---- the plain-loop reference ---- */

/* One output value of the window r x c, from one channel of an image; `tap` receives the maximum's place. */
static float pool_one(const struct pool_job *job, const float *x, struct pool_span r, struct pool_span c,
                      int64_t *tap) {
    const cnn_pool *p = job->p;
    double sum = 0;
    float best = 0;
    *tap = -1;
    for (int64_t i = r.from; i < r.to; i++)
        for (int64_t j = c.from; j < c.to; j++) {
            float v = x[((r.start + i * p->dh) * p->w + c.start + j * p->dw) * p->c];
            if (job->kind != MAXIMUM) {
                sum += job->kind == AVERAGE ? v : pow(v, job->norm);
            } else if (*tap < 0 || v > best || v != v) { /* the first of equals; a NaN beats everything */
                best = v;
                *tap = i * p->kw + j;
            }
        }
    if (job->kind == MAXIMUM) return best;
    sum *= pool_factor(job, r, c);
    return (float)(job->kind == AVERAGE ? sum : pow(sum, 1.0 / job->norm));
}

static void forward_reference(const struct pool_job *job, int64_t image, int64_t row, float *scratch) {
    (void)scratch;
    const cnn_pool *p = job->p;
    const float *x = job->x + image * p->h * p->w * p->c;
    struct pool_span r = pool_rows(p, row);
    for (int64_t column = 0; column < p->ow; column++) {
        int64_t out = ((image * p->oh + row) * p->ow + column) * p->c;
        for (int64_t k = 0; k < p->c; k++) {
            int64_t tap;
            float y = pool_one(job, x + k, r, pool_columns(p, column), &tap);
            if (job->active) y = y < 0 ? 0 : y > job->limit ? job->limit : y;
            job->y[out + k] = y;
            if (job->kind == MAXIMUM) pool_set_tap(job, out + k, tap);
        }
    }
}

/* d y / d v for one tap of a window: y = (factor * sum of v^p)^(1/p), 0 where the sum is 0. */
static float root_slope(float norm, float factor, float v, float y) {
    return y == 0 ? 0 : (float)(factor * pow(y, 1.0 - norm) * pow(v, norm - 1.0));
}

static void backward_reference(const struct pool_job *job, int64_t image, int64_t from, int64_t to, float *scratch) {
    (void)scratch;
    const cnn_pool *p = job->p;
    const float *x = job->x ? job->x + image * p->h * p->w * p->c : NULL;
    float *dx = job->dx + image * p->h * p->w * p->c;
    pool_zero(p, dx, 0, p->h, from, to);
    for (int64_t at = 0; at < p->oh * p->ow; at++) {
        struct pool_span r = pool_rows(p, at / p->ow), c = pool_columns(p, at % p->ow);
        float factor = job->kind == MAXIMUM ? 1 : pool_factor(job, r, c);
        for (int64_t i = r.from; i < r.to; i++)
            for (int64_t j = c.from; j < c.to; j++)
                for (int64_t k = from; k < to; k++) {
                    int64_t in = ((r.start + i * p->dh) * p->w + c.start + j * p->dw) * p->c + k;
                    int64_t out = (image * p->oh * p->ow + at) * p->c + k;
                    float slope = job->kind == MAXIMUM ? (pool_tap(job, out) == i * p->kw + j ? 1 : 0)
                                : job->kind == AVERAGE ? factor
                                                       : root_slope(job->norm, factor, x[in], job->y[out]);
                    if (slope != 0) dx[in] += slope * pool_gated(job, out);
                }
    }
}

#define CNN_TEMPLATE "pool_tmpl.c"
#include "foreach_isa.h"

static const struct pool_kernels reference = {forward_reference, backward_reference};
static const struct pool_kernels *const tables[] = CNN_TABLES(pool_kernels);

/* Powers other than 2 go through pow() one by one on every instruction set. */
static const struct pool_kernels *kernels(const struct pool_job *job) {
    if (cnn_use_reference() || (job->kind == ROOT && job->norm != 2)) return &reference;
    return tables[cnn_table_index()];
}

/* ---- chunks ---- */

/* A scratch row and the width of the widest vector, which may reach past its end. */
static int64_t scratch_row(int64_t floats) { return cnn_round_up(floats, 16) + 16; }

bool cnn_pool_possible(const struct pool_job *job) {
    return cnn_pool_valid(job->p) && (job->kind == MAXIMUM || (job->p->dh == 1 && job->p->dw == 1));
}

int64_t cnn_pool_prepare_forward(struct pool_job *job) {
    const cnn_pool *p = job->p;
    int64_t work = CNN_MAX(p->ow * p->c * CNN_MIN(p->kh, p->h), p->sh * p->w * p->c), reach = (p->kw - 1) * p->dw + 1;
    job->rows = cnn_ceil_div(CNN_PIECE, work);
    job->columns = CNN_MIN(cnn_ceil_div(LINE_FLOATS, p->sw * p->c), p->ow);
    job->line = scratch_row(CNN_MIN((job->columns - 1) * p->sw + reach, p->w) * p->c);
    job->result = scratch_row(job->columns * p->c);
    return (job->line + job->result) * (int64_t)(sizeof(float) + sizeof(int32_t));
}

void cnn_pool_forward_row(const struct pool_job *job, int64_t image, int64_t row, void *scratch) {
    kernels(job)->forward(job, image, row, scratch);
}

static cnn_status forward_chunk(void *context, int64_t chunk) {
    const struct pool_job *job = context;
    const cnn_pool *p = job->p;
    float *scratch = cnn_scratch((size_t)(job->line + job->result) * (sizeof(float) + sizeof(int32_t)));
    if (!scratch) return CNN_NO_MEMORY;
    int64_t end = CNN_MIN((chunk + 1) * job->rows, p->n * p->oh);
    for (int64_t row = chunk * job->rows; row < end; row++)
        cnn_pool_forward_row(job, row / p->oh, row % p->oh, scratch);
    return CNN_OK;
}

int64_t cnn_pool_prepare_backward(struct pool_job *job, int64_t block) {
    const cnn_pool *p = job->p;
    job->block = block;
    job->line = scratch_row(p->w * job->block);
    job->result = scratch_row(p->ow * job->block);
    return job->kind == MAXIMUM ? p->kh * p->kw * (int64_t)sizeof(int64_t)
                                : (job->line + 2 * job->result) * (int64_t)sizeof(float);
}

/* Of each tap from its window's corner in dx. */
static void set_offsets(struct pool_job *job, int64_t *offsets) {
    const cnn_pool *p = job->p;
    for (int64_t tap = 0; tap < p->kh * p->kw; tap++)
        offsets[tap] = (tap / p->kw * p->dh * p->w + tap % p->kw * p->dw) * p->c;
    job->offsets = offsets;
}

void cnn_pool_backward_block(struct pool_job *job, int64_t image, int64_t from, int64_t to, void *scratch) {
    if (job->kind == MAXIMUM) set_offsets(job, scratch);
    kernels(job)->backward(job, image, from, to, scratch);
}

static cnn_status backward_chunk(void *context, int64_t chunk) {
    const struct pool_job *job = context;
    int64_t blocks = cnn_ceil_div(job->p->c, job->block), from = chunk % blocks * job->block;
    float *scratch = NULL;
    if (job->kind != MAXIMUM && !(scratch = cnn_scratch((size_t)(job->line + 2 * job->result) * sizeof(float))))
        return CNN_NO_MEMORY;
    kernels(job)->backward(job, chunk / blocks, from, CNN_MIN(from + job->block, job->p->c), scratch);
    return CNN_OK;
}

static bool axis_valid(int64_t size, int64_t out, int64_t k, int64_t stride, int64_t pad, int64_t dilation) {
    const int64_t limit = (int64_t)1 << 30;
    if (k < 1 || stride < 1 || pad < 0 || dilation < 1) return false;
    if (size > limit || out > limit || k > limit || stride > limit || pad > limit || dilation > limit) return false;
    for (int64_t i = 0; i < out; i++) {
        struct pool_span span = pool_span(i * stride - pad, size, k, dilation);
        if (span.from >= span.to) return false;
    }
    return true;
}

bool cnn_pool_valid(const cnn_pool *p) {
    return cnn_sizes_fit(8, 4, (int64_t[]){p->n, p->h, p->w, p->c}) &&
           cnn_sizes_fit(8, 4, (int64_t[]){p->n, p->oh, p->ow, p->c}) &&
           axis_valid(p->h, p->oh, p->kh, p->sh, p->ph, p->dh) && axis_valid(p->w, p->ow, p->kw, p->sw, p->pw, p->dw);
}

static cnn_status forward(struct pool_job *job) {
    if (!cnn_pool_possible(job)) return CNN_INVALID;
    if (cnn_pool_max_takes(job)) return cnn_pool_max_forward(job);
    cnn_pool_prepare_forward(job);
    return cnn_parallel(forward_chunk, job, cnn_ceil_div(job->p->n * job->p->oh, job->rows));
}

static cnn_status backward(struct pool_job *job) {
    const cnn_pool *p = job->p;
    if (!cnn_pool_possible(job)) return CNN_INVALID;
    if (cnn_pool_max_takes_back(job)) return cnn_pool_max_backward(job);
    bool few = p->n < 16 && p->h * p->w * p->c > CNN_PIECE;
    int64_t bytes = cnn_pool_prepare_backward(job, few ? CNN_MIN(CHANNEL_BLOCK, p->c) : p->c);
    if (job->kind == MAXIMUM) { /* its chunks use no scratch, so the caller's may hold the table */
        int64_t *offsets = cnn_scratch((size_t)bytes);
        if (!offsets) return CNN_NO_MEMORY;
        set_offsets(job, offsets);
    }
    return cnn_parallel(backward_chunk, job, p->n * cnn_ceil_div(p->c, job->block));
}

int cnn_max_pool_tap_bytes(int64_t kh, int64_t kw) {
    if (!cnn_sizes_fit(1, 2, (int64_t[]){kh, kw}) || kh * kw > 65535) return 0;
    return kh * kw <= 255 ? 1 : 2;
}

static struct pool_job maximum(const cnn_pool *p, int activation) {
    return (struct pool_job){.p = p,
                             .kind = MAXIMUM,
                             .tap_bytes = cnn_max_pool_tap_bytes(p->kh, p->kw),
                             .active = activation != CNN_IDENTITY,
                             .limit = activation == CNN_RELU6 ? 6 : NAN};
}

static bool fusable(int activation) { return activation >= CNN_IDENTITY && activation <= CNN_RELU6; }

cnn_status cnn_max_pool_forward(const cnn_pool *p, int activation, const float *x, float *y, void *taps) {
    struct pool_job job = maximum(p, activation);
    job.x = x, job.y = y, job.taps = taps;
    return !fusable(activation) || (taps && !job.tap_bytes) ? CNN_INVALID : forward(&job);
}

cnn_status cnn_max_pool_backward(const cnn_pool *p, int activation, const float *y, const void *taps, const float *dy,
                                 float *dx) {
    struct pool_job job = maximum(p, activation);
    job.y = (float *)y, job.taps = (void *)taps, job.dy = dy, job.dx = dx;
    return !fusable(activation) || (job.active && !y) || !job.tap_bytes ? CNN_INVALID : backward(&job);
}

cnn_status cnn_average_pool_forward(const cnn_pool *p, int count_include_pad, const float *x, float *y) {
    struct pool_job job = {.p = p, .kind = AVERAGE, .include_pad = count_include_pad != 0, .x = x, .y = y};
    return forward(&job);
}

cnn_status cnn_average_pool_backward(const cnn_pool *p, int count_include_pad, const float *dy, float *dx) {
    struct pool_job job = {.p = p, .kind = AVERAGE, .include_pad = count_include_pad != 0, .dy = dy, .dx = dx};
    return backward(&job);
}

cnn_status cnn_lp_pool_forward(const cnn_pool *p, float norm, const float *x, float *y) {
    struct pool_job job = {.p = p, .kind = ROOT, .norm = norm, .x = x, .y = y};
    return norm == 0 || p->ph || p->pw ? CNN_INVALID : forward(&job);
}

cnn_status cnn_lp_pool_backward(const cnn_pool *p, float norm, const float *x, const float *y, const float *dy,
                                float *dx) {
    struct pool_job job = {.p = p, .kind = ROOT, .norm = norm, .x = x, .y = (float *)y, .dy = dy, .dx = dx};
    return norm == 0 || p->ph || p->pw ? CNN_INVALID : backward(&job);
}
