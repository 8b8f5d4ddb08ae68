/* What pool_max.c and its template share. */
#ifndef CNN_POOL_MAX_H
#define CNN_POOL_MAX_H

#include "pool.h"

/* A number of a map, as stored.h has the words for it. */
#ifdef CNN_STORED_BF16
typedef uint16_t stored;
#else
typedef float stored;
#endif

#define MOST_TAPS 9
#define NARROW 8 /* channels up to which half of AVX-512's vectors are enough */

struct pool_max_kernels {
    /* An output row; `end` is the first output value that is another chunk's. */
    void (*forward)(const struct pool_job *job, int64_t image, int64_t row, int64_t end);
    /* What an output row's windows, which do not overlap, cover in dx, and the gap behind them. */
    void (*apart)(const struct pool_job *job, int64_t image, int64_t row);
    /* A row of dx under windows of 3 x 3 every 2 pixels; `end` is the first value of dx that is another chunk's. */
    void (*threes)(const struct pool_job *job, int64_t image, int64_t row, int64_t end);
};

/* What loops over windows need, as a copy of their own: the bytes that they store may be anything's, so that what a
 * pointer leads to would be read again each time. */
struct max_frame {
    int64_t c, right, down, kw; /* right, down: from one tap to the next */
    int64_t w, pad, out_end;    /* of dx: its width, what its windows are shifted by, and where they end */
    float lowest, limit;        /* what f lets through */
    const stored *x_end, *dy;
    stored *y, *dx;
    uint8_t *taps;
};

static inline struct max_frame max_frame(const struct pool_job *job) {
    const cnn_pool *p = job->p;
    return (struct max_frame){.c = p->c,
                              .right = p->dw * p->c,
                              .down = p->dh * p->w * p->c,
                              .kw = p->kw,
                              .w = p->w,
                              .pad = p->pw,
                              .out_end = p->n * p->oh * p->ow * p->c,
                              .lowest = job->active ? 0 : -INFINITY,
                              .limit = job->limit,
                              .x_end = (const stored *)job->x + p->n * p->h * p->w * p->c,
                              .dy = (const stored *)job->dy,
                              .y = (stored *)job->y,
                              .dx = (stored *)job->dx,
                              .taps = job->taps};
}

/* The windows of an output row that lie inside the image from left to right: columns from … to-1. */
static inline void whole_columns(const cnn_pool *p, int64_t *from, int64_t *to) {
    int64_t reach = (p->kw - 1) * p->dw + 1;
    *from = CNN_MIN(cnn_ceil_div(p->pw, p->sw), p->ow);
    *to = p->w + p->pw < reach ? 0 : CNN_MIN((p->w + p->pw - reach) / p->sw + 1, p->ow);
    if (*to < *from) *to = *from;
}

CNN_DECLARE_TABLES(pool_max_kernels, cnn_pool_max_kernels);

/* bf16_pool_max.c: over bfloat16, for the active instruction set and words, in vectors half as wide if `narrow`. */
const struct pool_max_kernels *cnn_bf16_pool_max(bool narrow);

#endif
