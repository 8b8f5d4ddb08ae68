/* Convolutions as products of matrices: forward and backward-data. conv.c calls; conv_dense_pack.c has packed the
 * weights, conv_dense_weights.c holds backward-weights, gemm.c multiplies.
 *
 * For a block of results, the windows that they read are the rows of a matrix A, gathered in the thread's scratch
 * memory unless they lie in the source as they are, and are multiplied with the packed weights, A [pixels][taps * c]
 * times [taps * c][k]. Gathering costs two instructions a vector, against a multiply-add for each vector of output channels.
 *
 * Work is cut into chunks by shape alone, and a sum is split at places that depend on the shape alone, but not on
 * the batch: an image's results are the same bits in any batch and on any number of threads. */
#include "conv_dense.h"

/* Floats of A that a block of results may touch: with a panel they fill an L2 of half a megabyte. */
#define BLOCK_FLOATS 98304
#define BLOCK_ROWS 96      /* a multiple of every tile */
#define CHUNKS 16          /* wanted at least, for threads to share */
#define CHUNK_WORK 1000000 /* multiply-adds that a chunk holds at least, where there are more chunks than that */
#define GROUP_COLUMNS 128  /* gathering again pays from so many columns on … */
#define FEW_COLUMNS 32     /* … and reading again what lies in place from so many */

/* ---- gather, multiply ---- */

struct product_work {
    const struct conv_view *view;
    const struct dense_kernels *kernels;
    const struct gemm_kernels *gemm;
    const struct dense_product *wanted;
    const float *end;
    bool in_place;
    int64_t columns, group_packed; /* of one group */
    int64_t block, chunk, chunks;  /* results gathered at once, results a chunk, chunks of results … */
    int64_t span, spans;           /* … and panels a chunk, chunks of panels */
    int64_t sum_stride;            /* columns of a span, at most */
};

static void offsets_of(const struct conv_view *v, int64_t pixel, int64_t count, int64_t *offsets) {
    int64_t j = pixel % v->columns, i = pixel / v->columns % v->rows, image = pixel / v->columns / v->rows;
    for (int64_t at = 0; at < count; at++) {
        offsets[at] = cnn_view_offset(v, image, i, j);
        if (++j < v->columns) continue;
        j = 0;
        if (++i == v->rows) i = 0, image++;
    }
}

/* A thread's memory for one block. Parts of a sum are kept in `sums` until the last: out may be what finish adds. */
struct block_memory {
    float *a, *sums;
    int64_t *offsets, *sum_offsets;
};

static int64_t parts_of(const struct conv_view *v) { return CNN_MAX(cnn_ceil_div(cnn_view_depth(v), CNN_DEPTH), 1); }

static bool block_memory(const struct product_work *w, struct block_memory *m) {
    int64_t a = w->in_place ? 0 : CNN_DEPTH_STRIDE, sums = parts_of(w->view) > 1 ? w->sum_stride : 0;
    int64_t row = (a + sums) * (int64_t)sizeof(float) + 2 * (int64_t)sizeof(int64_t);
    m->a = cnn_scratch((size_t)(w->block * row));
    if (!m->a) return false;
    m->sums = m->a + w->block * a;
    m->offsets = (int64_t *)(m->sums + w->block * sums);
    m->sum_offsets = m->offsets + w->block;
    for (int64_t i = 0; i < w->block; i++) m->sum_offsets[i] = i * w->sum_stride;
    return true;
}

/* Number i of results' arrays. */
static const float *result_at(const struct product_work *w, const float *array, int64_t i) {
    if (!array) return NULL;
    return w->wanted->half ? (const float *)((const uint16_t *)array + i) : array + i;
}

/* Some results of one group, as many as are gathered at once, in some panels of their columns. */
struct product_block {
    int64_t group, pixel, rows, panel, panels;
};

static void product_block(const struct product_work *w, struct product_block b, const struct block_memory *m) {
    const struct conv_view *v = w->view;
    int64_t depth = cnn_view_depth(v), first = b.group * w->columns, parts = parts_of(v);
    int64_t part = cnn_ceil_div(depth, parts), column = cnn_panel_begin(&w->gemm->width, w->columns, b.panel);
    struct dense_gather gather = {.view = v,
                                  .source = w->wanted->source + b.group * v->c,
                                  .end = w->end,
                                  .pixel = b.pixel,
                                  .count = b.rows,
                                  .a = m->a,
                                  .offsets = m->offsets};
    struct gemm_product product = {.rows = b.rows,
                                   .columns = w->columns,
                                   .whole_depth = depth,
                                   .a = m->a,
                                   .stride = w->in_place ? v->pixel : CNN_DEPTH_STRIDE,
                                   .packed = w->wanted->packed + b.group * w->group_packed,
                                   .panel = b.panel,
                                   .panels = b.panels,
                                   .out = m->sums - column,
                                   .offsets = m->sum_offsets,
                                   .onto_stride = w->sum_stride};
    if (w->in_place) offsets_of(v, b.pixel, b.rows, m->offsets);
    for (int64_t i = 0; i < parts; i++) {
        gather.from = i * part;
        gather.to = CNN_MIN(gather.from + part, depth);
        if (w->in_place) product.a = gather.source + b.pixel * v->pixel + gather.from;
        else w->kernels->gather(&gather);
        product.first_depth = gather.from;
        product.depth = gather.to - gather.from;
        product.onto = i > 0 ? m->sums - column : NULL;
        cnn_finish finish;
        if (i == parts - 1) {
            product.out = (float *)result_at(w, w->wanted->out, first);
            product.offsets = m->offsets;
            product.half = w->wanted->half;
            const cnn_finish *f = w->wanted->finish;
            if (f) {
                finish = (cnn_finish){.bias = f->bias ? f->bias + first : NULL,
                                      .add = result_at(w, f->add, first),
                                      .activation = f->activation,
                                      .gate = result_at(w, f->gate, first)};
                product.finish = &finish;
            }
        }
        w->wanted->product(&product);
    }
}

