/* Convolutions of float32 images of few channels to bfloat16, where the CPU multiplies pairs: the family, and forward.
 * Backward-weights are in bf16_first_weights.c. Each row of an image is rounded once, into the thread's scratch memory,
 * with zeros beside it. There, what a result reads of a row is one run of values, and any two neighbours are a unit.
 * Vectors run over output channels, and sums are float32. */
#include "bf16_first.h"

#define MOST_CHANNELS 4
#define PANEL 32                         /* columns: two vectors; the last panel may have one */
#define VECTOR 16                        /* columns that are filled up to */
#define CHUNK_NUMBERS ((int64_t)1 << 15) /* results that are worth a chunk */

static bool runs(void) { return cnn_half_first() != NULL; }

/* Units are two values of a run, and two results of a row. Where float32 pools, it goes on to do so. */
static bool suits(const cnn_bf16_conv2d *p, int pass) {
    const cnn_conv2d *s = &p->sizes;
    return pass != CNN_BACKWARD_DATA && p->x == CNN_FLOAT32 && s->groups == 1 && s->c <= MOST_CHANNELS &&
           s->dilation_h == 1 && s->dilation_w == 1 && cnn_half_first_run(s) > 1 && s->ow > 1 &&
           !(pass == CNN_FORWARD && cnn_conv2d_pools(s));
}

static bool pools(const cnn_bf16_conv2d *p) {
    (void)p;
    return false;
}

/* ---- weights ---- */

static int64_t run_units(const cnn_conv2d *s) { return cnn_ceil_div(cnn_half_first_run(s), 2); }

static int64_t packed_bytes(const cnn_bf16_conv2d *p, int pass) {
    (void)pass;
    return p->sizes.kh * run_units(&p->sizes) * cnn_round_up(p->sizes.k, VECTOR) * (int64_t)sizeof(float);
}

/* [panel][tap row][unit][column], zeros where there is no channel. The last unit of an odd run begins one value
 * earlier, with a weight of 0, so that nothing behind the run is read. */
static cnn_status pack(const cnn_bf16_conv2d *p, int pass, const float *weight, void *packed) {
    (void)pass;
    const cnn_conv2d *s = &p->sizes;
    int64_t run = cnn_half_first_run(s), units = run_units(s);
    uint16_t *to = packed;
    for (int64_t column = 0; column < s->k; column += PANEL) {
        int64_t width = CNN_MIN(PANEL, cnn_round_up(s->k - column, VECTOR));
        for (int64_t i = 0; i < s->kh * units * width * 2; i++) {
            int64_t unit = i / 2 / width % units, row = i / 2 / width / units, k = column + i / 2 % width;
            bool earlier = 2 * unit + 1 == run;
            int64_t at = 2 * unit + i % 2 - earlier; /* of the run */
            bool real = k < s->k && !(earlier && i % 2 == 0);
            to[i] = real ? cnn_bf16_of(weight[((k * s->c + at % s->c) * s->kh + row) * s->kw + at / s->c]) : 0;
        }
        to += s->kh * units * width * 2;
    }
    return CNN_OK;
}

/* ---- forward ---- */

struct forward_work {
    const cnn_conv2d *s;
    const float *x, *packed;
    const cnn_bf16_finish *finish;
    uint16_t *y;
    int64_t count, chunks, width; /* rows of results of a chunk, chunks of an image, values of a row */
};

static cnn_status forward_chunk(void *context, int64_t chunk) {
    const struct forward_work *w = context;
    const cnn_conv2d *s = w->s;
    int64_t image = chunk / w->chunks, first = chunk % w->chunks * w->count, end = CNN_MIN(first + w->count, s->oh);
    int64_t top = first * s->stride_h - s->pad_top, rows = (end - first - 1) * s->stride_h + s->kh;
    uint16_t *x = cnn_scratch((size_t)(rows * w->width) * sizeof *x);
    if (!x) return CNN_NO_MEMORY;
    for (int64_t row = CNN_MAX(0, -top); row < CNN_MIN(rows, s->h - top); row++)
        cnn_half_first_fill(s, w->x + image * s->h * s->w * s->c, top + row, w->width, x + row * w->width);
    struct half_first_row r = {.stride = w->width,
                               .run = cnn_half_first_run(s),
                               .step = s->stride_w * s->c,
                               .weight = w->packed,
                               .taps = s->kh,
                               .finish = w->finish,
                               .y = w->y,
                               .results = s->ow,
                               .k = s->k};
    for (int64_t row = first; row < end; row++) {
        int64_t above = row * s->stride_h - s->pad_top; /* the image's row that the first taps meet */
        r.skipped = CNN_MIN(s->kh, CNN_MAX(0, -above));
        r.rows = CNN_MAX(0, CNN_MIN(s->kh, s->h - above) - r.skipped);
        r.x = x + (r.rows ? above - top + r.skipped : 0) * w->width;
        r.at = (image * s->oh + row) * s->ow * s->k;
        cnn_half_first()->row(&r);
    }
    return CNN_OK;
}

static const cnn_bf16_finish nothing = {.activation = CNN_IDENTITY};

static cnn_status forward(const cnn_bf16_conv2d *p, const void *x, const float *weight, const void *packed,
                          const cnn_bf16_finish *finish, void *y, void *workspace) {
    (void)weight, (void)workspace;
    const cnn_conv2d *s = &p->sizes;
    struct forward_work w = {.s = s, .x = x, .packed = packed, .finish = finish ? finish : &nothing, .y = y};
    w.count = CNN_MIN(s->oh, CNN_MAX(1, CHUNK_NUMBERS / (s->ow * s->k)));
    w.chunks = cnn_ceil_div(s->oh, w.count);
    w.width = (s->ow - 1) * s->stride_w * s->c + cnn_half_first_run(s);
    return cnn_parallel(forward_chunk, &w, s->n * w.chunks);
}

/* ---- the family ---- */

static int64_t workspace_bytes(const cnn_bf16_conv2d *p, int pass) {
    return pass == CNN_FORWARD ? 0 : cnn_half_first_weights_workspace(&p->sizes) * (int64_t)sizeof(float);
}

static cnn_status backward_weights(const cnn_bf16_conv2d *p, const void *x, const void *dy, float *dweight,
                                   float *dbias, void *workspace) {
    return cnn_half_first_weights(&p->sizes, x, dy, dweight, dbias, workspace);
}

const struct bf16_family cnn_bf16_first = {.suits = suits,
                                           .runs = runs,
                                           .workspace = workspace_bytes,
                                           .packed = packed_bytes,
                                           .pack = pack,
                                           .forward = forward,
                                           .backward_weights = backward_weights,
                                           .pools = pools};
