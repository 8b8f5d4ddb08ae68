/* Convolutions as products of matrices. conv.c calls these three passes; gemm.c multiplies.
 *
 * Forward and backward-data: for a block of results, the windows that they read are gathered into the rows of a
 * matrix A in the thread's scratch memory and multiplied with the packed weights, A [pixels][taps * c] times
 * [taps * c][k]. Backward-weights gathers the same A and multiplies it, transposed, with dy. Gathering costs two
 * instructions a vector, against a multiply-add for each vector of output channels: nothing from 32 channels on.
 *
 * Work is cut into chunks by shape alone, and a sum is split at places that depend on the shape alone, but not on
 * the batch: an image's results are the same bits in any batch and on any number of threads. */
#include "conv.h"
#include "gemm.h"

struct dense_kernels {
    /* Rows pixel … pixel+count-1 of A, columns from … to-1; offsets (NULL: not asked) get the results' places.
     * `end` is the end of the source's memory. */
    void (*gather)(const struct conv_view *v, const float *source, const float *end, int64_t pixel, int64_t count,
                   int64_t from, int64_t to, float *a, int64_t *offsets);
};

#define CNN_TEMPLATE "conv_dense_tmpl.c"
#include "foreach_isa.h"

static const struct dense_kernels *const tables[] = CNN_TABLES(dense_kernels);

/* Floats of A that a block of results may touch: a quarter of a megabyte of L2 leaves room for the panels. */
#define BLOCK_FLOATS 65536
#define BLOCK_ROWS 96        /* a multiple of every tile */
#define CHUNKS 16            /* wanted at least, for threads to share */
#define GROUP_COLUMNS 128    /* gathering again pays from so many columns on */
#define OUTER_PIXELS 128     /* results whose products are summed in registers */
#define OUTER_ROWS 384       /* rows of dweight that a chunk of backward-weights owns */
#define OUTER_RANGE 1024     /* results that are worth partial sums of their own */

/* ---- packing the weights ---- */

/* Weights seen as a matrix [taps * c][columns]: column and channel are the two strides in OIHW. */
struct pack_work {
    const struct conv_view *view;
    const float *weight;
    float *packed;
    int64_t columns, column_stride, channel_stride;
    int64_t group_weights, group_packed, panel, panels;
};

#define PACK_CHANNELS 16

/* Reads along the weights of a column, which lie next to each other, for a few channels at a time. */
static void pack_by_column(const struct pack_work *w, const float *weight, int64_t real, int64_t width, float *to) {
    const struct conv_view *v = w->view;
    for (int64_t begin = 0; begin < v->c; begin += PACK_CHANNELS) {
        int64_t end = CNN_MIN(begin + PACK_CHANNELS, v->c);
        for (int64_t column = 0; column < real; column++) {
            for (int64_t c = begin; c < end; c++) {
                const float *from = weight + column * w->column_stride + c * w->channel_stride + v->tap_first;
                float *out = to + c * width + column;
                for (int64_t s = 0; s < v->taps_h; s++)
                    for (int64_t t = 0; t < v->taps_w; t++)
                        out[(s * v->taps_w + t) * v->c * width] = from[s * v->tap_row + t * v->tap_step];
            }
        }
    }
}

/* Reads across columns, where these are the ones that lie close together. */
static void pack_by_channel(const struct pack_work *w, const float *weight, int64_t real, int64_t width, float *to) {
    const struct conv_view *v = w->view;
    for (int64_t c = 0; c < v->c; c++) {
        for (int64_t s = 0; s < v->taps_h; s++) {
            for (int64_t t = 0; t < v->taps_w; t++) {
                const float *from = weight + c * w->channel_stride + v->tap_first + s * v->tap_row + t * v->tap_step;
                float *out = to + ((s * v->taps_w + t) * v->c + c) * width;
                if (w->column_stride == 1) memcpy(out, from, (size_t)real * sizeof *out);
                else for (int64_t column = 0; column < real; column++) out[column] = from[column * w->column_stride];
            }
        }
    }
}

