/* Pooling, the vector version: VLEN channels of one window at a time. Compiled per instruction set by foreach_isa.h
 * on behalf of pool.c, which holds the windows' geometry and, as the reference, what each kind computes. */

typedef uint8_t ISA(pool_bytes) __attribute__((vector_size(VLEN)));
typedef uint8_t ISA(pool_bytes_unaligned) __attribute__((vector_size(VLEN), aligned(1), may_alias));

/* `lanes` is VLEN, or fewer in an image's last channels. */
CNN_INLINE vf ISA(pool_load)(const float *p, int64_t lanes) { return lanes == VLEN ? vload(p) : vload_part(p, lanes); }
CNN_INLINE void ISA(pool_store)(float *p, vf a, int64_t lanes) {
    if (lanes == VLEN) vstore(p, a);
    else vstore_part(p, a, lanes);
}

CNN_INLINE void ISA(pool_store_taps)(const struct pool_job *job, int64_t at, vi taps, int64_t lanes) {
    if (!job->taps) return;
    if (job->tap_bytes == 1 && lanes == VLEN) {
        *(ISA(pool_bytes_unaligned) *)((uint8_t *)job->taps + at) = __builtin_convertvector(taps, ISA(pool_bytes));
        return;
    }
    for (int64_t i = 0; i < lanes; i++) pool_set_tap(job, at + i, taps[i]);
}

CNN_INLINE vi ISA(pool_load_taps)(const struct pool_job *job, int64_t at, int64_t lanes) {
    if (job->tap_bytes == 1 && lanes == VLEN)
        return __builtin_convertvector(*(const ISA(pool_bytes_unaligned) *)((const uint8_t *)job->taps + at), vi);
    vi taps = {0};
    for (int64_t i = 0; i < lanes; i++) taps[i] = (int32_t)pool_tap(job, at + i);
    return taps;
}

/* x points to the window's start, in an image's own channel; it may lie outside the image, the valid taps do not. */
CNN_INLINE void ISA(pool_maximum)(const struct pool_job *job, const float *x, struct pool_span r, struct pool_span c,
                                  int64_t out, int64_t lanes) {
    const cnn_pool *p = job->p;
    int64_t down = p->dh * p->w * p->c, right = p->dw * p->c;
    vf best = ISA(pool_load)(x + r.from * down + c.from * right, lanes);
    vi place = (vi){0} + (int32_t)(r.from * p->kw + c.from);
    for (int64_t i = r.from; i < r.to; i++)
        for (int64_t j = c.from; j < c.to; j++) {
            vf v = ISA(pool_load)(x + i * down + j * right, lanes);
            vi better = (v > best) | (v != v);
            best = vselect(better, v, best);
            place = (better & ((vi){0} + (int32_t)(i * p->kw + j))) | (~better & place);
        }
    ISA(pool_store)(job->y + out, best, lanes);
    ISA(pool_store_taps)(job, out, place, lanes);
}

/* The mean, or the root of the sum of squares. Rows are summed first and then added: over a large window that
 * rounds less than one long sum. */
CNN_INLINE void ISA(pool_sum)(const struct pool_job *job, const float *x, struct pool_span r, struct pool_span c,
                              int64_t out, int64_t lanes) {
    const cnn_pool *p = job->p;
    vf sum = vset(0);
    for (int64_t i = r.from; i < r.to; i++) {
        vf line = vset(0);
        for (int64_t j = c.from; j < c.to; j++) {
            vf v = ISA(pool_load)(x + (i * p->w + j) * p->c, lanes);
            line += job->kind == ROOT ? v * v : v;
        }
        sum += line;
    }
    sum *= pool_factor(job, r, c);
    ISA(pool_store)(job->y + out, job->kind == ROOT ? vsqrt(sum) : sum, lanes);
}

