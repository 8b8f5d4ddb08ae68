/* Convolutions as products of matrices: backward-weights, the sum over pixels of what a window holds times what its
 * result's gradient is. Runs of pixels are summed in registers; ranges of runs have partial sums of their own where
 * chunks would be few, which are added up in order.
 *
 * 1 x 1 kernels take dy, transposed, times x: the result lies as the weights do, and mostly both are read in place.
 * Others take the gathered windows (conv_dense.c), transposed, times dy, and the sums are unpacked at the end. */
#include "conv_dense.h"

#define CHUNKS 16        /* wanted at least, for threads to share */
#define RUN 64           /* pixels whose products are summed in registers: gathered, they should stay near L1 */
#define POINT_RUN 128    /* the same where nothing is gathered */
#define RANGE 1024       /* pixels that are worth partial sums of their own */
#define BLOCK_SUMS 98304 /* sums that a chunk owns at most: they are read and written again for each run … */
#define FEWEST 96        /* … but rows or columns that it should own at least, … */
#define POINT_FEWEST 64  /* … and where nothing is gathered */
#define WINDOW_ROWS 384  /* rows of gathered windows that a chunk owns at most */

struct outer_work {
    const struct conv_view *view;
    const struct dense_kernels *kernels;
    const struct gemm_kernels *gemm;
    const struct gemm_rows *gemm_rows;
    const float *x, *end, *dy;
    float *dweight, *dbias;
    int64_t k, outputs, groups; /* k of one group, outputs of all */
    /* Sums of a range: every group's rows, then, where they are wanted, every output's bias. */
    float *sums, *bias;
    int64_t stride, group_sums, range_sums;
    int64_t rows, row_blocks, columns, column_blocks, range, ranges;
};

/* Rows so far apart, in floats, spread over all sets of L1: an odd number of cache lines. */
static int64_t spread(int64_t floats) { return (cnn_ceil_div(floats, 16) | 1) * 16; }

static bool points(const cnn_conv2d *p) { return p->kh * p->kw == 1; }

/* Columns read RUN by RUN from rows a multiple of four cache lines apart meet in a quarter of L1 or less. */
static bool aliased(int64_t stride) { return stride % 64 == 0; }

static bool outer_in_place(const struct conv_view *v, const struct gemm_kernels *gemm) {
    return cnn_dense_in_place(v) && !aliased(v->pixel) && v->c % gemm->width.lanes == 0;
}

/* How the sums are cut: by shape, and alike on every instruction set. Blocks are cut from the longer side, then pixels
 * into ranges, and where there is little of both, blocks become smaller. */
static void cut(const cnn_conv2d *p, struct outer_work *w) {
    int64_t in = p->c / p->groups, k = p->k / p->groups, pixels = p->n * p->oh * p->ow;
    int64_t rows = points(p) ? k : in * p->kh * p->kw, columns = points(p) ? in : k;
    bool by_rows = !points(p) || k >= in;
    int64_t most = CNN_MAX((by_rows ? rows : columns) / (points(p) ? POINT_FEWEST : FEWEST), 1);
    int64_t blocks = CNN_MIN(cnn_ceil_div(rows * columns, BLOCK_SUMS), most);
    if (!points(p)) blocks = CNN_MAX(blocks, cnn_ceil_div(rows, WINDOW_ROWS));

    int64_t wanted = cnn_ceil_div(CHUNKS, CNN_MIN(blocks, CHUNKS) * CNN_MIN(p->groups, CHUNKS));
    w->ranges = CNN_MAX(1, CNN_MIN(wanted, pixels / RANGE));
    w->range = cnn_ceil_div(pixels, w->ranges);
    if (blocks * p->groups * w->ranges < CHUNKS / 2) blocks = CNN_MAX(blocks, CNN_MIN(CHUNKS / 2, most));

    w->rows = by_rows ? CNN_MIN(cnn_round_up(cnn_ceil_div(rows, blocks), 12), rows) : rows;
    w->columns = by_rows ? columns : CNN_MIN(cnn_round_up(cnn_ceil_div(columns, blocks), CNN_WIDEST_PANEL), columns);
    if (points(p)) w->columns = CNN_MIN(w->columns, CNN_DEPTH); /* what can be gathered at once */
    w->row_blocks = cnn_ceil_div(rows, w->rows);
    w->column_blocks = cnn_ceil_div(columns, w->columns);
    w->stride = points(p) ? columns : spread(columns);
    w->group_sums = rows * w->stride;
    w->range_sums = p->groups * (w->group_sums + k);
}

/* ---- sums of a range ---- */

/* The chunk's share: which group, rows, columns and pixels. */
struct share {
    int64_t group, row, rows, column, columns, begin, end;
    float *sums, *bias; /* bias NULL: another chunk's */
};

