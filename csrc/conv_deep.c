/* Dense layers from thousands of features to few: forward, and backward-data where it has that shape. A sum is cut into
 * parts, as conv_dense.c does, but parts are what threads share, and a single image, whose sums would wait for each
 * addition, does four of them at once. The packed weights are conv_dense.c's. */
#include "conv_dense.h"

#define FEWEST_FEATURES (4 * CNN_DEPTH)
#define MOST_COLUMNS 128 /* more are enough for threads to share, and for additions not to wait */
#define ROWS 24          /* images a chunk */
#define FEW_ROWS 4       /* images that are done one by one */

struct deep_work {
    const struct gemm_kernels *gemm;
    const float *source, *packed;
    const cnn_finish *finish;
    float *sums, *out; /* sums [rows][parts][stride] */
    int64_t rows, depth, columns, stride, parts, part, quads;
};

static int64_t depth_of(const cnn_conv2d *p, int pass) { return pass == CNN_FORWARD ? p->c : p->k; }
static int64_t columns_of(const cnn_conv2d *p, int pass) { return pass == CNN_FORWARD ? p->k : p->c; }

static bool suits(const cnn_conv2d *p, int pass) {
    return pass != CNN_BACKWARD_WEIGHTS && p->groups == 1 && p->h == 1 && p->w == 1 && p->oh == 1 && p->ow == 1 &&
           p->kh == 1 && p->kw == 1 && depth_of(p, pass) >= FEWEST_FEATURES && columns_of(p, pass) <= MOST_COLUMNS;
}

static int64_t workspace_size(const cnn_conv2d *p, int pass) {
    return p->n * cnn_ceil_div(depth_of(p, pass), CNN_DEPTH) * cnn_round_up(columns_of(p, pass), CNN_WIDEST_LANES);
}

/* Parts first … last-1 of some rows, copied first: in place their rows would meet in a few sets of L1. */
static cnn_status by_tiles(const struct deep_work *w, int64_t row, int64_t rows, int64_t first, int64_t last) {
    float *a = cnn_scratch((size_t)rows * (CNN_DEPTH_STRIDE * sizeof *a + sizeof(int64_t)));
    if (!a) return CNN_NO_MEMORY;
    int64_t *offsets = (int64_t *)(a + rows * CNN_DEPTH_STRIDE);
    for (int64_t i = 0; i < rows; i++) offsets[i] = i * w->parts * w->stride;
    struct gemm_product product = {.a = a,
                                   .rows = rows,
                                   .stride = CNN_DEPTH_STRIDE,
                                   .packed = w->packed,
                                   .columns = w->stride,
                                   .whole_depth = w->depth,
                                   .panels = cnn_panel_count(&w->gemm->width, w->stride),
                                   .offsets = offsets};
    for (int64_t part = first; part < last; part++) {
        product.first_depth = part * w->part;
        product.depth = CNN_MIN(w->part, w->depth - product.first_depth);
        product.out = w->sums + (row * w->parts + part) * w->stride;
        const float *source = w->source + row * w->depth + product.first_depth;
        for (int64_t i = 0; i < rows; i++)
            memcpy(a + i * CNN_DEPTH_STRIDE, source + i * w->depth, (size_t)product.depth * sizeof *a);
        w->gemm->product(&product);
    }
    return CNN_OK;
}

/* Four parts of some rows. */
static cnn_status deep_chunk(void *context, int64_t chunk) {
    const struct deep_work *w = context;
    int64_t first = chunk % w->quads * 4, last = CNN_MIN(first + 4, w->parts);
    int64_t row = chunk / w->quads * ROWS, rows = CNN_MIN(ROWS, w->rows - row);
    if (rows > FEW_ROWS || last * w->part > w->depth || last - first < 4) return by_tiles(w, row, rows, first, last);
    for (; rows > 0; row++, rows--) {
        struct gemm_parts parts = {.a = w->source + row * w->depth + first * w->part,
                                   .depth = w->part,
                                   .packed = w->packed,
                                   .columns = w->columns,
                                   .whole_depth = w->depth,
                                   .first_depth = first * w->part,
                                   .out = w->sums + (row * w->parts + first) * w->stride,
                                   .out_stride = w->stride};
        w->gemm->four_parts(&parts);
    }
    return CNN_OK;
}

static cnn_status add_chunk(void *context, int64_t chunk) {
    const struct deep_work *w = context;
    for (int64_t row = chunk * ROWS; row < CNN_MIN((chunk + 1) * ROWS, w->rows); row++)
        w->gemm->add_parts(w->parts, w->sums + row * w->parts * w->stride, w->stride, w->columns, w->finish,
                           row * w->columns, w->out);
    return CNN_OK;
}

static cnn_status multiply(const cnn_conv2d *p, int pass, const float *source, const float *packed,
                           const cnn_finish *finish, float *out, float *workspace) {
    struct deep_work work = {.gemm = cnn_gemm(),
                             .source = source,
                             .packed = packed,
                             .finish = finish,
                             .sums = workspace,
                             .out = out,
                             .rows = p->n,
                             .depth = depth_of(p, pass),
                             .columns = columns_of(p, pass)};
    work.stride = cnn_round_up(work.columns, work.gemm->width.lanes);
    work.parts = cnn_ceil_div(work.depth, CNN_DEPTH);
    work.part = cnn_ceil_div(work.depth, work.parts);
    work.quads = cnn_ceil_div(work.parts, 4);
    int64_t blocks = cnn_ceil_div(work.rows, ROWS);
    /* One image waits for its weights, not for multiply-adds: a float takes as long as some of them. */
    double work_done = (double)(work.rows + 16) * (double)work.depth * (double)work.stride;
    cnn_status status = cnn_parallel_sized(deep_chunk, &work, work.quads * blocks, work_done);
    if (status != CNN_OK) return status;
    return cnn_parallel_sized(add_chunk, &work, blocks, (double)work.rows * (double)work.parts * (double)work.stride);
}

static cnn_status forward(const cnn_conv2d *p, const float *x, const float *weight, const float *packed,
                          const cnn_finish *finish, float *y, float *workspace) {
    (void)weight;
    return multiply(p, CNN_FORWARD, x, packed, finish, y, workspace);
}

static cnn_status backward_data(const cnn_conv2d *p, const float *dy, const float *weight, const float *packed,
                                const cnn_finish *finish, float *dx, float *workspace) {
    (void)weight;
    return multiply(p, CNN_BACKWARD_DATA, dy, packed, finish, dx, workspace);
}

const struct conv_family cnn_deep = {.suits = suits,
                                     .workspace = workspace_size,
                                     .packed = cnn_dense_packed,
                                     .pack = cnn_dense_pack,
                                     .forward = forward,
                                     .backward_data = backward_data};