static void ISA(pool_forward)(const struct pool_job *job, int64_t image, int64_t row) {
    const cnn_pool *p = job->p;
    struct pool_span r = pool_rows(p, row);
    const float *x = job->x + (image * p->h + r.start) * p->w * p->c;
    for (int64_t column = 0; column < p->ow; column++) {
        struct pool_span c = pool_columns(p, column);
        int64_t out = ((image * p->oh + row) * p->ow + column) * p->c;
        for (int64_t k = 0; k < p->c; k += VLEN) {
            const float *window = x + c.start * p->c + k;
            if (job->kind == MAXIMUM) ISA(pool_maximum)(job, window, r, c, out + k, CNN_MIN(VLEN, p->c - k));
            else ISA(pool_sum)(job, window, r, c, out + k, CNN_MIN(VLEN, p->c - k));
        }
    }
}

/* Adds one window's share to dx, which points to the window's start like x above. */
CNN_INLINE void ISA(pool_spread)(const struct pool_job *job, const float *x, float *dx, struct pool_span r,
                                 struct pool_span c, int64_t out, int64_t lanes) {
    const cnn_pool *p = job->p;
    int64_t down = p->dh * p->w * p->c, right = p->dw * p->c;
    vf dy = ISA(pool_load)(job->dy + out, lanes);
    vi taps = {0};
    if (job->kind == MAXIMUM) taps = ISA(pool_load_taps)(job, out, lanes);
    else dy *= pool_factor(job, r, c);
    if (job->kind == ROOT) {
        vf y = ISA(pool_load)(job->y + out, lanes);
        dy = vselect(y == vset(0), vset(0), dy / y);
    }
    for (int64_t i = r.from; i < r.to; i++)
        for (int64_t j = c.from; j < c.to; j++) {
            int64_t at = i * down + j * right;
            vf share = dy;
            if (job->kind == MAXIMUM) share = (vf)((vi)dy & (taps == (int32_t)(i * p->kw + j)));
            if (job->kind == ROOT) share = dy * ISA(pool_load)(x + at, lanes);
            ISA(pool_store)(dx + at, ISA(pool_load)(dx + at, lanes) + share, lanes);
        }
}

/* Max pooling with large windows: one addition per output instead of one per tap. */
static void ISA(pool_scatter)(const struct pool_job *job, float *dx, int64_t out, int64_t channels) {
    const cnn_pool *p = job->p;
    for (int64_t k = 0; k < channels; k++) {
        int64_t tap = pool_tap(job, out + k);
        dx[(tap / p->kw * p->dh * p->w + tap % p->kw * p->dw) * p->c + k] += job->dy[out + k];
    }
}

static void ISA(pool_backward)(const struct pool_job *job, int64_t image, int64_t from, int64_t to) {
    const cnn_pool *p = job->p;
    bool scatter = job->kind == MAXIMUM && p->kh * p->kw > 16;
    int64_t start = image * p->h * p->w * p->c, zeroed = 0;
    float *dx = job->dx + start;
    const float *x = job->kind == ROOT ? job->x + start : dx;
    for (int64_t row = 0; row < p->oh; row++) {
        struct pool_span r = pool_rows(p, row);
        int64_t reach = pool_reach(p, row, r);
        pool_zero(p, dx, zeroed, reach, from, to);
        zeroed = CNN_MAX(zeroed, reach);
        for (int64_t column = 0; column < p->ow; column++) {
            struct pool_span c = pool_columns(p, column);
            int64_t corner = (r.start * p->w + c.start) * p->c;
            int64_t out = ((image * p->oh + row) * p->ow + column) * p->c;
            if (scatter) {
                ISA(pool_scatter)(job, dx + corner + from, out + from, to - from);
                continue;
            }
            for (int64_t k = from; k < to; k += VLEN)
                ISA(pool_spread)(job, x + corner + k, dx + corner + k, r, c, out + k, CNN_MIN(VLEN, to - k));
        }
    }
}

static const struct pool_kernels ISA(pool_kernels) = {ISA(pool_forward), ISA(pool_backward)};
