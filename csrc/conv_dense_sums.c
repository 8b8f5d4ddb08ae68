/* How backward-weights of dense convolutions cuts its sums, and what becomes of them: blocks of weights for each range
 * of pixels, which are added up in order and laid out as weights. conv_dense_weights.c and bf16_dense_weights.c
 * multiply. */
#include "conv_dense.h"

#define CHUNKS 16        /* wanted at least, for threads to share */
#define RANGE 1024       /* pixels that are worth partial sums of their own */
#define BLOCK_SUMS 98304 /* sums that a chunk owns at most: they are read and written again for each run … */
#define FEWEST 96        /* … but rows or columns that it should own at least, … */
#define POINT_FEWEST 64  /* … and where nothing is gathered */
#define WINDOW_ROWS 384  /* rows of gathered windows that a chunk owns at most */

/* How the sums are cut: by shape, and alike on every instruction set. Blocks are cut from the longer side, then pixels
 * into ranges, and where there is little of both, blocks become smaller. */
static void cut(const cnn_conv2d *p, struct dense_sums *w) {
    int64_t in = p->c / p->groups, k = p->k / p->groups, pixels = p->n * p->oh * p->ow;
    int64_t rows = cnn_dense_points(p) ? k : in * p->kh * p->kw, columns = cnn_dense_points(p) ? in : k;
    bool by_rows = !cnn_dense_points(p) || k >= in;
    int64_t most = CNN_MAX((by_rows ? rows : columns) / (cnn_dense_points(p) ? POINT_FEWEST : FEWEST), 1);
    int64_t blocks = CNN_MIN(cnn_ceil_div(rows * columns, BLOCK_SUMS), most);
    if (!cnn_dense_points(p)) blocks = CNN_MAX(blocks, cnn_ceil_div(rows, WINDOW_ROWS));

    int64_t wanted = cnn_ceil_div(CHUNKS, CNN_MIN(blocks, CHUNKS) * CNN_MIN(p->groups, CHUNKS));
    w->ranges = CNN_MAX(1, CNN_MIN(wanted, pixels / RANGE));
    w->range = cnn_ceil_div(pixels, w->ranges);
    if (blocks * p->groups * w->ranges < CHUNKS / 2) blocks = CNN_MAX(blocks, CNN_MIN(CHUNKS / 2, most));

    w->rows = by_rows ? CNN_MIN(cnn_round_up(cnn_ceil_div(rows, blocks), 12), rows) : rows;
    w->columns = by_rows ? columns : CNN_MIN(cnn_round_up(cnn_ceil_div(columns, blocks), CNN_WIDEST_PANEL), columns);
    if (cnn_dense_points(p)) w->columns = CNN_MIN(w->columns, CNN_DEPTH); /* what can be gathered at once */
    w->row_blocks = cnn_ceil_div(rows, w->rows);
    w->column_blocks = cnn_ceil_div(columns, w->columns);
    w->stride = cnn_dense_points(p) ? columns : cnn_dense_spread(columns);
    w->group_sums = rows * w->stride;
    w->range_sums = p->groups * (w->group_sums + k);
}

/* ---- sums of a range ---- */

struct dense_share cnn_dense_share(const struct dense_sums *w, int64_t chunk, int64_t rows, int64_t columns) {
    int64_t column = chunk % w->column_blocks, row = chunk / w->column_blocks % w->row_blocks;
    int64_t group = chunk / w->column_blocks / w->row_blocks % w->groups;
    int64_t range = chunk / w->column_blocks / w->row_blocks / w->groups;
    struct dense_share s = {.group = group,
                            .row = row * w->rows,
                            .column = column * w->columns,
                            .begin = range * w->range};
    s.rows = CNN_MIN(w->rows, rows - s.row);
    s.columns = CNN_MIN(w->columns, columns - s.column);
    s.end = CNN_MIN(s.begin + w->range, cnn_view_pixels(w->view));
    s.sums = w->sums + range * w->range_sums + group * w->group_sums + s.row * w->stride + s.column;
    if (w->dbias) s.bias = w->bias + range * w->range_sums + group * w->k;
    return s;
}

