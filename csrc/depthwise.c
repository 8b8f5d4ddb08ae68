/* Depthwise convolutions, one input and one output channel a group: forward and backward-data. There is no sum over
 * channels, so vectors run over them, and what costs is to load: the kernels that networks use load each pixel once a
 * row of taps, or once for two. As in conv_dense.c the two passes are one walk in two directions, and chunks are cut by
 * shape alone. depthwise_weights.c is backward-weights. bf16_depthwise.c calls both for maps of bfloat16. */
#include "depthwise.h"

static const struct depthwise_kernels *const tables[] = CNN_TABLES(cnn_depthwise_kernels);

static const int64_t widths[] = {4, 7, 8}; /* results of a whole tile */

#define CHUNK_FLOATS 16384 /* results that are worth a chunk */
#define WEIGHT_FLOATS 4096 /* weights of the channels of a chunk: they stay in L1 */

/* The widest vectors that the channels fill. */
static const struct depthwise_kernels *kernels_for(int64_t channels, int storage) {
    if (storage == CNN_BFLOAT16) return cnn_bf16_depthwise_rows(channels);
    int index = cnn_table_index();
    while (index > 0 && tables[index]->lanes > channels) index--;
    return tables[index];
}

/* ---- forward and backward-data ---- */

struct rows_work {
    struct depthwise_walk walk;
    depthwise_rows_kernel kernel;
    int64_t group, groups; /* channels a chunk, chunks of those … */
    int64_t count, parts;  /* … and rows a chunk, chunks of an image */
    /* Of the general kernels: */
    const struct conv_view *view;
    const struct depthwise_kernels *kernels;
};

static cnn_status rows_chunk(void *context, int64_t chunk) {
    const struct rows_work *w = context;
    int64_t group = chunk % w->groups, part = chunk / w->groups, row = part % w->parts * w->count;
    int64_t first = group * w->group, last = group == w->groups - 1 ? w->walk.pixel : first + w->group;
    w->kernel(&w->walk, first, last, part / w->parts, row, CNN_MIN(w->count, w->walk.rows - row));
    return CNN_OK;
}

/* Evenly many columns a tile; channels such that their weights stay in L1; and rows for the rest. */
static cnn_status walk_rows(struct rows_work *w, const cnn_conv2d *p, bool back) {
    struct depthwise_walk *walk = &w->walk;
    bool spread = back && p->stride_w == 2;
    int64_t width = 0, wide = p->kw == 5, lanes = w->kernels->lanes;
    walk->top = !back ? -p->pad_top : spread ? p->pad_top : p->pad_top - (p->kh - 1);
    walk->left = back ? p->pad_left - (p->kw - 1) : -p->pad_left;
    walk->start = spread ? -(walk->left & 1) : 0;
    walk->step = spread ? 8 : cnn_ceil_div(walk->columns, cnn_ceil_div(walk->columns, 8));
    while (widths[width] < walk->step) width++;
    w->kernel = spread ? w->kernels->spread[wide] : w->kernels->rows[wide][p->stride_w - 1][width];

    int64_t vectors = p->c / lanes, most = CNN_MAX(1, WEIGHT_FLOATS / (p->kh * p->kw * lanes));
    w->group = cnn_ceil_div(vectors, cnn_ceil_div(vectors, most)) * lanes;
    w->groups = cnn_ceil_div(vectors * lanes, w->group);
    w->parts = cnn_ceil_div(walk->rows, CNN_MAX(1, CHUNK_FLOATS / (walk->columns * w->group)));
    w->count = cnn_round_up(cnn_ceil_div(walk->rows, w->parts), 2); /* rows go in pairs */
    w->parts = cnn_ceil_div(walk->rows, w->count);
    return cnn_parallel(rows_chunk, w, p->n * w->parts * w->groups);
}

static cnn_status general_chunk(void *context, int64_t chunk) {
    const struct rows_work *w = context;
    const struct depthwise_walk *walk = &w->walk;
    int64_t row = chunk * w->count, count = CNN_MIN(w->count, w->view->n * w->view->rows - row);
    w->kernels->general_rows(w->view, walk->source, walk->weight, walk->finish, walk->out, row, count);
    return CNN_OK;
}

static cnn_status general(struct rows_work *w, const struct conv_view *v) {
    w->view = v;
    w->count = CNN_MAX(1, CHUNK_FLOATS / (v->columns * v->pixel));
    return cnn_parallel(general_chunk, w, cnn_ceil_div(v->n * v->rows, w->count));
}

static const cnn_bf16_finish nothing = {.activation = CNN_IDENTITY};