static cnn_status pack_chunk(void *context, int64_t chunk) {
    const struct pack_work *w = context;
    int64_t group = chunk / w->panels, first = chunk % w->panels * w->panel, depth = cnn_view_depth(w->view);
    int64_t width = cnn_panel_width(w->panel, w->columns, first), real = CNN_MIN(width, w->columns - first);
    const float *weight = w->weight + group * w->group_weights + first * w->column_stride;
    float *to = w->packed + group * w->group_packed + first * depth;
    if (real < width) memset(to, 0, (size_t)(depth * width) * sizeof *to);
    if (w->column_stride > w->channel_stride) pack_by_column(w, weight, real, width, to);
    else pack_by_channel(w, weight, real, width, to);
    return CNN_OK;
}

/* The weights of every group as panels, ready for a product over this view. */
static cnn_status pack_weights(const cnn_conv2d *p, const struct conv_view *v, bool transposed, const float *weight,
                               float *packed) {
    int64_t in = p->c / p->groups, out = p->k / p->groups, window = p->kh * p->kw;
    struct pack_work work = {.view = v, .weight = weight, .packed = packed, .columns = transposed ? in : out,
                             .column_stride = transposed ? window : in * window,
                             .channel_stride = transposed ? in * window : window,
                             .group_weights = out * in * window, .panel = cnn_gemm()->panel};
    work.panels = cnn_ceil_div(work.columns, work.panel);
    work.group_packed = cnn_packed_size(cnn_view_depth(v), work.columns);
    return cnn_parallel(pack_chunk, &work, work.panels * p->groups);
}

/* ---- forward and backward-data: gather, multiply ---- */

struct product_work {
    const struct conv_view *view;
    const struct dense_kernels *kernels;
    const struct gemm_kernels *gemm;
    const float *source, *end, *packed, *bias;
    float *out;
    int64_t columns, group_packed;              /* of one group */
    int64_t block, blocks, span, spans;         /* results a chunk, columns a chunk */
};

static cnn_status product_chunk(void *context, int64_t chunk) {
    const struct product_work *w = context;
    const struct conv_view *v = w->view;
    int64_t span = chunk % w->spans, block = chunk / w->spans % w->blocks, group = chunk / w->spans / w->blocks;
    int64_t pixel = block * w->block, rows = CNN_MIN(w->block, cnn_view_pixels(v) - pixel);
    int64_t column = span * w->span, columns = CNN_MIN(w->span, w->columns - column);
    int64_t depth = cnn_view_depth(v), first_output = group * w->columns + column;

    float *a = cnn_scratch((size_t)rows * (CNN_DEPTH_STRIDE * sizeof(float) + sizeof(int64_t)));
    if (!a) return CNN_NO_MEMORY;
    int64_t *offsets = (int64_t *)(a + rows * CNN_DEPTH_STRIDE);
    struct gemm_product product = {.a = a, .rows = rows, .columns = columns, .whole_depth = depth,
                                   .panels = w->packed + group * w->group_packed + column * depth,
                                   .out = w->out + first_output, .offsets = offsets};
    int64_t parts = CNN_MAX(cnn_ceil_div(depth, CNN_DEPTH), 1), part = cnn_ceil_div(depth, parts);
    for (int64_t i = 0; i < parts; i++) {
        int64_t from = i * part, to = CNN_MIN(from + part, depth);
        w->kernels->gather(v, w->source + group * v->c, w->end, pixel, rows, from, to, a, offsets);
        product.first_depth = from;
        product.depth = to - from;
        product.accumulate = i > 0;
        product.bias = i == parts - 1 && w->bias ? w->bias + first_output : NULL;
        w->gemm->product(&product);
    }
    return CNN_OK;
}

