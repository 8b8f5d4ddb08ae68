/* What pooling's files share: the job that an entry point describes, the geometry of windows, and pool_max.c's way
 * with small windows. Read pool.c first. */
#ifndef CNN_POOL_H
#define CNN_POOL_H

#include "internal.h"

typedef enum { MAXIMUM, AVERAGE, ROOT } pool_kind;

struct pool_job {
    const cnn_pool *p;
    pool_kind kind;
    float norm;       /* ROOT's p */
    bool include_pad; /* AVERAGE: padding counts in the divisor */
    int tap_bytes;    /* MAXIMUM: 1 or 2 */
    bool active;      /* MAXIMUM: whether an activation f follows: max(v, 0), and at most … */
    float limit;      /* … this, or NaN: no comparison with it holds */
    bool half;        /* pool_max.c: whether these are arrays of bfloat16 */
    const float *x, *dy;
    float *y, *dx; /* y: in backward read only */
    void *taps;
    int64_t rows, block;    /* output rows, or channels, of a chunk */
    int64_t columns;        /* output columns that the vector version's forward takes at a time */
    int64_t line, result;   /* floats of its scratch rows: of input and of output pixels */
    const int64_t *offsets; /* MAXIMUM's backward: of each tap from its window's corner in dx */
};

/* Whether all sizes make sense and every window holds a pixel. */
bool cnn_pool_valid(const cnn_pool *p);

/* ---- windows ---- */

/* The taps from … to-1 of a window that starts at `start` and lie inside an image of `size` pixels. */
struct pool_span {
    int64_t start, from, to;
};

static inline struct pool_span pool_span(int64_t start, int64_t size, int64_t k, int64_t dilation) {
    int64_t from = start < 0 ? cnn_ceil_div(-start, dilation) : 0;
    int64_t to = start < size ? cnn_ceil_div(size - start, dilation) : 0;
    return (struct pool_span){start, from, CNN_MIN(to, k)};
}
static inline struct pool_span pool_rows(const cnn_pool *p, int64_t row) {
    return pool_span(row * p->sh - p->ph, p->h, p->kh, p->dh);
}
static inline struct pool_span pool_columns(const cnn_pool *p, int64_t column) {
    return pool_span(column * p->sw - p->pw, p->w, p->kw, p->dw);
}

/* What a window's sum is multiplied by. PyTorch's divisor counts padding, but not what ceil_mode lets a window
 * reach beyond it; LP pooling multiplies the mean by kh * kw again. */
static inline float pool_factor(const struct pool_job *job, struct pool_span r, struct pool_span c) {
    const cnn_pool *p = job->p;
    int64_t padded = (CNN_MIN(r.start + p->kh, p->h + p->ph) - r.start) *
                     (CNN_MIN(c.start + p->kw, p->w + p->pw) - c.start);
    if (job->kind == ROOT) return (float)(p->kh * p->kw) / (float)padded;
    return 1 / (float)(job->include_pad ? padded : (r.to - r.from) * (c.to - c.from));
}

/* dx is zeroed row by row just before the first window reaches a row: it is then still in cache. */
static inline void pool_zero(const cnn_pool *p, float *dx, int64_t from_row, int64_t to_row, int64_t from, int64_t to) {
    if (to - from == p->c && to_row > from_row)
        memset(dx + from_row * p->w * p->c, 0, (size_t)((to_row - from_row) * p->w * p->c) * sizeof(float));
    else
        for (int64_t i = from_row * p->w; i < to_row * p->w; i++)
            memset(dx + i * p->c + from, 0, (size_t)(to - from) * sizeof(float));
}

/* dy where f let y through, else 0. */
static inline float pool_gated(const struct pool_job *job, int64_t i) {
    return !job->active || (job->y[i] > 0 && !(job->y[i] >= job->limit)) ? job->dy[i] : 0;
}

/* Copies `channels` of each of `pixels` pixels one behind the other. */
static inline void pool_gather(const float *from, int64_t pixels, int64_t c, int64_t channels, float *to) {
    if (channels == c) memcpy(to, from, (size_t)(pixels * c) * sizeof(float));
    else
        for (int64_t i = 0; i < pixels; i++) memcpy(to + i * channels, from + i * c, (size_t)channels * sizeof(float));
}

static inline int64_t pool_tap(const struct pool_job *job, int64_t i) {
    return job->tap_bytes == 1 ? ((const uint8_t *)job->taps)[i] : ((const uint16_t *)job->taps)[i];
}
static inline void pool_set_tap(const struct pool_job *job, int64_t i, int64_t tap) {
    if (!job->taps) return;
    if (job->tap_bytes == 1) ((uint8_t *)job->taps)[i] = (uint8_t)tap;
    else ((uint16_t *)job->taps)[i] = (uint16_t)tap;
}

/* ---- pool.c and pool_adaptive.c: of arrays of float, in the calling thread; for bf16_pool.c ---- */

/* Whether a pass is possible. */
bool cnn_pool_possible(const struct pool_job *job);
/* Sets what the job's passes go by and returns the bytes of scratch memory that one row takes, or a block of so many
 * channels. */
int64_t cnn_pool_prepare_forward(struct pool_job *job);
int64_t cnn_pool_prepare_backward(struct pool_job *job, int64_t block);
/* A row of results, and channels from … to-1 of an image's gradients. */
void cnn_pool_forward_row(const struct pool_job *job, int64_t image, int64_t row, void *scratch);
void cnn_pool_backward_block(struct pool_job *job, int64_t image, int64_t from, int64_t to, void *scratch);

/* Adaptive windows: whether sizes make sense, and one image of c channels. */
bool cnn_pool_adaptive_valid(const cnn_pool *p);
void cnn_pool_adaptive_forward(const cnn_pool *p, const float *x, float *y);
void cnn_pool_adaptive_backward(const cnn_pool *p, const float *dy, float *dx);

/* ---- pool_max.c: maxima of small windows ---- */

/* Whether it takes these windows: forward, and backward. Never for the reference. */
bool cnn_pool_max_takes(const struct pool_job *job);
bool cnn_pool_max_takes_back(const struct pool_job *job);
cnn_status cnn_pool_max_forward(struct pool_job *job);
cnn_status cnn_pool_max_backward(struct pool_job *job);

#endif
