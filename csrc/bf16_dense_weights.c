/* Dense convolutions over bfloat16: backward-weights. The sums are cut and added up as those of float32 are
 * (conv_dense_sums.c), and what is multiplied is the same. But two pixels have to lie in 32 bits: the rows of a run of
 * pixels are put together so, two by two, in the thread's scratch memory. */
#include "bf16_dense.h"

#define RUN 128       /* pixels whose products are summed in registers, where windows are gathered … */
#define POINT_RUN 256 /* … and where they are single pixels */
#define GATHERED 16   /* pixels whose windows are gathered at once: they should stay in L1 */

/* A thread's memory for one run: rows of units of dy and of x, and gathered windows. */
struct run_memory {
    float *dy, *x, *gathered;
    int64_t dy_stride, x_stride;
};

static bool run_memory(struct run_memory *m, int64_t run, int64_t dy_columns, int64_t x_columns) {
    m->dy_stride = cnn_dense_spread(dy_columns);
    m->x_stride = cnn_dense_spread(x_columns);
    int64_t floats = run / 2 * (m->dy_stride + m->x_stride) + GATHERED * CNN_DEPTH_STRIDE;
    m->dy = cnn_scratch((size_t)floats * sizeof(float));
    if (!m->dy) return false;
    m->x = m->dy + run / 2 * m->dy_stride;
    m->gathered = m->x + run / 2 * m->x_stride;
    return true;
}

/* `count` windows of x from `pixel` on, as units of two: channels, or taps and channels, first … first+columns-1. */
static void pair_windows(const struct dense_sums *w, const struct run_memory *m, int64_t group, int64_t pixel,
                         int64_t count, int64_t first, int64_t columns) {
    const struct conv_view v = cnn_half_view(*w->view);
    const struct half_outer_kernels *kernels = cnn_half_outer();
    const float *source = w->x + group * v.c;
    if (cnn_dense_in_place(&v)) {
        const uint16_t *x = (const uint16_t *)(source + pixel * v.pixel) + first;
        kernels->pair(count, columns, x, w->view->pixel, m->x, m->x_stride);
        return;
    }
    struct dense_gather gather = {.view = &v,
                                  .source = source,
                                  .end = w->x + v.n * v.h * v.w * v.pixel,
                                  .from = first / 2,
                                  .to = (first + columns) / 2,
                                  .a = m->gathered};
    for (int64_t at = 0; at < count; at += GATHERED) {
        gather.pixel = pixel + at;
        gather.count = CNN_MIN(GATHERED, count - at);
        cnn_dense_kernels()->gather(&gather);
        kernels->pair(gather.count, columns, (const uint16_t *)m->gathered, 2 * CNN_DEPTH_STRIDE,
                      m->x + at / 2 * m->x_stride, m->x_stride);
    }
}

/* The gradients of `count` results from `pixel` on, as units of two; with sums for the bias, unless that is NULL. */
static void pair_gradients(const struct dense_sums *w, const struct run_memory *m, int64_t pixel, int64_t count,
                           int64_t first, int64_t columns, float *bias) {
    const uint16_t *dy = (const uint16_t *)w->dy + pixel * w->outputs + first;
    cnn_half_outer()->pair(count, columns, dy, w->outputs, m->dy, m->dy_stride);
    if (bias) cnn_half_outer()->sum(cnn_ceil_div(count, 2), columns, m->dy, m->dy_stride, bias);
}

/* Rows are output channels, columns input channels. */
static cnn_status point_chunk(void *context, int64_t chunk) {
    const struct dense_sums *w = context;
    struct dense_share s = cnn_dense_share(w, chunk, w->k, w->view->c);
    struct run_memory m;
    if (!run_memory(&m, POINT_RUN, s.rows, s.columns)) return CNN_NO_MEMORY;
    float *bias = s.bias && s.column == 0 ? s.bias + s.row : NULL;
    if (bias) memset(bias, 0, (size_t)s.rows * sizeof *bias);
    struct gemm_outer outer = {.a = m.dy,
                               .stride = m.dy_stride,
                               .rows = s.rows,
                               .b = m.x,
                               .b_stride = m.x_stride,
                               .columns = s.columns,
                               .out = s.sums,
                               .out_stride = w->stride};
    for (int64_t pixel = s.begin; pixel < s.end; pixel += POINT_RUN) {
        int64_t count = CNN_MIN(POINT_RUN, s.end - pixel);
        pair_gradients(w, &m, pixel, count, s.group * w->k + s.row, s.rows, bias);
        pair_windows(w, &m, s.group, pixel, count, s.column, s.columns);
        outer.depth = cnn_ceil_div(count, 2);
        outer.accumulate = pixel > s.begin;
        cnn_half_outer()->outer(&outer);
    }
    return CNN_OK;
}

/* Rows are taps and input channels, columns output channels. */
static cnn_status window_chunk(void *context, int64_t chunk) {
    const struct dense_sums *w = context;
    struct dense_share s = cnn_dense_share(w, chunk, cnn_view_depth(w->view), w->k);
    struct run_memory m;
    if (!run_memory(&m, RUN, w->k, s.rows)) return CNN_NO_MEMORY;
    float *bias = s.row == 0 ? s.bias : NULL;
    if (bias) memset(bias, 0, (size_t)w->k * sizeof *bias);
    struct gemm_outer outer = {.a = m.x,
                               .stride = m.x_stride,
                               .rows = s.rows,
                               .b = m.dy,
                               .b_stride = m.dy_stride,
                               .columns = w->k,
                               .out = s.sums,
                               .out_stride = w->stride};
    for (int64_t pixel = s.begin; pixel < s.end; pixel += RUN) {
        int64_t count = CNN_MIN(RUN, s.end - pixel);
        pair_gradients(w, &m, pixel, count, s.group * w->k, w->k, bias);
        pair_windows(w, &m, s.group, pixel, count, s.row, s.rows);
        outer.depth = cnn_ceil_div(count, 2);
        outer.accumulate = pixel > s.begin;
        cnn_half_outer()->outer(&outer);
    }
    return CNN_OK;
}

cnn_status cnn_half_backward_weights(const cnn_bf16_conv2d *p, const void *x, const void *dy, float *dweight,
                                     float *dbias, void *workspace) {
    return cnn_dense_sum(&p->sizes, x, dy, dweight, dbias, workspace, point_chunk, window_chunk);
}