/* Cuts the work into blocks of results that fill L2, evenly, and into spans of columns where blocks are few. */
static void cut_product(struct product_work *w, int64_t groups) {
    int64_t pixels = cnn_view_pixels(w->view), depth = CNN_MIN(cnn_view_depth(w->view), CNN_DEPTH);
    int64_t most = CNN_MAX(12, CNN_MIN(BLOCK_ROWS, BLOCK_FLOATS / CNN_MAX(depth, 1) / 12 * 12));
    w->block = cnn_round_up(cnn_ceil_div(pixels, cnn_ceil_div(pixels, most)), 12);
    w->blocks = cnn_ceil_div(pixels, w->block);
    int64_t spans = CNN_MIN(cnn_ceil_div(CHUNKS, w->blocks * groups), CNN_MAX(w->columns / GROUP_COLUMNS, 1));
    w->span = cnn_round_up(cnn_ceil_div(w->columns, spans), w->gemm->panel);
    w->spans = cnn_ceil_div(w->columns, w->span);
}

static cnn_status multiply(const cnn_conv2d *p, const struct conv_view *v, bool transposed, const float *source,
                           const float *weight, const float *bias, float *out, float *workspace) {
    cnn_status status = pack_weights(p, v, transposed, weight, workspace);
    if (status != CNN_OK) return status;
    struct product_work work = {.view = v, .kernels = tables[cnn_table_index()], .gemm = cnn_gemm(), .source = source,
                                .end = source + v->n * v->h * v->w * v->pixel, .packed = workspace, .bias = bias,
                                .out = out, .columns = (transposed ? p->c : p->k) / p->groups};
    work.group_packed = cnn_packed_size(cnn_view_depth(v), work.columns);
    cut_product(&work, p->groups);
    return cnn_parallel(product_chunk, &work, work.spans * work.blocks * p->groups);
}

cnn_status cnn_dense_forward(const cnn_conv2d *p, const float *x, const float *weight, const float *bias, float *y,
                             float *workspace) {
    struct conv_view view = cnn_conv_forward_view(p);
    return multiply(p, &view, false, x, weight, bias, y, workspace);
}

cnn_status cnn_dense_backward_data(const cnn_conv2d *p, const float *dy, const float *weight, float *dx,
                                   float *workspace) {
    for (int64_t row = 0; row < p->stride_h; row++) {
        for (int64_t column = 0; column < p->stride_w; column++) {
            struct conv_view view = cnn_conv_backward_view(p, row, column);
            if (cnn_view_pixels(&view) == 0) continue;
            cnn_status status = multiply(p, &view, true, dy, weight, NULL, dx, workspace);
            if (status != CNN_OK) return status;
        }
    }
    return CNN_OK;
}

/* ---- backward-weights: gather, outer products, sum up ---- */

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

static cnn_status outer_chunk(void *context, int64_t chunk) {
    const struct outer_work *w = context;
    const struct conv_view *v = w->view;
    int64_t block = chunk % w->row_blocks, group = chunk / w->row_blocks % w->groups;
    int64_t range = chunk / w->row_blocks / w->groups, depth = cnn_view_depth(v);
    int64_t first = block * w->rows, rows = CNN_MIN(w->rows, depth - first);
    int64_t begin = range * w->range, end = CNN_MIN(begin + w->range, cnn_view_pixels(v));
    int64_t width = cnn_round_up(w->k, w->gemm->panel);

    float *a = cnn_scratch((size_t)(OUTER_PIXELS * (CNN_DEPTH_STRIDE + width)) * sizeof *a);
    if (!a) return CNN_NO_MEMORY;
    float *panels = a + OUTER_PIXELS * CNN_DEPTH_STRIDE;
    float *partial = w->partial + (range * w->groups + group) * w->group_packed, *sums = NULL;
    if (w->dbias && block == 0) {
        sums = partial + w->group_packed - width;
        memset(sums, 0, (size_t)width * sizeof *sums);
    }
    struct gemm_outer outer = {.a = a, .rows = rows, .panels = panels, .columns = w->k, .out = partial,
                               .whole_rows = depth, .first_row = first};
    for (int64_t pixel = begin; pixel < end; pixel += OUTER_PIXELS) {
        outer.depth = CNN_MIN(OUTER_PIXELS, end - pixel);
        w->kernels->gather(v, w->x + group * v->c, w->end, pixel, outer.depth, first, first + rows, a, NULL);
        w->gemm->pack_rows(outer.depth, w->k, w->dy + pixel * w->outputs + group * w->k, w->outputs, panels, sums);
        outer.accumulate = pixel > begin;
        w->gemm->outer(&outer);
    }
    return CNN_OK;
}

