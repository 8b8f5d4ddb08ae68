/* Convolutions as products of matrices: backward-weights. The windows of a run of pixels are gathered as in conv_dense.c,
 * or read where they lie, and multiplied, transposed, with dy: [taps * c][pixels] times [pixels][k]. Runs of pixels have
 * partial sums of their own where chunks would be few, which are added up in order. */
#include "conv_dense.h"

#define CHUNKS 16            /* wanted at least, for threads to share */
#define OUTER_PIXELS 128     /* results whose products are summed in registers */
#define OUTER_ROWS 384       /* rows of dweight that a chunk of backward-weights owns */
#define OUTER_FEWEST_ROWS 96 /* … or, where chunks are few, at least */
#define OUTER_RANGE 1024     /* results that are worth partial sums of their own */

struct outer_work {
    const struct conv_view *view;
    const struct dense_kernels *kernels;
    const struct gemm_kernels *gemm;
    const float *x, *end, *dy;
    float *partial;                    /* [ranges][groups][depth + 1][k], packed; the row behind is dbias */
    float *dweight, *dbias;
    int64_t k, outputs, groups, group_packed; /* k of one group, outputs of all */
    int64_t rows, row_blocks, range, ranges;
};

static int64_t outer_row_blocks(int64_t depth) { return cnn_ceil_div(depth, OUTER_ROWS); }

static int64_t outer_ranges(int64_t depth, int64_t pixels, int64_t groups) {
    int64_t wanted = cnn_ceil_div(CHUNKS, outer_row_blocks(depth) * groups);
    return CNN_MAX(1, CNN_MIN(wanted, pixels / OUTER_RANGE));
}

/* Columns of x are read OUTER_PIXELS at a time: where pixels are a multiple of four cache lines apart, these meet in a
 * quarter of L1 or less, and copying is cheaper. */
static bool outer_in_place(const struct conv_view *v) { return cnn_dense_in_place(v) && v->pixel % 64 != 0; }

static cnn_status outer_chunk(void *context, int64_t chunk) {
    const struct outer_work *w = context;
    const struct conv_view *v = w->view;
    int64_t block = chunk % w->row_blocks, group = chunk / w->row_blocks % w->groups;
    int64_t range = chunk / w->row_blocks / w->groups, depth = cnn_view_depth(v);
    int64_t first = block * w->rows, rows = CNN_MIN(w->rows, depth - first);
    int64_t begin = range * w->range, end = CNN_MIN(begin + w->range, cnn_view_pixels(v));
    int64_t width = cnn_round_up(w->k, CNN_WIDEST_LANES);

    float *a = cnn_scratch((size_t)(OUTER_PIXELS * (CNN_DEPTH_STRIDE + width)) * sizeof *a);
    if (!a) return CNN_NO_MEMORY;
    float *panels = a + OUTER_PIXELS * CNN_DEPTH_STRIDE;
    float *partial = w->partial + (range * w->groups + group) * w->group_packed, *sums = NULL;
    if (w->dbias && block == 0) {
        sums = partial + w->group_packed - width;
        memset(sums, 0, (size_t)width * sizeof *sums);
    }
    bool in_place = outer_in_place(v);
    const float *x = w->x + group * v->c;
    struct gemm_outer outer = {.a = a, .stride = CNN_DEPTH_STRIDE, .rows = rows, .packed = panels, .columns = w->k,
                               .out = partial, .whole_rows = depth, .first_row = first};
    if (in_place) outer.stride = v->pixel;
    for (int64_t pixel = begin; pixel < end; pixel += OUTER_PIXELS) {
        outer.depth = CNN_MIN(OUTER_PIXELS, end - pixel);
        if (in_place) outer.a = x + pixel * v->pixel + first;
        else w->kernels->gather(v, x, w->end, pixel, outer.depth, first, first + rows, a, NULL);
        w->gemm->pack_rows(outer.depth, w->k, w->dy + pixel * w->outputs + group * w->k, w->outputs, panels, sums);
        outer.accumulate = pixel > begin;
        w->gemm->outer(&outer);
    }
    return CNN_OK;
}

/* Adds up the ranges, in order, into one panel of dweight. */
static cnn_status sum_chunk(void *context, int64_t chunk) {
    const struct outer_work *w = context;
    int64_t panels = cnn_panel_count(&w->gemm->width, w->k), group = chunk / panels, depth = cnn_view_depth(w->view);
    int64_t first = cnn_panel_begin(&w->gemm->width, w->k, chunk % panels), stride = w->groups * w->group_packed;
    int64_t width = cnn_panel_begin(&w->gemm->width, w->k, chunk % panels + 1) - first;
    int64_t real = CNN_MIN(width, w->k - first);
    float *sum = w->partial + group * w->group_packed + first * depth;
    for (int64_t range = 1; range < w->ranges; range++) {
        const float *part = sum + range * stride;
        for (int64_t i = 0; i < depth * width; i++) sum[i] += part[i];
    }
    cnn_dense_unpack(w->view, sum, real, width, w->dweight + (group * w->k + first) * depth);
    if (!w->dbias) return CNN_OK;
    const float *bias = w->partial + (group + 1) * w->group_packed - cnn_round_up(w->k, CNN_WIDEST_LANES) + first;
    for (int64_t column = 0; column < real; column++) {
        float total = bias[column];
        for (int64_t range = 1; range < w->ranges; range++) total += bias[range * stride + column];
        w->dbias[group * w->k + first + column] = total;
    }
    return CNN_OK;
}

cnn_status cnn_dense_backward_weights(const cnn_conv2d *p, const float *x, const float *dy, float *dweight,
                                      float *dbias, float *workspace) {
    struct conv_view view = cnn_conv_forward_view(p);
    int64_t depth = cnn_view_depth(&view), pixels = cnn_view_pixels(&view), k = p->k / p->groups;
    struct outer_work work = {.view = &view, .kernels = cnn_dense_kernels(), .gemm = cnn_gemm(), .x = x,
                              .end = x + p->n * p->h * p->w * p->c, .dy = dy, .partial = workspace,
                              .dweight = dweight, .dbias = dbias, .k = k, .outputs = p->k, .groups = p->groups,
                              .group_packed = cnn_packed_size(depth + 1, k)};
    int64_t blocks = outer_row_blocks(depth);
    work.ranges = outer_ranges(depth, pixels, p->groups);
    work.range = cnn_ceil_div(pixels, work.ranges);
    if (blocks * work.groups * work.ranges < CHUNKS / 2)
        blocks = CHUNKS / 2 < depth / OUTER_FEWEST_ROWS ? CHUNKS / 2 : CNN_MAX(blocks, depth / OUTER_FEWEST_ROWS);
    work.rows = cnn_round_up(cnn_ceil_div(depth, blocks), 12);
    work.row_blocks = cnn_ceil_div(depth, work.rows);
    cnn_status status = cnn_parallel(outer_chunk, &work, work.row_blocks * work.groups * work.ranges);
    if (status != CNN_OK) return status;
    return cnn_parallel(sum_chunk, &work, cnn_panel_count(&work.gemm->width, k) * work.groups);
}

int64_t cnn_dense_workspace(const cnn_conv2d *p, int pass) {
    int64_t in = p->c / p->groups, out = p->k / p->groups, depth = p->kh * p->kw * in;
    if (pass != CNN_BACKWARD_WEIGHTS) return 0;
    return outer_ranges(depth, p->n * p->oh * p->ow, p->groups) * p->groups * cnn_packed_size(depth + 1, out);
}
