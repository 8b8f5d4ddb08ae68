/* Depthwise convolutions, one input and one output channel a group: conv.c sends them here. There is no sum over
 * channels, so vectors run over them, and what costs is to load: the kernels that networks use load each pixel once a
 * row of taps, or once for two. As in conv_dense.c forward and backward-data are one walk in two directions, and chunks
 * are cut by shape alone. */
#include "conv.h"

#define MOST_ROWS 16      /* rows of taps of the kernels for common shapes */
#define LINE 16           /* floats of a cache line */
#define WEIGHTS_COLUMNS 4 /* results that backward-weights takes at a time */
#define ASK_COLUMNS 16    /* results between two requests for what comes next; whole WEIGHTS_COLUMNS */
#define BLOCK 16          /* channels whose packed weights lie together: no vector is longer */

/* Forward or backward-data as a walk over results, each of which meets taps_h rows of the source. */
struct depthwise_walk {
    const float *source, *weight; /* weight: [blocks of channels][taps][BLOCK] */
    const cnn_finish *finish;
    float *out;
    int64_t pixel;                        /* floats to the next pixel, of source or result */
    int64_t height, width, rows, columns; /* of a source image and of its results */
    int64_t taps_h;
    int64_t top, left;   /* the source pixel that result (0, 0) meets at tap (0, 0); in backward-data of stride 2: the
                          * row of taps at which it meets source row 0, and the column that it is seen from, which
                          * counts results and is that of the last tap */
    int64_t start, step; /* the first tile's first column; columns used of a tile */
    bool large;          /* whether memory is worth asking ahead */
};

/* `count` rows of an image's results, from `row` on, channels [first, last). */
typedef void (*depthwise_rows_kernel)(const struct depthwise_walk *w, int64_t first, int64_t last, int64_t image,
                                      int64_t row, int64_t count);

/* What will be read after some rows of dy: so many floats of x and dy are to be asked for with every ASK_COLUMNS, not
 * more at once than a core can wait for beside its work. */
struct depthwise_ahead {
    const float *x, *dy;
    int64_t x_share, dy_share;
};

/* Adds what `count` rows of dy, from `row` on, say of one vector of channels to `sums`, [taps][lanes]. */
typedef void (*depthwise_weights_kernel)(const struct conv_view *v, const float *x, const float *dy, int64_t row,
                                         int64_t count, float *sums, const struct depthwise_ahead *ahead);

struct depthwise_kernels {
    int64_t lanes;                           /* of a vector */
    depthwise_rows_kernel rows[2][2][3];     /* 3 or 5 wide; stride 1 or 2; widths */
    depthwise_rows_kernel spread[2];         /* 3 or 5 wide; backward-data of stride 2 */
    depthwise_weights_kernel weights[2][2];  /* 3 or 5 wide; stride 1 or 2 */
    /* The same for the sum of dy: [lanes], of which `part` are real (0: all). */
    void (*bias)(const struct conv_view *v, int64_t part, const float *dy, int64_t row, int64_t count, float *sums);
    /* Any convolution: `count` rows of all images' results, from `row` on. */
    void (*general_rows)(const struct conv_view *v, const float *source, const float *weight, const cnn_finish *finish,
                         float *out, int64_t row, int64_t count);
    depthwise_weights_kernel general_weights;
};

static const int64_t widths[] = {4, 7, 8}; /* results of a whole tile */

static const struct depthwise_ahead depthwise_nothing_ahead;

