/* Depthwise convolutions, one input and one output channel a group: conv.c sends them here. There is no sum over
 * channels, so vectors run over them, and time goes into reading the image, not into multiplying. As in conv_dense.c
 * forward and backward-data are one walk over different views, and chunks are cut by shape alone. */
#include "conv.h"

struct depthwise_kernels {
    int64_t lanes; /* of a vector */
    /* Rows row … row+count-1 of all images' results; weight is [taps][channels]. */
    void (*rows)(const struct conv_view *v, const float *source, const float *weight, const float *bias, float *out,
                 int64_t row, int64_t count);
    /* Adds what these rows of dy say of the weights: partial is [blocks of lanes][taps + 1][lanes], the last the
     * bias. The last block ends with the last channel and may overlap the one before. */
    void (*weights)(const struct conv_view *v, const float *x, const float *dy, int64_t row, int64_t count,
                    float *partial);
};

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif
#define CNN_TEMPLATE "depthwise_tmpl.c"
#include "foreach_isa.h"

static const struct depthwise_kernels *const tables[] = CNN_TABLES(depthwise_kernels);

#define WIDEST 16            /* lanes of any instruction set */
#define ROWS_FLOATS 16384    /* results that are worth a chunk */
#define RANGES 16            /* chunks of backward-weights */
#define SWEEP_FLOATS 65536   /* x that stays in L2 while backward-weights goes over it again and again */

struct depthwise_work {
    const struct conv_view *view;
    const struct depthwise_kernels *kernels;
    const float *source, *weight, *bias, *dy;
    float *out, *partial;
    int64_t rows, count, ranges, block, blocks; /* rows of results, of a chunk; chunks; floats a block, blocks */
};

/* (c, 1, kh, kw) -> [taps][c], in the view's order. */
static void pack_view(const struct conv_view *v, int64_t channels, int64_t window, const float *weight, float *packed) {
    for (int64_t c = 0; c < channels; c++)
        for (int64_t s = 0; s < v->taps_h; s++)
            for (int64_t t = 0; t < v->taps_w; t++)
                packed[(s * v->taps_w + t) * channels + c] =
                    weight[c * window + v->tap_first + s * v->tap_row + t * v->tap_step];
}

static cnn_status rows_chunk(void *context, int64_t chunk) {
    const struct depthwise_work *w = context;
    int64_t row = chunk * w->count;
    w->kernels->rows(w->view, w->source, w->weight, w->bias, w->out, row, CNN_MIN(w->count, w->rows - row));
    return CNN_OK;
}

static cnn_status walk(const struct conv_view *v, const float *source, const float *weight, const float *bias,
                       float *out) {
    struct depthwise_work work = {.view = v, .kernels = tables[cnn_table_index()], .source = source, .weight = weight,
                                  .bias = bias, .out = out, .rows = v->n * v->rows};
    work.count = CNN_MAX(1, ROWS_FLOATS / (v->columns * v->pixel));
    return cnn_parallel(rows_chunk, &work, cnn_ceil_div(work.rows, work.count));
}

static cnn_status forward(const cnn_conv2d *p, const float *x, const float *weight, const float *packed,
                          const cnn_finish *finish, float *y, float *workspace) {
    (void)weight, (void)workspace;
    struct conv_view view = cnn_conv_forward_view(p);
    cnn_status status = walk(&view, x, packed, finish ? finish->bias : NULL, y);
    return status != CNN_OK ? status : cnn_finish_rows(finish, p->n * p->oh * p->ow, p->k, y);
}

/* The classes of pixels of dx that meet the same taps: each tap is in one of them, so all weights together take no more
 * room than in forward. */
static int64_t classes(const cnn_conv2d *p) { return CNN_MIN(p->stride_h, p->h) * CNN_MIN(p->stride_w, p->w); }

static struct conv_view class_view(const cnn_conv2d *p, int64_t class) {
    int64_t columns = CNN_MIN(p->stride_w, p->w);
    return cnn_conv_backward_view(p, class / columns, class % columns);
}

