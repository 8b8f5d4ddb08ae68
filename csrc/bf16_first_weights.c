/* Gradients of weights of convolutions of images to bfloat16: sums over pairs of neighbouring results. A unit of x is a
 * value and the one that the next result reads in its place. These are made once for a row of the image, for all taps
 * and pairs: all of them find theirs there. A unit of dy is a channel of two results. Both are made for some rows of
 * results at a time; ranges of rows have partial sums of their own, which are added up in order. */
#include "bf16_dense.h"
#include "bf16_first.h"

#define RANGES 16
#define RANGE_PIXELS 64   /* results that are worth partial sums of their own */
#define BLOCK_UNITS 16384 /* of dy that are made at a time */
#define VECTOR 16

struct weights_work {
    const cnn_conv2d *s;
    const float *x;
    const uint16_t *dy;
    float *partial, *dweight, *dbias; /* partial: [ranges][taps * run + 1][columns], the last of them the bias */
    int64_t columns, size;            /* k in whole vectors; floats of a range */
    int64_t count, ranges, block;     /* rows of results: of a range, and those of a block */
    int64_t units, width;             /* of a row of x, and the values that they are made of */
};

static int64_t weights_ranges(const cnn_conv2d *s) {
    return CNN_MAX(1, CNN_MIN(CNN_MIN(RANGES, s->n * s->oh), s->n * s->oh * s->ow / RANGE_PIXELS));
}

static int64_t range_size(const cnn_conv2d *s) {
    return (s->kh * cnn_half_first_run(s) + 1) * cnn_round_up(s->k, VECTOR);
}

int64_t cnn_half_first_weights_workspace(const cnn_conv2d *s) { return weights_ranges(s) * range_size(s); }

/* What a chunk keeps in the thread's scratch memory. */
struct room {
    float *x, *dy;
    uint16_t *row;
};

static bool make_room(const struct weights_work *w, struct room *r) {
    const cnn_conv2d *s = w->s;
    int64_t x = ((w->block - 1) * s->stride_h + s->kh) * w->units, dy = w->block * cnn_ceil_div(s->ow, 2) * w->columns;
    r->x = cnn_scratch((size_t)(x + dy) * sizeof *r->x + (size_t)w->width * sizeof *r->row);
    if (!r->x) return false;
    r->dy = r->x + x;
    r->row = (uint16_t *)(r->dy + dy);
    return true;
}

/* Rows of results of one image, from `row` of all images on. */
static void add_block(const struct weights_work *w, const struct room *room, int64_t row, int64_t rows, float *sums) {
    const cnn_conv2d *s = w->s;
    int64_t image = row / s->oh, top = row % s->oh * s->stride_h - s->pad_top, pairs = cnn_ceil_div(s->ow, 2);
    int64_t step = s->stride_w * s->c;
    for (int64_t i = 0; i < (rows - 1) * s->stride_h + s->kh; i++) {
        cnn_half_first_fill(s, w->x + image * s->h * s->w * s->c, top + i, w->width, room->row);
        cnn_half_first()->pair(w->units, step, room->row, room->x + i * w->units);
    }
    for (int64_t i = 0; i < rows; i++)
        cnn_half_outer()->pair(s->ow, s->k, w->dy + (row + i) * s->ow * s->k, s->k, room->dy + i * pairs * w->columns,
                               w->columns);
    struct half_first_sums g = {.x = room->x,
                                .x_stride = w->units,
                                .row_step = s->stride_h * w->units,
                                .step = 2 * step,
                                .rows = rows,
                                .results = s->ow,
                                .dy = room->dy,
                                .columns = w->columns,
                                .taps = s->kh,
                                .run = cnn_half_first_run(s),
                                .sums = sums};
    cnn_half_first()->gradients(&g);
    if (w->dbias) cnn_half_outer()->sum(rows * pairs, w->columns, room->dy, w->columns, sums + w->size - w->columns);
}

static cnn_status range_chunk(void *context, int64_t range) {
    const struct weights_work *w = context;
    int64_t oh = w->s->oh, end = CNN_MIN((range + 1) * w->count, w->s->n * oh), rows;
    float *sums = w->partial + range * w->size;
    struct room room;
    if (!make_room(w, &room)) return CNN_NO_MEMORY;
    memset(sums, 0, (size_t)w->size * sizeof *sums);
    for (int64_t row = range * w->count; row < end; row += rows) {
        rows = CNN_MIN(CNN_MIN(w->block, end - row), oh - row % oh);
        add_block(w, &room, row, rows, sums);
    }
    return CNN_OK;
}

/* Adds up the ranges, in order, and puts the sums where they belong: those of one value of the windows. */
static cnn_status sum_chunk(void *context, int64_t value) {
    const struct weights_work *w = context;
    const cnn_conv2d *s = w->s;
    int64_t run = cnn_half_first_run(s), row = value / run, tap = value % run / s->c, c = value % s->c;
    bool bias = value == s->kh * run;
    if (bias && !w->dbias) return CNN_OK;
    for (int64_t k = 0; k < s->k; k++) {
        const float *each = w->partial + value * w->columns + k;
        float sum = *each;
        for (int64_t range = 1; range < w->ranges; range++) sum += each[range * w->size];
        if (bias) w->dbias[k] = sum;
        else w->dweight[((k * s->c + c) * s->kh + row) * s->kw + tap] = sum;
    }
    return CNN_OK;
}

cnn_status cnn_half_first_weights(const cnn_conv2d *s, const float *x, const uint16_t *dy, float *dweight, float *dbias,
                                  float *workspace) {
    struct weights_work w = {.s = s,
                             .x = x,
                             .dy = dy,
                             .partial = workspace,
                             .dweight = dweight,
                             .dbias = dbias,
                             .columns = cnn_round_up(s->k, VECTOR),
                             .size = range_size(s)};
    int64_t pairs = cnn_ceil_div(s->ow, 2), step = s->stride_w * s->c, run = cnn_half_first_run(s);
    w.count = cnn_ceil_div(s->n * s->oh, weights_ranges(s));
    w.ranges = cnn_ceil_div(s->n * s->oh, w.count);
    w.block = CNN_MIN(CNN_MIN(s->oh, w.count), CNN_MAX(1, BLOCK_UNITS / (pairs * w.columns)));
    w.units = cnn_round_up((pairs - 1) * 2 * step + run, VECTOR);
    w.width = w.units + step;
    cnn_status status = cnn_parallel(range_chunk, &w, w.ranges);
    if (status != CNN_OK) return status;
    return cnn_parallel_sized(sum_chunk, &w, s->kh * run + 1, (double)(w.ranges * w.size));
}
