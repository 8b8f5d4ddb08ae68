/* Poolings of bytes: entry points and loops, which compilers vectorise. The windows' geometry is pool.h's; the layers are
 * in cnncli/layers/pool.py. Results are exact until they are rounded once, so that no order of sums shows. */
#include "int8.h"
#include "pool.h"

struct pooling {
    struct pool_job job; /* its p and kind, and what counts in the divisor */
    bool adaptive;
    float multiplier;
    int64_t zero_x, zero;
    const uint8_t *x;
    uint8_t *y;
};

/* The rows or columns that window `index` of `windows` covers, which share `size` out. */
static struct pool_span share(int64_t index, int64_t size, int64_t windows) {
    int64_t start = index * size / windows;
    return (struct pool_span){start, 0, cnn_ceil_div((index + 1) * size, windows) - start};
}

static void most(int64_t count, const uint8_t *restrict x, uint8_t *restrict y) {
    for (int64_t i = 0; i < count; i++) y[i] = CNN_MAX(x[i], y[i]);
}

static void add(int64_t count, const uint8_t *restrict x, int32_t *restrict sums) {
    for (int64_t i = 0; i < count; i++) sums[i] += x[i];
}

static void round_means(const struct pooling *p, int64_t count, float factor, const int32_t *sums, uint8_t *y) {
    float low = (float)-p->zero, high = (float)(255 - p->zero);
    int32_t shift = (int32_t)(count * p->zero_x);
    for (int64_t i = 0; i < p->job.p->c; i++)
        y[i] = (uint8_t)(cnn_int8_nearest((float)(sums[i] - shift) * factor, low, high) + p->zero);
}

/* One row of results. */
static cnn_status pool_row(void *context, int64_t index) {
    const struct pooling *w = context;
    const cnn_pool *p = w->job.p;
    bool mean = w->job.kind == AVERAGE;
    int32_t *sums = mean ? cnn_scratch((size_t)p->c * sizeof *sums) : NULL;
    if (mean && !sums) return CNN_NO_MEMORY;
    const uint8_t *x = w->x + index / p->oh * p->h * p->w * p->c;
    struct pool_span r = w->adaptive ? share(index % p->oh, p->h, p->oh) : pool_rows(p, index % p->oh);
    for (int64_t column = 0; column < p->ow; column++) {
        struct pool_span c = w->adaptive ? share(column, p->w, p->ow) : pool_columns(p, column);
        uint8_t *y = w->y + (index * p->ow + column) * p->c;
        memset(mean ? (void *)sums : (void *)y, 0, (size_t)p->c * (mean ? sizeof *sums : 1)); /* no byte is less */
        for (int64_t i = r.from; i < r.to; i++)
            for (int64_t j = c.from; j < c.to; j++) {
                const uint8_t *pixel = x + ((r.start + i * p->dh) * p->w + c.start + j * p->dw) * p->c;
                if (mean) add(p->c, pixel, sums);
                else most(p->c, pixel, y);
            }
        if (!mean) continue;
        int64_t count = (r.to - r.from) * (c.to - c.from);
        float share_of_each = w->adaptive ? 1 / (float)count : pool_factor(&w->job, r, c);
        round_means(w, count, w->multiplier * share_of_each, sums, y);
    }
    return CNN_OK;
}

static cnn_status pool(struct pooling w) {
    const cnn_pool *p = w.job.p;
    bool mean = w.job.kind == AVERAGE, bytes = w.zero_x >= 0 && w.zero_x <= 255 && w.zero >= 0 && w.zero <= 255;
    int64_t taps = w.adaptive ? p->h * p->w : p->kh * p->kw;
    /* A sum of bytes fits into an int32. */
    if (!bytes || (mean && (taps > INT32_MAX / 255 || p->dh != 1 || p->dw != 1))) return CNN_INVALID;
    return cnn_parallel_sized(pool_row, &w, p->n * p->oh, (double)(p->n * p->h * p->w) * (double)p->c);
}

cnn_status cnn_int8_max_pool(const cnn_pool *p, const uint8_t *x, uint8_t *y) {
    if (!cnn_pool_valid(p)) return CNN_INVALID;
    return pool((struct pooling){.job = {.p = p, .kind = MAXIMUM}, .x = x, .y = y});
}

cnn_status cnn_int8_average_pool(const cnn_pool *p, int count_include_pad, float multiplier, int64_t zero_x,
                                 int64_t zero, const uint8_t *x, uint8_t *y) {
    if (!cnn_pool_valid(p)) return CNN_INVALID;
    return pool((struct pooling){.job = {.p = p, .kind = AVERAGE, .include_pad = count_include_pad != 0},
                                 .multiplier = multiplier,
                                 .zero_x = zero_x,
                                 .zero = zero,
                                 .x = x,
                                 .y = y});
}

cnn_status cnn_int8_adaptive_average_pool(int64_t n, int64_t h, int64_t w, int64_t c, int64_t oh, int64_t ow,
                                          float multiplier, int64_t zero_x, int64_t zero, const uint8_t *x,
                                          uint8_t *y) {
    const int64_t limit = (int64_t)1 << 30; /* products with an index fit */
    bool fits = cnn_sizes_fit(8, 4, (int64_t[]){n, h, w, c}) && cnn_sizes_fit(8, 4, (int64_t[]){n, oh, ow, c});
    if (!fits || h > limit || w > limit || oh > limit || ow > limit) return CNN_INVALID;
    cnn_pool p = {.n = n, .h = h, .w = w, .c = c, .oh = oh, .ow = ow, .kh = h, .kw = w, .dh = 1, .dw = 1};
    return pool((struct pooling){.job = {.p = &p, .kind = AVERAGE},
                                 .adaptive = true,
                                 .multiplier = multiplier,
                                 .zero_x = zero_x,
                                 .zero = zero,
                                 .x = x,
                                 .y = y});
}