/* Adds up the ranges, in order, into one panel of dweight. */
static cnn_status sum_chunk(void *context, int64_t chunk) {
    const struct outer_work *w = context;
    const struct conv_view *v = w->view;
    int64_t panel = w->gemm->panel, panels = cnn_ceil_div(w->k, panel), group = chunk / panels;
    int64_t first = chunk % panels * panel, depth = cnn_view_depth(v), taps = v->taps_h * v->taps_w;
    int64_t width = cnn_panel_width(panel, w->k, first), real = CNN_MIN(width, w->k - first);
    int64_t stride = w->groups * w->group_packed;
    float *sum = w->partial + group * w->group_packed + first * depth;
    for (int64_t range = 1; range < w->ranges; range++) {
        const float *part = sum + range * stride;
        for (int64_t i = 0; i < depth * width; i++) sum[i] += part[i];
    }
    float *dweight = w->dweight + (group * w->k + first) * depth;
    for (int64_t begin = 0; begin < v->c; begin += PACK_CHANNELS) {
        int64_t end = CNN_MIN(begin + PACK_CHANNELS, v->c);
        for (int64_t column = 0; column < real; column++)
            for (int64_t c = begin; c < end; c++)
                for (int64_t tap = 0; tap < taps; tap++)
                    dweight[column * depth + c * taps + tap] = sum[(tap * v->c + c) * width + column];
    }
    if (!w->dbias) return CNN_OK;
    const float *bias = w->partial + (group + 1) * w->group_packed - cnn_round_up(w->k, panel) + first;
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
    struct outer_work work = {.view = &view, .kernels = tables[cnn_table_index()], .gemm = cnn_gemm(), .x = x,
                              .end = x + p->n * p->h * p->w * p->c, .dy = dy, .partial = workspace,
                              .dweight = dweight, .dbias = dbias, .k = k, .outputs = p->k, .groups = p->groups,
                              .group_packed = cnn_packed_size(depth + 1, k)};
    work.rows = cnn_round_up(cnn_ceil_div(depth, outer_row_blocks(depth)), 12);
    work.row_blocks = cnn_ceil_div(depth, work.rows);
    work.ranges = outer_ranges(depth, pixels, p->groups);
    work.range = cnn_ceil_div(pixels, work.ranges);
    cnn_status status = cnn_parallel(outer_chunk, &work, work.row_blocks * work.groups * work.ranges);
    if (status != CNN_OK) return status;
    return cnn_parallel(sum_chunk, &work, cnn_ceil_div(k, work.gemm->panel) * work.groups);
}

int64_t cnn_dense_workspace(const cnn_conv2d *p, int pass) {
    int64_t in = p->c / p->groups, out = p->k / p->groups, depth = p->kh * p->kw * in;
    if (pass == CNN_FORWARD) return p->groups * cnn_packed_size(depth, out);
    if (pass == CNN_BACKWARD_DATA) return p->groups * cnn_packed_size(p->kh * p->kw * out, in);
    return outer_ranges(depth, p->n * p->oh * p->ow, p->groups) * p->groups * cnn_packed_size(depth + 1, out);
}
