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

/* Floats of A that a block of results may touch, for each column of a panel: with the panel it fills half of the L2
 * that goes with the instruction set, a megabyte with AVX-512. */
#define BLOCK_FLOATS 3072
#define BLOCK_ROWS 96        /* a multiple of every tile */
#define CHUNKS 16            /* wanted at least, for threads to share */
#define GROUP_COLUMNS 128    /* gathering again pays from so many columns on */
#define OUTER_PIXELS 128     /* results whose products are summed in registers */
#define OUTER_ROWS 384       /* rows of dweight that a chunk of backward-weights owns */
#define OUTER_FEWEST_ROWS 96 /* … or, where chunks are few, at least */
#define OUTER_RANGE 1024     /* results that are worth partial sums of their own */

/* ---- packing the weights, and unpacking their gradient ---- */

/* Weights seen as a matrix [taps * c][columns]: column and channel are the two strides in OIHW. */
struct pack_work {
    const struct conv_view *view;
    const float *weight;
    float *packed;
    bool transposed; /* for backward-data: columns are input channels */
    int64_t columns, column_stride, channel_stride, window;
    int64_t group_weights, group_packed, panel, panels;
};

typedef float float4 __attribute__((vector_size(16)));
typedef float float4_unaligned __attribute__((vector_size(16), aligned(4), may_alias));
#if defined(__clang__)
#define MIX(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define MIX(a, b, i, j, k, l) __builtin_shuffle(a, b, (int __attribute__((vector_size(16)))){i, j, k, l})
#endif

/* to[i][j] = from[j][i] for i, j < 4; from_at and to_at say where the four rows begin. */
static inline void transpose4(const float *from, const int64_t from_at[4], float *to, const int64_t to_at[4]) {
    float4 a = *(const float4_unaligned *)(from + from_at[0]), b = *(const float4_unaligned *)(from + from_at[1]);
    float4 c = *(const float4_unaligned *)(from + from_at[2]), d = *(const float4_unaligned *)(from + from_at[3]);
    float4 ac = MIX(a, c, 0, 4, 1, 5), AC = MIX(a, c, 2, 6, 3, 7);
    float4 bd = MIX(b, d, 0, 4, 1, 5), BD = MIX(b, d, 2, 6, 3, 7);
    *(float4_unaligned *)(to + to_at[0]) = MIX(ac, bd, 0, 4, 1, 5);
    *(float4_unaligned *)(to + to_at[1]) = MIX(ac, bd, 2, 6, 3, 7);
    *(float4_unaligned *)(to + to_at[2]) = MIX(AC, BD, 0, 4, 1, 5);
    *(float4_unaligned *)(to + to_at[3]) = MIX(AC, BD, 2, 6, 3, 7);
}

/* Weights are moved in stretches of this many: what is read and what is written stays in L1. */
#define STRETCH 64

/* Where rows begin … begin+count-1 of a column of OIHW weights, (channel, tap), lie in a panel, (tap, channel). */
static void panel_rows(int64_t channels, int64_t taps, int64_t width, int64_t begin, int64_t count, int64_t *rows) {
    int64_t channel = begin / taps, tap = begin % taps;
    for (int64_t i = 0; i < count; i++) {
        rows[i] = (tap * channels + channel) * width;
        if (++tap == taps) tap = 0, channel++;
    }
}

/* A panel for forward, whose columns are output channels. */
static void pack_forward(const struct pack_work *w, const float *weight, int64_t real, int64_t width, float *to) {
    int64_t rows[STRETCH], depth = w->view->c * w->window;
    int64_t step = w->column_stride, columns[] = {0, step, 2 * step, 3 * step};
    for (int64_t begin = 0; begin < depth; begin += STRETCH) {
        int64_t count = CNN_MIN(STRETCH, depth - begin);
        panel_rows(w->view->c, w->window, width, begin, count, rows);
        for (int64_t column = 0; column < real; column += 4) {
            const float *from = weight + column * step + begin;
            int64_t i = 0;
            for (; column + 4 <= real && i + 4 <= count; i += 4) transpose4(from + i, columns, to + column, rows + i);
            for (; i < count; i++)
                for (int64_t j = 0; j < CNN_MIN(4, real - column); j++) to[rows[i] + column + j] = from[j * step + i];
        }
    }
}

/* The weights of one result's channel at one tap of the view, as a row of a panel for backward-data. */
static void pack_row(const float *from, int64_t step, int64_t real, float *to) {
    if (step == 1) memcpy(to, from, (size_t)real * sizeof *to);
    else for (int64_t column = 0; column < real; column++) to[column] = from[column * step];
}

/* A panel for backward-data, whose columns are input channels. Where all taps belong to the view, which takes them
 * from the last to the first, they are moved four at a time. */