static cnn_status product_chunk(void *context, int64_t chunk) {
    const struct product_work *w = context;
    int64_t span = chunk % w->spans, first = chunk / w->spans % w->chunks, group = chunk / w->spans / w->chunks;
    int64_t panel = span * w->span;
    int64_t panels = CNN_MIN(w->span, cnn_panel_count(&w->gemm->width, w->columns) - panel);
    int64_t begin = first * w->chunk, end = CNN_MIN(begin + w->chunk, cnn_view_pixels(w->view));
    struct block_memory memory;
    if (!block_memory(w, &memory)) return CNN_NO_MEMORY;
    for (int64_t pixel = begin; pixel < end; pixel += w->block)
        product_block(w, (struct product_block){group, pixel, CNN_MIN(w->block, end - pixel), panel, panels}, &memory);
    return CNN_OK;
}

/* Cuts the work into blocks of results that fill L2, evenly, into chunks of a few blocks, and into spans of panels
 * where blocks are few. */
static void cut_product(struct product_work *w, int64_t groups) {
    int64_t pixels = cnn_view_pixels(w->view), depth = CNN_MAX(cnn_view_depth(w->view), 1);
    int64_t panels = cnn_panel_count(&w->gemm->width, w->columns);
    int64_t most = CNN_MIN(BLOCK_ROWS, BLOCK_FLOATS / CNN_MIN(depth, CNN_DEPTH) / 12 * 12);
    w->block = cnn_round_up(cnn_ceil_div(pixels, cnn_ceil_div(pixels, most)), 12);
    int64_t blocks = cnn_ceil_div(pixels, w->block);
    int64_t least = w->in_place ? FEW_COLUMNS : GROUP_COLUMNS;
    int64_t spans = CNN_MIN(cnn_ceil_div(CHUNKS, blocks * groups), CNN_MAX(w->columns / least, 1));
    w->span = cnn_ceil_div(panels, spans);
    w->spans = cnn_ceil_div(panels, w->span);
    w->sum_stride = (w->span + 1) * w->gemm->width.panel;
    int64_t work = w->block * CNN_MIN(depth, CHUNK_WORK) * CNN_MIN(w->columns, CHUNK_WORK);
    int64_t most_blocks = CNN_MAX(blocks * groups / CHUNKS, 1);
    w->chunk = w->block * CNN_MIN(cnn_ceil_div(CHUNK_WORK, work), most_blocks);
    w->chunks = cnn_ceil_div(pixels, w->chunk);
}

cnn_status cnn_dense_multiply(const cnn_conv2d *p, const struct dense_product *wanted) {
    const struct conv_view *v = wanted->view;
    struct product_work work = {.view = v,
                                .kernels = cnn_dense_kernels(),
                                .gemm = cnn_gemm(),
                                .wanted = wanted,
                                .end = wanted->source + v->n * v->h * v->w * v->pixel,
                                .in_place = cnn_dense_in_place(v),
                                .columns = wanted->columns};
    work.group_packed = cnn_packed_size(cnn_view_depth(v), work.columns);
    cut_product(&work, p->groups);
    double multiply_adds = (double)cnn_view_pixels(v) * (double)(cnn_view_depth(v) + 1) * (double)work.columns *
                           (double)p->groups;
    return cnn_parallel_sized(product_chunk, &work, work.spans * work.chunks * p->groups, multiply_adds);
}

static cnn_status forward(const cnn_conv2d *p, const float *x, const float *weight, const float *packed,
                          const cnn_finish *finish, float *y, float *workspace) {
    (void)weight, (void)workspace;
    struct conv_view view = cnn_conv_forward_view(p);
    struct dense_product wanted = {.view = &view,
                                   .columns = p->k / p->groups,
                                   .product = cnn_gemm()->product,
                                   .source = x,
                                   .packed = packed,
                                   .finish = finish,
                                   .out = y};
    return cnn_dense_multiply(p, &wanted);
}

static cnn_status backward_data(const cnn_conv2d *p, const float *dy, const float *weight, const float *packed,
                                const cnn_finish *finish, float *dx, float *workspace) {
    (void)weight, (void)workspace;
    struct dense_product wanted = {.columns = p->c / p->groups,
                                   .product = cnn_gemm()->product,
                                   .source = dy,
                                   .packed = packed,
                                   .finish = finish,
                                   .out = dx};
    for (int64_t class = 0; class < cnn_dense_classes(p); class++) {
        struct conv_view view = cnn_dense_class_view(p, class);
        wanted.view = &view;
        cnn_status status = cnn_dense_multiply(p, &wanted);
        if (status != CNN_OK) return status;
        wanted.packed += cnn_dense_class_packed(p, &view);
    }
    return CNN_OK;
}

/* Whatever no other family is faster with. */
static bool suits(const cnn_conv2d *p, int pass) {
    (void)p, (void)pass;
    return true;
}

const struct conv_family cnn_dense = {.suits = suits,
                                      .workspace = cnn_dense_workspace,
                                      .packed = cnn_dense_packed,
                                      .pack = cnn_dense_pack,
                                      .forward = forward,
                                      .backward_data = backward_data,
                                      .backward_weights = cnn_dense_backward_weights};