static const int32_t depthwise_lanes[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

#define CNN_TEMPLATE "depthwise_tmpl.c"
#include "foreach_isa.h"

static const struct depthwise_kernels *const tables[] = CNN_TABLES(depthwise_kernels);

#define CHUNK_FLOATS 16384   /* results that are worth a chunk */
#define WEIGHT_FLOATS 4096   /* weights of the channels of a chunk: they stay in L1 */
#define CHUNKS 16            /* of backward-weights, where there is work for so many */
#define RANGE_PIXELS 32      /* results that are worth partial sums of their own */
#define SWEEP_FLOATS 32768   /* x that stays in L2, with what follows it, while backward-weights goes over it */
#define LARGE_FLOATS 262144  /* source and results that are not to be found in L2 */

/* The widest vectors that the channels fill. */
static const struct depthwise_kernels *kernels_for(int64_t channels) {
    int index = cnn_table_index();
    while (index > 0 && tables[index]->lanes > channels) index--;
    return tables[index];
}

static bool common(const cnn_conv2d *p) {
    return p->c >= 4 && (p->kw == 3 || p->kw == 5) && p->kh <= MOST_ROWS && p->stride_w <= 2 &&
           p->stride_h == p->stride_w && p->dilation_h == 1 && p->dilation_w == 1;
}

static bool large(const cnn_conv2d *p) { return p->n * (p->h * p->w + p->oh * p->ow) * p->c > LARGE_FLOATS; }

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
    walk->large = large(p);
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

static const cnn_finish nothing = {.activation = CNN_IDENTITY};

static cnn_status forward(const cnn_conv2d *p, const float *x, const float *weight, const float *packed,
                          const cnn_finish *finish, float *y, float *workspace) {
    (void)weight, (void)workspace;
    struct rows_work work = {.kernels = kernels_for(p->c)};
    work.walk = (struct depthwise_walk){x, packed, finish ? finish : &nothing, y, .pixel = p->c, .height = p->h,
                                        .width = p->w, .rows = p->oh, .columns = p->ow, .taps_h = p->kh};
    if (common(p)) return walk_rows(&work, p, false);
    struct conv_view view = cnn_conv_forward_view(p);
    return general(&work, &view);
}

static cnn_status backward_data(const cnn_conv2d *p, const float *dy, const float *weight, const float *packed,
                                const cnn_finish *finish, float *dx, float *workspace) {
    (void)weight, (void)workspace;
    struct rows_work work = {.kernels = kernels_for(p->c)};
    work.walk = (struct depthwise_walk){dy, packed, finish ? finish : &nothing, dx, .pixel = p->c, .height = p->oh,
                                        .width = p->ow, .rows = p->h, .columns = p->w, .taps_h = p->kh};
    if (common(p)) return walk_rows(&work, p, true);
    for (int64_t row = 0; row < CNN_MIN(p->stride_h, p->h); row++) {
        for (int64_t column = 0; column < CNN_MIN(p->stride_w, p->w); column++) {
            struct conv_view view = cnn_conv_backward_view(p, row, column);
            cnn_status status = general(&work, &view);
            if (status != CNN_OK) return status;
        }
    }
    return CNN_OK;
}

static int64_t packed_size(const cnn_conv2d *p, int pass) {
    (void)pass;
    return p->kh * p->kw * (common(p) ? cnn_round_up(p->c, BLOCK) : p->c);
}

/* (c, 1, kh, kw) -> [taps][c] for the general kernels. For the others -> [blocks][taps][BLOCK], where the last block
 * overlaps the one before as vectors do (fewer channels than a block are filled up with zeros), and the taps are in
 * the order in which results meet them: backward-data of stride 1 is forward with the kernel turned round. */
static cnn_status pack(const cnn_conv2d *p, int pass, const float *weight, float *packed) {
    int64_t taps = p->kh * p->kw;
    bool turned = pass == CNN_BACKWARD_DATA && p->stride_w == 1;
    if (!common(p)) {
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

/* ---- backward-weights ---- */

struct weights_work {
    const struct conv_view *view;
    const struct depthwise_kernels *kernels;
    depthwise_weights_kernel kernel;
    const float *x, *dy;
    float *partial, *dweight, *dbias;
    int64_t lanes, vectors, size;          /* size: floats of a vector's sums */
    int64_t rows, count, ranges;           /* rows of dy, of a range; ranges */
    int64_t group, groups;                 /* vectors a chunk, chunks of them */
    bool ahead;                            /* whether memory is worth asking ahead */
};

/* Where a vector of channels begins. */
static int64_t vector_start(const struct weights_work *w, int64_t vector) {
    return CNN_MAX(0, CNN_MIN(vector * w->lanes, w->view->pixel - w->lanes));
}

/* A vector's share of the rows of dy from `row` on, and of the rows of x under them, spread over `count` rows. */
static void ask_for(const struct weights_work *w, int64_t row, int64_t vector, int64_t count,
                    struct depthwise_ahead *ahead) {
    const struct conv_view *v = w->view;
    int64_t y = v->start_h + row % v->rows * v->stride_h + v->taps_h - 1;
    int64_t blocks = cnn_ceil_div(v->columns, ASK_COLUMNS), shares = w->vectors * blocks;
    ahead->dy_share = cnn_ceil_div(v->columns * v->pixel, shares);
    ahead->x_share = cnn_ceil_div(v->stride_h * v->w * v->pixel, shares);
    ahead->dy = w->dy + row * v->columns * v->pixel + vector * count * blocks * ahead->dy_share;
    ahead->x = w->x + (row / v->rows * v->h + y) * v->w * v->pixel + vector * count * blocks * ahead->x_share;
}

static cnn_status weights_chunk(void *context, int64_t chunk) {
    const struct weights_work *w = context;
    const struct conv_view *v = w->view;
    int64_t first = chunk % w->groups * w->group, last = CNN_MIN(first + w->group, w->vectors);
    int64_t range = chunk / w->groups, begin = range * w->count, end = CNN_MIN(begin + w->count, w->rows);
    float *partial = w->partial + range * w->vectors * w->size;
    memset(partial + first * w->size, 0, (size_t)((last - first) * w->size) * sizeof *partial);
    int64_t sweep = CNN_MAX(1, SWEEP_FLOATS / (v->w * (last - first) * w->lanes) / v->stride_h);
    int64_t part = v->pixel < w->lanes ? v->pixel : 0;
    for (int64_t row = begin; row < end; row += sweep) {
        int64_t count = CNN_MIN(sweep, end - row), next = row + count;
        struct depthwise_ahead ahead = depthwise_nothing_ahead;
        for (int64_t vector = first; vector < last; vector++) {
            int64_t c = vector_start(w, vector);
            float *sums = partial + vector * w->size;
            if (w->ahead && next < end) ask_for(w, next, vector, count, &ahead);
            w->kernel(v, w->x + c, w->dy + c, row, count, sums, &ahead);
            if (w->dbias) w->kernels->bias(v, part, w->dy + c, row, count, sums + w->size - w->lanes);
        }
    }
    return CNN_OK;
}

/* Adds up the ranges of a group of vectors, in order, and puts the sums where they belong. */
static cnn_status sum_chunk(void *context, int64_t chunk) {
    const struct weights_work *w = context;
    int64_t first = chunk * w->group, last = CNN_MIN(first + w->group, w->vectors);
    int64_t taps = w->view->taps_h * w->view->taps_w;
    float *sums = w->partial + first * w->size;
    for (int64_t range = 1; range < w->ranges; range++) {
        const float *part = sums + range * w->vectors * w->size;
        for (int64_t i = 0; i < (last - first) * w->size; i++) sums[i] += part[i];
    }
    for (int64_t vector = first; vector < last; vector++, sums += w->size) {
        int64_t start = vector_start(w, vector), end = CNN_MIN((vector + 1) * w->lanes, w->view->pixel);
        for (int64_t c = vector * w->lanes; c < end; c++) {
            for (int64_t tap = 0; tap < taps; tap++) w->dweight[c * taps + tap] = sums[tap * w->lanes + c - start];
            if (w->dbias) w->dbias[c] = sums[taps * w->lanes + c - start];
        }
    }
    return CNN_OK;
}

static int64_t weights_ranges(const cnn_conv2d *p) {
    int64_t pixels = p->n * p->oh * p->ow;
    return CNN_MAX(1, CNN_MIN(CNN_MIN(CHUNKS, p->n * p->oh), pixels / RANGE_PIXELS));
}

static cnn_status backward_weights(const cnn_conv2d *p, const float *x, const float *dy, float *dweight, float *dbias,
                                   float *workspace) {
    struct conv_view view = cnn_conv_forward_view(p);
    const struct depthwise_kernels *kernels = kernels_for(p->c);
    struct weights_work work = {.view = &view, .kernels = kernels, .x = x, .dy = dy, .partial = workspace,
                                .dweight = dweight, .dbias = dbias, .lanes = kernels->lanes,
                                .vectors = cnn_ceil_div(p->c, kernels->lanes),
                                .size = (p->kh * p->kw + 1) * kernels->lanes, .rows = p->n * p->oh};
    work.kernel = common(p) ? kernels->weights[p->kw == 5][p->stride_w - 1] : kernels->general_weights;
    work.count = cnn_ceil_div(work.rows, weights_ranges(p));
    work.ranges = cnn_ceil_div(work.rows, work.count);
    work.group = CNN_MAX(1, work.vectors / cnn_ceil_div(CHUNKS, work.ranges));
    work.groups = cnn_ceil_div(work.vectors, work.group);
    work.ahead = work.groups == 1 && large(p);
    cnn_status status = cnn_parallel(weights_chunk, &work, work.ranges * work.groups);
    if (status != CNN_OK) return status;
    return cnn_parallel(sum_chunk, &work, work.groups);
}

static int64_t workspace_size(const cnn_conv2d *p, int pass) {
    if (pass != CNN_BACKWARD_WEIGHTS) return 0;
    return weights_ranges(p) * (p->kh * p->kw + 1) * cnn_round_up(p->c, 16);
}

const struct conv_family cnn_depthwise = {workspace_size, packed_size, pack, forward, backward_data,
                                          backward_weights, false};