static struct share share_of(const struct outer_work *w, int64_t chunk, int64_t rows, int64_t columns) {
    int64_t column = chunk % w->column_blocks, row = chunk / w->column_blocks % w->row_blocks;
    int64_t group = chunk / w->column_blocks / w->row_blocks % w->groups;
    int64_t range = chunk / w->column_blocks / w->row_blocks / w->groups;
    struct share s = {.group = group, .row = row * w->rows, .column = column * w->columns, .begin = range * w->range};
    s.rows = CNN_MIN(w->rows, rows - s.row);
    s.columns = CNN_MIN(w->columns, columns - s.column);
    s.end = CNN_MIN(s.begin + w->range, cnn_view_pixels(w->view));
    s.sums = w->sums + range * w->range_sums + group * w->group_sums + s.row * w->stride + s.column;
    if (w->dbias) s.bias = w->bias + range * w->range_sums + group * w->k;
    return s;
}

/* Rows are output channels, columns input channels. */
static cnn_status point_chunk(void *context, int64_t chunk) {
    const struct outer_work *w = context;
    const struct conv_view *v = w->view;
    struct share s = share_of(w, chunk, w->k, v->c);
    bool x_in_place = outer_in_place(v, w->gemm), dy_in_place = !aliased(w->outputs);
    int64_t stride = spread(s.rows);
    float *x = cnn_scratch((size_t)(POINT_RUN * ((x_in_place ? 0 : CNN_DEPTH_STRIDE) + stride)) * sizeof *x);
    if (!x) return CNN_NO_MEMORY;
    float *dy = x + (x_in_place ? 0 : POINT_RUN * CNN_DEPTH_STRIDE);
    float *bias = s.bias && s.column == 0 ? s.bias + s.row : NULL;
    if (bias) memset(bias, 0, (size_t)s.rows * sizeof *bias);
    struct gemm_outer outer = {.a = dy,
                               .stride = dy_in_place ? w->outputs : stride,
                               .rows = s.rows,
                               .b = x,
                               .b_stride = x_in_place ? v->pixel : CNN_DEPTH_STRIDE,
                               .columns = s.columns,
                               .out = s.sums,
                               .out_stride = w->stride};
    struct dense_gather gather = {.view = v,
                                  .source = w->x + s.group * v->c,
                                  .end = w->end,
                                  .from = s.column,
                                  .to = s.column + s.columns,
                                  .a = x};
    for (int64_t pixel = s.begin; pixel < s.end; pixel += POINT_RUN) {
        const float *gradient = w->dy + pixel * w->outputs + s.group * w->k + s.row;
        outer.depth = CNN_MIN(POINT_RUN, s.end - pixel);
        gather.pixel = pixel;
        gather.count = outer.depth;
        if (x_in_place) outer.b = gather.source + pixel * v->pixel + s.column;
        else w->kernels->gather(&gather);
        if (dy_in_place) outer.a = gradient;
        for (int64_t i = 0; !dy_in_place && i < outer.depth; i++)
            memcpy(dy + i * stride, gradient + i * w->outputs, (size_t)s.rows * sizeof *dy);
        outer.accumulate = pixel > s.begin;
        cnn_gemm_outer()->outer(&outer);
        if (bias) w->gemm_rows->sum(outer.depth, s.rows, outer.a, outer.stride, bias);
    }
    return CNN_OK;
}

/* Rows are taps and input channels, columns output channels. */
static cnn_status window_chunk(void *context, int64_t chunk) {
    const struct outer_work *w = context;
    const struct conv_view *v = w->view;
    struct share s = share_of(w, chunk, cnn_view_depth(v), w->k);
    int64_t columns = cnn_round_up(w->k, w->gemm->width.lanes); /* packed; the sums have room for whole lanes */
    float *a = cnn_scratch((size_t)(RUN * (CNN_DEPTH_STRIDE + columns)) * sizeof *a);
    if (!a) return CNN_NO_MEMORY;
    float *packed = a + RUN * CNN_DEPTH_STRIDE, *bias = s.row == 0 ? s.bias : NULL;
    if (bias) memset(bias, 0, (size_t)w->k * sizeof *bias);
    struct gemm_outer outer = {.a = a,
                               .stride = CNN_DEPTH_STRIDE,
                               .rows = s.rows,
                               .b = packed,
                               .columns = columns,
                               .out = s.sums,
                               .out_stride = w->stride};
    struct dense_gather gather =
        {.view = v, .source = w->x + s.group * v->c, .end = w->end, .from = s.row, .to = s.row + s.rows, .a = a};
    for (int64_t pixel = s.begin; pixel < s.end; pixel += RUN) {
        const float *gradient = w->dy + pixel * w->outputs + s.group * w->k;
        outer.depth = CNN_MIN(RUN, s.end - pixel);
        gather.pixel = pixel;
        gather.count = outer.depth;
        w->kernels->gather(&gather);
        w->gemm_rows->pack(outer.depth, w->k, gradient, w->outputs, packed);
        if (bias) w->gemm_rows->sum(outer.depth, w->k, gradient, w->outputs, bias);
        outer.accumulate = pixel > s.begin;
        cnn_gemm_outer()->outer(&outer);
    }
    return CNN_OK;
}