/* ---- adding the ranges up, in order ---- */

static void add_ranges(const struct dense_sums *w, float *sum, int64_t count) {
    for (int64_t range = 1; range < w->ranges; range++) {
        const float *part = sum + range * w->range_sums;
        for (int64_t i = 0; i < count; i++) sum[i] += part[i];
    }
}

static cnn_status add_bias(const struct dense_sums *w) {
    if (!w->dbias || w->bias == w->dbias) return CNN_OK;
    add_ranges(w, w->bias, w->outputs);
    memcpy(w->dbias, w->bias, (size_t)w->outputs * sizeof *w->dbias);
    return CNN_OK;
}

/* A piece of the weights, which lie as the sums do; then the bias. */
static cnn_status point_sum_chunk(void *context, int64_t chunk) {
    const struct dense_sums *w = context;
    int64_t all = w->groups * w->group_sums, from = chunk * CNN_PIECE, count = CNN_MIN(CNN_PIECE, all - from);
    if (count <= 0) return add_bias(w);
    add_ranges(w, w->sums + from, count);
    memcpy(w->dweight + from, w->sums + from, (size_t)count * sizeof *w->dweight);
    return CNN_OK;
}

/* A panel of columns of one group; after all of them the bias. */
static cnn_status window_sum_chunk(void *context, int64_t chunk) {
    const struct dense_sums *w = context;
    int64_t panels = cnn_ceil_div(w->k, CNN_WIDEST_PANEL), group = chunk / panels, depth = cnn_view_depth(w->view);
    if (group == w->groups) return add_bias(w);
    int64_t first = chunk % panels * CNN_WIDEST_PANEL, columns = CNN_MIN(CNN_WIDEST_PANEL, w->k - first);
    float *sums = w->sums + group * w->group_sums + first;
    for (int64_t row = 0; row < depth && w->ranges > 1; row++) add_ranges(w, sums + row * w->stride, columns);
    cnn_dense_unpack(w->view, sums, columns, w->stride, w->dweight + (group * w->k + first) * depth);
    return CNN_OK;
}

/* ---- the pass ---- */

cnn_status cnn_dense_sum(const cnn_conv2d *p, const float *x, const float *dy, float *dweight, float *dbias,
                         float *workspace, cnn_chunk points, cnn_chunk windows) {
    struct conv_view view = cnn_conv_forward_view(p);
    bool point = cnn_dense_points(p);
    struct dense_sums work = {.view = &view,
                              .x = x,
                              .dy = dy,
                              .dweight = dweight,
                              .dbias = dbias,
                              .k = p->k / p->groups,
                              .outputs = p->k,
                              .groups = p->groups,
                              .sums = workspace};
    cut(p, &work);
    work.bias = workspace + p->groups * work.group_sums;
    bool direct = point && work.ranges == 1;
    if (direct) work.sums = dweight, work.bias = dbias;
    double multiply_adds = (double)cnn_view_pixels(&view) * (double)cnn_view_depth(&view) * (double)p->k;
    int64_t chunks = work.row_blocks * work.column_blocks * work.groups * work.ranges;
    cnn_status status = cnn_parallel_sized(point ? points : windows, &work, chunks, multiply_adds);
    if (status != CNN_OK || direct) return status;
    double sums = (double)work.group_sums * (double)p->groups * (double)work.ranges;
    if (point) return cnn_parallel_sized(point_sum_chunk, &work, p->groups * work.group_sums / CNN_PIECE + 2, sums);
    return cnn_parallel_sized(window_sum_chunk, &work, cnn_ceil_div(work.k, CNN_WIDEST_PANEL) * p->groups + 1,
                              sums * 8);
}

int64_t cnn_dense_workspace(const cnn_conv2d *p, int pass) {
    struct dense_sums work;
    if (pass != CNN_BACKWARD_WEIGHTS) return 0;
    cut(p, &work);
    return cnn_dense_points(p) && work.ranges == 1 ? 0 : work.ranges * work.range_sums;
}
