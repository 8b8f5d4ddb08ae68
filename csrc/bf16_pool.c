/* Pooling over maps of bfloat16: entry points. The maxima of small windows are pool_max.c's; all other passes go by way
 * of float32, an image at a time or, of sums, a block of its channels: what is expanded of them stays in cache. */
#include "bf16_numbers.h"
#include "pool.h"

#define BLOCK 64        /* channels */
#define WHOLE (1 << 19) /* floats of an image that is not cut into blocks where there are others beside it */

struct staged {
    struct pool_job job;
    cnn_pool sizes; /* of all images */
    bool adaptive, backward;
    int kind;         /* how y and dy are stored: a cnn_storage; x and dx are bfloat16 */
    const void *from; /* x, or dy */
    const void *gate; /* y of a maximum's backward; NULL where nothing is gated */
    void *to;         /* y, or dx */
    void *taps;
    int64_t block;
};

/* ---- a block of channels of an image's pixels: to float32, one behind the other, and back ---- */

static void gather(int kind, const void *map, int64_t pixels, int64_t c, int64_t channels, float *wide) {
    int64_t rows = channels == c ? 1 : pixels, each = pixels * channels / rows;
    for (int64_t i = 0; i < rows; i++) {
        const void *from = cnn_bf16_at(map, kind, i * c);
        if (kind == CNN_BFLOAT16) cnn_bf16_expand_some(each, from, wide + i * each);
        else memcpy(wide + i * each, from, (size_t)each * sizeof(float));
    }
}

static void scatter(int kind, const float *wide, int64_t pixels, int64_t c, int64_t channels, void *map) {
    int64_t rows = channels == c ? 1 : pixels, each = pixels * channels / rows;
    for (int64_t i = 0; i < rows; i++) {
        void *to = (void *)cnn_bf16_at(map, kind, i * c);
        if (kind == CNN_BFLOAT16) cnn_bf16_round_some(each, wide + i * each, to);
        else memcpy(to, wide + i * each, (size_t)each * sizeof(float));
    }
}

/* ---- chunks ---- */

static void compute(const struct staged *s, struct pool_job *job, float *inside, float *outside, void *scratch) {
    if (s->adaptive && s->backward) {
        cnn_pool_adaptive_backward(job->p, outside, inside);
    } else if (s->adaptive) {
        cnn_pool_adaptive_forward(job->p, inside, outside);
    } else if (s->backward) {
        job->dy = outside, job->dx = inside;
        cnn_pool_backward_block(job, 0, 0, job->p->c, scratch);
    } else {
        job->x = inside, job->y = outside;
        for (int64_t row = 0; row < job->p->oh; row++) cnn_pool_forward_row(job, 0, row, scratch);
    }
}

/* A block of channels of one image. */
static cnn_status staged_chunk(void *context, int64_t chunk) {
    const struct staged *s = context;
    cnn_pool one = s->sizes;
    int64_t c = one.c, blocks = cnn_ceil_div(c, s->block), from = chunk % blocks * s->block, image = chunk / blocks;
    one.n = 1, one.c = CNN_MIN(s->block, c - from);
    int64_t pixels = one.h * one.w, results = one.oh * one.ow, taps = image * results * c * s->job.tap_bytes;
    struct pool_job job = s->job;
    job.p = &one;
    job.taps = s->taps ? (char *)s->taps + taps : NULL;
    int64_t bytes = s->adaptive ? 0
                  : s->backward ? cnn_pool_prepare_backward(&job, one.c)
                                : cnn_pool_prepare_forward(&job);
    int64_t inside = cnn_round_up(pixels * one.c, 16) + 16, outside = cnn_round_up(results * one.c, 16) + 16;
    float *wide = cnn_scratch((size_t)(inside + 2 * outside) * sizeof(float) + (size_t)bytes);
    if (!wide) return CNN_NO_MEMORY;
    float *out = wide + inside, *gate = out + outside, *scratch = gate + outside;
    const int64_t in_at = image * pixels * c + from, out_at = image * results * c + from;
    if (s->gate) {
        gather(s->kind, cnn_bf16_at(s->gate, s->kind, out_at), results, c, one.c, gate);
        job.y = gate;
    }
    if (s->backward) gather(s->kind, cnn_bf16_at(s->from, s->kind, out_at), results, c, one.c, out);
    else gather(CNN_BFLOAT16, cnn_bf16_at(s->from, CNN_BFLOAT16, in_at), pixels, c, one.c, wide);
    compute(s, &job, wide, out, scratch);
    if (s->backward) scatter(CNN_BFLOAT16, wide, pixels, c, one.c, (void *)cnn_bf16_at(s->to, CNN_BFLOAT16, in_at));
    else scatter(s->kind, out, results, c, one.c, (void *)cnn_bf16_at(s->to, s->kind, out_at));
    return CNN_OK;
}