static void pack_backward(const struct pack_work *w, const float *weight, int64_t real, int64_t width, float *to) {
    const struct conv_view *v = w->view;
    int64_t taps = v->taps_h * v->taps_w, step = w->window, next = -v->c * width, quads = 0;
    int64_t columns[] = {0, step, 2 * step, 3 * step}, rows[] = {0, next, 2 * next, 3 * next};
    if (taps == w->window && taps >= 4) quads = taps / 4 * 4;
    for (int64_t c = 0; c < v->c; c++) {
        const float *from = weight + c * w->channel_stride;
        for (int64_t tap = 0; tap < quads; tap += 4) {
            float *row = to + ((taps - 1 - tap) * v->c + c) * width;
            int64_t column = 0;
            for (; column + 4 <= real; column += 4) transpose4(from + column * step + tap, columns, row + column, rows);
            for (; column < real; column++)
                for (int64_t i = 0; i < 4; i++) row[column + i * next] = from[column * step + tap + i];
        }
        for (int64_t tap = 0; tap < taps - quads; tap++) {
            const float *at = from + v->tap_first + tap / v->taps_w * v->tap_row + tap % v->taps_w * v->tap_step;
            pack_row(at, step, real, to + (tap * v->c + c) * width);
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
    if (w->transposed) pack_backward(w, weight, real, width, to);
    else pack_forward(w, weight, real, width, to);
    return CNN_OK;
}

/* The weights of every group as panels, ready for a product over this view. */
static cnn_status pack_weights(const cnn_conv2d *p, const struct conv_view *v, bool transposed, const float *weight,
                               float *packed) {
    int64_t in = p->c / p->groups, out = p->k / p->groups, window = p->kh * p->kw;
    struct pack_work work = {.view = v, .weight = weight, .packed = packed, .transposed = transposed,
                             .columns = transposed ? in : out,
                             .column_stride = transposed ? window : in * window,
                             .channel_stride = transposed ? in * window : window, .window = window,
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
    int64_t most = CNN_MAX(12, CNN_MIN(BLOCK_ROWS, BLOCK_FLOATS * w->gemm->panel / CNN_MAX(depth, 1) / 12 * 12));
    w->block = cnn_round_up(cnn_ceil_div(pixels, cnn_ceil_div(pixels, most)), 12);
    w->blocks = cnn_ceil_div(pixels, w->block);
    int64_t spans = CNN_MIN(cnn_ceil_div(CHUNKS, w->blocks * groups), CNN_MAX(w->columns / GROUP_COLUMNS, 1));
    w->span = cnn_round_up(cnn_ceil_div(w->columns, spans), w->gemm->panel);
    w->spans = cnn_ceil_div(w->columns, w->span);
}

static cnn_status multiply(const cnn_conv2d *p, const struct conv_view *v, bool transposed, const float *source,
                           const float *packed, const float *bias, float *out) {
    struct product_work work = {.view = v, .kernels = tables[cnn_table_index()], .gemm = cnn_gemm(), .source = source,
                                .end = source + v->n * v->h * v->w * v->pixel, .packed = packed, .bias = bias,
                                .out = out, .columns = (transposed ? p->c : p->k) / p->groups};
    work.group_packed = cnn_packed_size(cnn_view_depth(v), work.columns);
    cut_product(&work, p->groups);
    return cnn_parallel(product_chunk, &work, work.spans * work.blocks * p->groups);
}

static cnn_status forward(const cnn_conv2d *p, const float *x, const float *weight, const float *packed,
                          const cnn_finish *finish, float *y, float *workspace) {
    (void)weight, (void)workspace;
    struct conv_view view = cnn_conv_forward_view(p);
    cnn_status status = multiply(p, &view, false, x, packed, finish ? finish->bias : NULL, y);
    return status != CNN_OK ? status : cnn_finish_rows(finish, p->n * p->oh * p->ow, p->k, y);
}

/* What backward-data and its packing do for each class of pixels of dx, whose packed weights lie one behind the
 * other. Classes beyond the image have no pixels; a senseless stride would make them endless. */
static int64_t classes(const cnn_conv2d *p) { return CNN_MIN(p->stride_h, p->h) * CNN_MIN(p->stride_w, p->w); }

static struct conv_view class_view(const cnn_conv2d *p, int64_t class) {
    int64_t columns = CNN_MIN(p->stride_w, p->w);
    return cnn_conv_backward_view(p, class / columns, class % columns);
}

static int64_t class_packed(const cnn_conv2d *p, const struct conv_view *v) {
    return p->groups * cnn_packed_size(cnn_view_depth(v), p->c / p->groups);
}

static cnn_status backward_data(const cnn_conv2d *p, const float *dy, const float *weight, const float *packed,
                                const cnn_finish *finish, float *dx, float *workspace) {
    (void)weight, (void)workspace;
    for (int64_t class = 0; class < classes(p); class++) {
        struct conv_view view = class_view(p, class);
        cnn_status status = multiply(p, &view, true, dy, packed, finish ? finish->bias : NULL, dx);
        if (status != CNN_OK) return status;
        packed += class_packed(p, &view);
    }
    return cnn_finish_rows(finish, p->n * p->h * p->w, p->c, dx);
}

static int64_t packed_size(const cnn_conv2d *p, int pass) {
    if (pass == CNN_FORWARD) return p->groups * cnn_packed_size(p->kh * p->kw * p->c / p->groups, p->k / p->groups);
    int64_t size = 0;
    for (int64_t class = 0; class < classes(p); class++) {
        struct conv_view view = class_view(p, class);
        size += class_packed(p, &view);
    }
    return size;
}

static cnn_status pack(const cnn_conv2d *p, int pass, const float *weight, float *packed) {
    struct conv_view view = cnn_conv_forward_view(p);
    if (pass == CNN_FORWARD) return pack_weights(p, &view, false, weight, packed);
    for (int64_t class = 0; class < classes(p); class++) {
        view = class_view(p, class);
        cnn_status status = pack_weights(p, &view, true, weight, packed);
        if (status != CNN_OK) return status;
        packed += class_packed(p, &view);
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

/* A panel of sums, (tap, channel), as columns of dweight, (channel, tap). */
static void unpack(const struct conv_view *v, const float *panel, int64_t real, int64_t width, float *dweight) {
    int64_t rows[STRETCH], taps = v->taps_h * v->taps_w, depth = taps * v->c;
    int64_t columns[] = {0, depth, 2 * depth, 3 * depth};
    for (int64_t begin = 0; begin < depth; begin += STRETCH) {
        int64_t count = CNN_MIN(STRETCH, depth - begin);
        panel_rows(v->c, taps, width, begin, count, rows);
        for (int64_t column = 0; column < real; column += 4) {
            float *to = dweight + column * depth + begin;
            int64_t i = 0;
            for (; column + 4 <= real && i + 4 <= count; i += 4) transpose4(panel + column, rows + i, to + i, columns);
            for (; i < count; i++)
                for (int64_t j = 0; j < CNN_MIN(4, real - column); j++) to[j * depth + i] = panel[rows[i] + column + j];
        }
    }
}

/* Adds up the ranges, in order, into one panel of dweight. */
static cnn_status sum_chunk(void *context, int64_t chunk) {
    const struct outer_work *w = context;
    int64_t panel = w->gemm->panel, panels = cnn_ceil_div(w->k, panel), group = chunk / panels;
    int64_t first = chunk % panels * panel, depth = cnn_view_depth(w->view), stride = w->groups * w->group_packed;
    int64_t width = cnn_panel_width(panel, w->k, first), real = CNN_MIN(width, w->k - first);
    float *sum = w->partial + group * w->group_packed + first * depth;
    for (int64_t range = 1; range < w->ranges; range++) {
        const float *part = sum + range * stride;
        for (int64_t i = 0; i < depth * width; i++) sum[i] += part[i];
    }
    unpack(w->view, sum, real, width, w->dweight + (group * w->k + first) * depth);
    if (!w->dbias) return CNN_OK;
    const float *bias = w->partial + (group + 1) * w->group_packed - cnn_round_up(w->k, panel) + first;
    for (int64_t column = 0; column < real; column++) {
        float total = bias[column];
        for (int64_t range = 1; range < w->ranges; range++) total += bias[range * stride + column];
        w->dbias[group * w->k + first + column] = total;
    }
    return CNN_OK;
}

static cnn_status backward_weights(const cnn_conv2d *p, const float *x, const float *dy, float *dweight, float *dbias,
                                   float *workspace) {
    struct conv_view view = cnn_conv_forward_view(p);
    int64_t depth = cnn_view_depth(&view), pixels = cnn_view_pixels(&view), k = p->k / p->groups;
    struct outer_work work = {.view = &view, .kernels = tables[cnn_table_index()], .gemm = cnn_gemm(), .x = x,
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
    return cnn_parallel(sum_chunk, &work, cnn_ceil_div(k, work.gemm->panel) * work.groups);
}

static int64_t workspace_size(const cnn_conv2d *p, int pass) {
    int64_t in = p->c / p->groups, out = p->k / p->groups, depth = p->kh * p->kw * in;
    if (pass != CNN_BACKWARD_WEIGHTS) return 0;
    return outer_ranges(depth, p->n * p->oh * p->ow, p->groups) * p->groups * cnn_packed_size(depth + 1, out);
}

const struct conv_family cnn_dense = {workspace_size, packed_size, pack, forward, backward_data, backward_weights};