cnn_status cnn_depthwise_map(const cnn_conv2d *p, int pass, int storage, const void *source, const float *packed,
                             const cnn_bf16_finish *finish, void *out) {
    bool back = pass == CNN_BACKWARD_DATA;
    struct rows_work work = {.kernels = kernels_for(p->c, storage)};
    work.walk = (struct depthwise_walk){source,
                                        packed,
                                        finish ? finish : &nothing,
                                        out,
                                        .pixel = p->c,
                                        .height = back ? p->oh : p->h,
                                        .width = back ? p->ow : p->w,
                                        .rows = back ? p->h : p->oh,
                                        .columns = back ? p->w : p->ow,
                                        .taps_h = p->kh,
                                        .large = cnn_depthwise_large(p, storage)};
    if (cnn_depthwise_common(p)) return walk_rows(&work, p, back);
    if (!back) {
        struct conv_view view = cnn_conv_forward_view(p);
        return general(&work, &view);
    }
    for (int64_t row = 0; row < CNN_MIN(p->stride_h, p->h); row++) {
        for (int64_t column = 0; column < CNN_MIN(p->stride_w, p->w); column++) {
            struct conv_view view = cnn_conv_backward_view(p, row, column);
            cnn_status status = general(&work, &view);
            if (status != CNN_OK) return status;
        }
    }
    return CNN_OK;
}

int64_t cnn_depthwise_packed(const cnn_conv2d *p, int pass) {
    (void)pass;
    return p->kh * p->kw * (cnn_depthwise_common(p) ? cnn_round_up(p->c, BLOCK) : p->c);
}

/* (c, 1, kh, kw) -> [taps][c] for the general kernels. For the others -> [blocks][taps][BLOCK], where the last block
 * overlaps the one before as vectors do (fewer channels than a block are filled up with zeros), and the taps are in
 * the order in which results meet them: backward-data of stride 1 is forward with the kernel turned round. */
cnn_status cnn_depthwise_pack(const cnn_conv2d *p, int pass, const float *weight, float *packed) {
    int64_t taps = p->kh * p->kw;
    bool turned = pass == CNN_BACKWARD_DATA && p->stride_w == 1;
    if (!cnn_depthwise_common(p)) {
        for (int64_t tap = 0; tap < taps; tap++)
            for (int64_t c = 0; c < p->c; c++) packed[tap * p->c + c] = weight[c * taps + tap];
        return CNN_OK;
    }
    for (int64_t block = 0; block < cnn_ceil_div(p->c, BLOCK); block++, packed += taps * BLOCK) {
        int64_t first = CNN_MAX(0, CNN_MIN(block * BLOCK, p->c - BLOCK));
        for (int64_t tap = 0; tap < taps; tap++) {
            const float *from = weight + first * taps + (turned ? taps - 1 - tap : tap);
            for (int64_t c = 0; c < BLOCK; c++) packed[tap * BLOCK + c] = first + c < p->c ? from[c * taps] : 0;
        }
    }
    return CNN_OK;
}

bool cnn_depthwise_suits(const cnn_conv2d *p, int pass) {
    (void)pass;
    return p->groups > 1 && p->groups == p->c && p->groups == p->k;
}

/* ---- the family ---- */

static cnn_status map(const cnn_conv2d *p, int pass, const float *source, const float *packed, const cnn_finish *f,
                      float *out) {
    cnn_bf16_finish same;
    if (f) same = (cnn_bf16_finish){f->bias, f->add, f->activation, f->gate, f->pooled, f->taps};
    return cnn_depthwise_map(p, pass, CNN_FLOAT32, source, packed, f ? &same : NULL, out);
}

static cnn_status forward(const cnn_conv2d *p, const float *x, const float *weight, const float *packed,
                          const cnn_finish *finish, float *y, float *workspace) {
    (void)weight, (void)workspace;
    return map(p, CNN_FORWARD, x, packed, finish, y);
}

static cnn_status backward_data(const cnn_conv2d *p, const float *dy, const float *weight, const float *packed,
                                const cnn_finish *finish, float *dx, float *workspace) {
    (void)weight, (void)workspace;
    return map(p, CNN_BACKWARD_DATA, dy, packed, finish, dx);
}

static cnn_status backward_weights(const cnn_conv2d *p, const float *x, const float *dy, float *dweight, float *dbias,
                                   float *workspace) {
    return cnn_depthwise_weights(p, CNN_FLOAT32, x, dy, dweight, dbias, workspace);
}

const struct conv_family cnn_depthwise = {.suits = cnn_depthwise_suits,
                                          .workspace = cnn_depthwise_workspace,
                                          .packed = cnn_depthwise_packed,
                                          .pack = cnn_depthwise_pack,
                                          .forward = forward,
                                          .backward_data = backward_data,
                                          .backward_weights = backward_weights};
