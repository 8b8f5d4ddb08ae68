/* Convolutions as products of matrices: backward-weights, the sum over pixels of what a window holds times what its
 * result's gradient is. Runs of pixels are summed in registers; ranges of runs have partial sums of their own where
 * chunks would be few, which are added up in order (conv_dense_sums.c).
 *
 * 1 x 1 kernels take dy, transposed, times x: the result lies as the weights do, and mostly both are read in place.
 * Others take the gathered windows (conv_dense.c), transposed, times dy, and the sums are unpacked at the end. */
#include "conv_dense.h"

#define RUN 64        /* pixels whose products are summed in registers: gathered, they should stay near L1 */
#define POINT_RUN 128 /* the same where nothing is gathered */

/* Columns read RUN by RUN from rows a multiple of four cache lines apart meet in a quarter of L1 or less. */
static bool aliased(int64_t stride) { return stride % 64 == 0; }

static bool outer_in_place(const struct conv_view *v) {
    return cnn_dense_in_place(v) && !aliased(v->pixel) && v->c % cnn_gemm()->width.lanes == 0;
}

/* Rows are output channels, columns input channels. */
static cnn_status point_chunk(void *context, int64_t chunk) {
    const struct dense_sums *w = context;
    const struct conv_view *v = w->view;
    const float *end = w->x + v->n * v->h * v->w * v->pixel; /* of what may be read */
    struct dense_share s = cnn_dense_share(w, chunk, w->k, v->c);
    bool x_in_place = outer_in_place(v), dy_in_place = !aliased(w->outputs);
    int64_t stride = cnn_dense_spread(s.rows);
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
    struct dense_gather gather =
        {.view = v, .source = w->x + s.group * v->c, .end = end, .from = s.column, .to = s.column + s.columns, .a = x};
    for (int64_t pixel = s.begin; pixel < s.end; pixel += POINT_RUN) {
        const float *gradient = w->dy + pixel * w->outputs + s.group * w->k + s.row;
        outer.depth = CNN_MIN(POINT_RUN, s.end - pixel);
        gather.pixel = pixel;
        gather.count = outer.depth;
        if (x_in_place) outer.b = gather.source + pixel * v->pixel + s.column;
        else cnn_dense_kernels()->gather(&gather);
        if (dy_in_place) outer.a = gradient;
        for (int64_t i = 0; !dy_in_place && i < outer.depth; i++)
            memcpy(dy + i * stride, gradient + i * w->outputs, (size_t)s.rows * sizeof *dy);
        outer.accumulate = pixel > s.begin;
        cnn_gemm_outer()->outer(&outer);
        if (bias) cnn_gemm_rows()->sum(outer.depth, s.rows, outer.a, outer.stride, bias);
    }
    return CNN_OK;
}

/* Rows are taps and input channels, columns output channels. */
static cnn_status window_chunk(void *context, int64_t chunk) {
    const struct dense_sums *w = context;
    const struct conv_view *v = w->view;
    const float *end = w->x + v->n * v->h * v->w * v->pixel; /* of what may be read */
    struct dense_share s = cnn_dense_share(w, chunk, cnn_view_depth(v), w->k);
    int64_t columns = cnn_round_up(w->k, cnn_gemm()->width.lanes); /* packed; the sums have room for whole lanes */
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
        {.view = v, .source = w->x + s.group * v->c, .end = end, .from = s.row, .to = s.row + s.rows, .a = a};
    for (int64_t pixel = s.begin; pixel < s.end; pixel += RUN) {
        const float *gradient = w->dy + pixel * w->outputs + s.group * w->k;
        outer.depth = CNN_MIN(RUN, s.end - pixel);
        gather.pixel = pixel;
        gather.count = outer.depth;
        cnn_dense_kernels()->gather(&gather);
        cnn_gemm_rows()->pack(outer.depth, w->k, gradient, w->outputs, packed);
        if (bias) cnn_gemm_rows()->sum(outer.depth, w->k, gradient, w->outputs, bias);
        outer.accumulate = pixel > s.begin;
        cnn_gemm_outer()->outer(&outer);
    }
    return CNN_OK;
}

cnn_status cnn_dense_backward_weights(const cnn_conv2d *p, const float *x, const float *dy, float *dweight,
                                      float *dbias, float *workspace) {
    return cnn_dense_sum(p, x, dy, dweight, dbias, workspace, point_chunk, window_chunk);
}