static cnn_status backward_data(const cnn_conv2d *p, const float *dy, const float *weight, const float *packed,
                                const cnn_finish *finish, float *dx, float *workspace) {
    (void)weight, (void)workspace;
    for (int64_t class = 0; class < classes(p); class++) {
        struct conv_view view = class_view(p, class);
        cnn_status status = walk(&view, dy, packed, finish ? finish->bias : NULL, dx);
        if (status != CNN_OK) return status;
        packed += view.taps_h * view.taps_w * p->c;
    }
    return cnn_finish_rows(finish, p->n * p->h * p->w, p->c, dx);
}

static int64_t packed_size(const cnn_conv2d *p, int pass) {
    (void)pass;
    return p->kh * p->kw * p->c;
}

static cnn_status pack(const cnn_conv2d *p, int pass, const float *weight, float *packed) {
    int64_t window = p->kh * p->kw;
    struct conv_view view = cnn_conv_forward_view(p);
    if (pass == CNN_FORWARD) pack_view(&view, p->c, window, weight, packed);
    for (int64_t class = 0; pass == CNN_BACKWARD_DATA && class < classes(p); class++) {
        view = class_view(p, class);
        pack_view(&view, p->c, window, weight, packed);
        packed += view.taps_h * view.taps_w * p->c;
    }
    return CNN_OK;
}

static cnn_status weights_chunk(void *context, int64_t chunk) {
    const struct depthwise_work *w = context;
    const struct conv_view *v = w->view;
    float *partial = w->partial + chunk * w->block * w->blocks;
    memset(partial, 0, (size_t)(w->block * w->blocks) * sizeof *partial);
    int64_t end = CNN_MIN((chunk + 1) * w->count, w->rows);
    int64_t sweep = CNN_MAX(1, SWEEP_FLOATS / (v->w * v->pixel) / v->stride_h);
    for (int64_t row = chunk * w->count; row < end; row += sweep)
        w->kernels->weights(v, w->source, w->dy, row, CNN_MIN(sweep, end - row), partial);
    return CNN_OK;
}

static cnn_status backward_weights(const cnn_conv2d *p, const float *x, const float *dy, float *dweight, float *dbias,
                                   float *workspace) {
    struct conv_view view = cnn_conv_forward_view(p);
    struct depthwise_work work = {.view = &view, .kernels = tables[cnn_table_index()], .source = x, .dy = dy,
                                  .partial = workspace, .rows = p->n * p->oh};
    int64_t taps = p->kh * p->kw, lanes = work.kernels->lanes;
    work.count = cnn_ceil_div(work.rows, RANGES);
    work.ranges = cnn_ceil_div(work.rows, work.count);
    work.block = (taps + 1) * lanes;
    work.blocks = cnn_ceil_div(p->c, lanes);
    cnn_status status = cnn_parallel(weights_chunk, &work, work.ranges);
    for (int64_t c = 0; c < p->c; c++) {
        int64_t block = c / lanes, start = p->c < lanes ? 0 : CNN_MIN(block * lanes, p->c - lanes);
        for (int64_t tap = 0; tap <= taps; tap++) {
            const float *part = workspace + block * work.block + tap * lanes + c - start;
            float sum = *part;
            for (int64_t range = 1; range < work.ranges; range++) sum += part[range * work.block * work.blocks];
            if (tap < taps) dweight[c * taps + tap] = sum;
            else if (dbias) dbias[c] = sum;
        }
    }
    return status;
}

static int64_t workspace_size(const cnn_conv2d *p, int pass) {
    return pass == CNN_BACKWARD_WEIGHTS ? RANGES * (p->kh * p->kw + 1) * cnn_round_up(p->c, WIDEST) : 0;
}

const struct conv_family cnn_depthwise = {workspace_size, packed_size, pack, forward, backward_data, backward_weights};
