/* The maxima of small windows, which is what networks have: each window is read as it is, all its taps in a row, and
 * backward writes every gradient once, where it belongs. The vector version is pool_max_tmpl.c; pool.c sends here what
 * cnn_pool_max_takes, and its reference says what is computed.
 *
 * Vectors run over channels. Where a pixel has fewer than fill one, a vector reaches into the next pixels: what it
 * loads there is not used, and what it stores there is overwritten, since pixels are stored in order. The last of what
 * a chunk or an array holds are handled lane by lane. */
#include "pool_max.h"

static const struct pool_max_kernels *const tables[] = CNN_TABLES(cnn_pool_max_kernels);

static const struct pool_max_kernels *kernels(const struct pool_job *job) {
    bool narrow = cnn_isa_active() == CNN_ISA_AVX512 && job->p->c <= NARROW;
    return job->half ? cnn_bf16_pool_max(narrow) : tables[cnn_table_index() - (narrow ? 1 : 0)];
}

static bool small(const struct pool_job *job) {
    return job->kind == MAXIMUM && !cnn_use_reference() && job->p->kh * job->p->kw <= MOST_TAPS;
}

static bool lie_apart(const cnn_pool *p) { return p->dh == 1 && p->dw == 1 && p->sh >= p->kh && p->sw >= p->kw; }

static bool are_threes(const cnn_pool *p) {
    return p->dh == 1 && p->dw == 1 && p->kh == 3 && p->kw == 3 && p->sh == 2 && p->sw == 2;
}

bool cnn_pool_max_takes(const struct pool_job *job) { return small(job); }

bool cnn_pool_max_takes_back(const struct pool_job *job) {
    return small(job) && (lie_apart(job->p) || are_threes(job->p));
}

static cnn_status forward_chunk(void *context, int64_t chunk) {
    const struct pool_job *job = context;
    const cnn_pool *p = job->p;
    int64_t end = CNN_MIN((chunk + 1) * job->rows, p->n * p->oh);
    for (int64_t row = chunk * job->rows; row < end; row++)
        kernels(job)->forward(job, row / p->oh, row % p->oh, end * p->ow * p->c);
    return CNN_OK;
}

static cnn_status apart_chunk(void *context, int64_t chunk) {
    const struct pool_job *job = context;
    const cnn_pool *p = job->p;
    int64_t end = CNN_MIN((chunk + 1) * job->rows, p->n * p->oh);
    for (int64_t row = chunk * job->rows; row < end; row++) kernels(job)->apart(job, row / p->oh, row % p->oh);
    return CNN_OK;
}

static cnn_status threes_chunk(void *context, int64_t chunk) {
    const struct pool_job *job = context;
    const cnn_pool *p = job->p;
    int64_t end = CNN_MIN((chunk + 1) * job->rows, p->n * p->h);
    for (int64_t row = chunk * job->rows; row < end; row++)
        kernels(job)->threes(job, row / p->h, row % p->h, end * p->w * p->c);
    return CNN_OK;
}

cnn_status cnn_pool_max_forward(struct pool_job *job) {
    const cnn_pool *p = job->p;
    int64_t work = CNN_MAX(p->ow * p->c * CNN_MIN(p->kh, p->h), p->sh * p->w * p->c);
    job->rows = cnn_ceil_div(CNN_PIECE, work);
    return cnn_parallel(forward_chunk, job, cnn_ceil_div(p->n * p->oh, job->rows));
}

cnn_status cnn_pool_max_backward(struct pool_job *job) {
    const cnn_pool *p = job->p;
    if (lie_apart(p)) {
        job->rows = cnn_ceil_div(CNN_PIECE, p->sh * p->w * p->c);
        return cnn_parallel(apart_chunk, job, cnn_ceil_div(p->n * p->oh, job->rows));
    }
    job->rows = cnn_ceil_div(CNN_PIECE, p->w * p->c);
    return cnn_parallel(threes_chunk, job, cnn_ceil_div(p->n * p->h, job->rows));
}