static cnn_status run(struct staged *s) {
    const cnn_pool *p = &s->sizes;
    if (s->kind < CNN_FLOAT32 || s->kind > CNN_BFLOAT16) return CNN_INVALID;
    bool whole = (s->job.kind == MAXIMUM && !s->adaptive) || p->h * p->w * p->c <= (p->n < 4 ? CNN_PIECE : WHOLE);
    s->block = whole ? p->c : CNN_MIN(BLOCK, p->c);
    return cnn_parallel(staged_chunk, s, p->n * cnn_ceil_div(p->c, s->block));
}

/* ---- entry points ---- */

static struct pool_job maximum(const cnn_pool *p, int activation) {
    return (struct pool_job){.p = p,
                             .kind = MAXIMUM,
                             .tap_bytes = cnn_max_pool_tap_bytes(p->kh, p->kw),
                             .active = activation != CNN_IDENTITY,
                             .limit = activation == CNN_RELU6 ? 6 : NAN,
                             .half = true};
}

static bool fusable(int activation) { return activation >= CNN_IDENTITY && activation <= CNN_RELU6; }

cnn_status cnn_bf16_max_pool_forward(const cnn_pool *p, int activation, const uint16_t *x, uint16_t *y, void *taps) {
    struct pool_job job = maximum(p, activation);
    job.x = (const float *)x, job.y = (float *)y, job.taps = taps;
    if (!fusable(activation) || (taps && !job.tap_bytes) || !cnn_pool_possible(&job)) return CNN_INVALID;
    if (cnn_pool_max_takes(&job)) return cnn_pool_max_forward(&job);
    return run(&(struct staged){.job = job, .sizes = *p, .kind = CNN_BFLOAT16, .from = x, .to = y, .taps = taps});
}

cnn_status cnn_bf16_max_pool_backward(const cnn_pool *p, int activation, const uint16_t *y, const void *taps,
                                      const uint16_t *dy, uint16_t *dx) {
    struct pool_job job = maximum(p, activation);
    job.y = (float *)y, job.taps = (void *)taps, job.dy = (const float *)dy, job.dx = (float *)dx;
    if (!fusable(activation) || (job.active && !y) || !job.tap_bytes || !cnn_pool_possible(&job)) return CNN_INVALID;
    if (cnn_pool_max_takes_back(&job)) return cnn_pool_max_backward(&job);
    return run(&(struct staged){.job = job,
                                .sizes = *p,
                                .backward = true,
                                .kind = CNN_BFLOAT16,
                                .from = dy,
                                .gate = job.active ? y : NULL,
                                .to = dx,
                                .taps = (void *)taps});
}

static cnn_status average(const cnn_pool *p, int count_include_pad, bool backward, int kind, const void *from,
                          void *to) {
    struct pool_job job = {.p = p, .kind = AVERAGE, .include_pad = count_include_pad != 0};
    if (!cnn_pool_possible(&job)) return CNN_INVALID;
    return run(&(struct staged){.job = job, .sizes = *p, .backward = backward, .kind = kind, .from = from, .to = to});
}

cnn_status cnn_bf16_average_pool_forward(const cnn_pool *p, int count_include_pad, const uint16_t *x, int y_storage,
                                         void *y) {
    return average(p, count_include_pad, false, y_storage, x, y);
}

cnn_status cnn_bf16_average_pool_backward(const cnn_pool *p, int count_include_pad, int dy_storage, const void *dy,
                                          uint16_t *dx) {
    return average(p, count_include_pad, true, dy_storage, dy, dx);
}

static cnn_status adaptive(cnn_pool sizes, bool backward, const void *from, void *to) {
    if (!cnn_pool_adaptive_valid(&sizes)) return CNN_INVALID;
    return run(&(struct staged){.sizes = sizes,
                                .adaptive = true,
                                .backward = backward,
                                .kind = CNN_BFLOAT16,
                                .from = from,
                                .to = to});
}

cnn_status cnn_bf16_adaptive_average_pool_forward(int64_t n, int64_t h, int64_t w, int64_t c, int64_t oh, int64_t ow,
                                                  const uint16_t *x, uint16_t *y) {
    return adaptive((cnn_pool){.n = n, .h = h, .w = w, .c = c, .oh = oh, .ow = ow}, false, x, y);
}

cnn_status cnn_bf16_adaptive_average_pool_backward(int64_t n, int64_t h, int64_t w, int64_t c, int64_t oh, int64_t ow,
                                                   const uint16_t *dy, uint16_t *dx) {
    return adaptive((cnn_pool){.n = n, .h = h, .w = w, .c = c, .oh = oh, .ow = ow}, true, dy, dx);
}