/* ---- adding the ranges up, in order ---- */

static void add_ranges(const struct outer_work *w, float *sum, int64_t count) {
    for (int64_t range = 1; range < w->ranges; range++) {
        const float *part = sum + range * w->range_sums;
        for (int64_t i = 0; i < count; i++) sum[i] += part[i];
    }
}

static cnn_status add_bias(const struct outer_work *w) {
    if (!w->dbias || w->bias == w->dbias) return CNN_OK;
    add_ranges(w, w->bias, w->outputs);
    memcpy(w->dbias, w->bias, (size_t)w->outputs * sizeof *w->dbias);
    return CNN_OK;
}

/* A piece of the weights, which lie as the sums do; then the bias. */
static cnn_status point_sum_chunk(void *context, int64_t chunk) {
    const struct outer_work *w = context;
    int64_t all = w->groups * w->group_sums, from = chunk * CNN_PIECE, count = CNN_MIN(CNN_PIECE, all - from);
    if (count <= 0) return add_bias(w);
    add_ranges(w, w->sums + from, count);
    memcpy(w->dweight + from, w->sums + from, (size_t)count * sizeof *w->dweight);
    return CNN_OK;
}

/* A panel of columns of one group; after all of them the bias. */
static cnn_status window_sum_chunk(void *context, int64_t chunk) {
    const struct outer_work *w = context;
    int64_t panels = cnn_ceil_div(w->k, CNN_WIDEST_PANEL), group = chunk / panels, depth = cnn_view_depth(w->view);
    if (group == w->groups) return add_bias(w);
    int64_t first = chunk % panels * CNN_WIDEST_PANEL, columns = CNN_MIN(CNN_WIDEST_PANEL, w->k - first);
    float *sums = w->sums + group * w->group_sums + first;
    for (int64_t row = 0; row < depth && w->ranges > 1; row++) add_ranges(w, sums + row * w->stride, columns);
    cnn_dense_unpack(w->view, sums, columns, w->stride, w->dweight + (group * w->k + first) * depth);
    return CNN_OK;
}

/* ---- the pass ---- */

cnn_status cnn_dense_backward_weights(const cnn_conv2d *p, const float *x, const float *dy, float *dweight,
                                      float *dbias, float *workspace) {
    struct conv_view view = cnn_conv_forward_view(p);
    int64_t depth = cnn_view_depth(&view), k = p->k / p->groups;
    struct outer_work work = {.view = &view,
                              .kernels = cnn_dense_kernels(),
                              .gemm = cnn_gemm(),
                              .gemm_rows = cnn_gemm_rows(),
                              .x = x,
                              .end = x + p->n * p->h * p->w * p->c,
                              .dy = dy,
                              .dweight = dweight,
                              .dbias = dbias,
                              .k = k,
                              .outputs = p->k,
                              .groups = p->groups,
                              .sums = workspace};
    cut(p, &work);
    work.bias = workspace + p->groups * work.group_sums;
    bool direct = points(p) && work.ranges == 1;
    if (direct) work.sums = dweight, work.bias = dbias;
    double multiply_adds = (double)cnn_view_pixels(&view) * (double)depth * (double)p->k;
    int64_t chunks = work.row_blocks * work.column_blocks * work.groups * work.ranges;
    cnn_status status = cnn_parallel_sized(points(p) ? point_chunk : window_chunk, &work, chunks, multiply_adds);
    if (status != CNN_OK || direct) return status;
    double sums = (double)work.group_sums * (double)p->groups * (double)work.ranges;
    if (points(p)) return cnn_parallel_sized(point_sum_chunk, &work, p->groups * work.group_sums / CNN_PIECE + 2, sums);
    return cnn_parallel_sized(window_sum_chunk, &work, cnn_ceil_div(k, CNN_WIDEST_PANEL) * p->groups + 1, sums * 8);
}

int64_t cnn_dense_workspace(const cnn_conv2d *p, int pass) {
    struct outer_work work;
    if (pass != CNN_BACKWARD_WEIGHTS) return 0;
    cut(p, &work);
    return points(p) && work.ranges == 1 ? 0 : work.ranges * work.range_sums;
}
