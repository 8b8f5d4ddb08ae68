/* Depthwise convolutions, one input and one output channel a group: conv.c sends them here. There is no sum over
 * channels, so vectors run over them, and what costs is to load: the kernels that networks use load each pixel once a
 * row of taps. As in conv_dense.c forward and backward-data are one walk in two directions, and chunks are cut by shape
 * alone. Weights are packed as [taps][c], in their own order, for both. */
#include "conv.h"

#define MOST_ROWS 16 /* rows of taps of a tile */
#define LINE 16      /* floats of a cache line */

/* Neighbouring results of a row, with the rows of the source and of the weights that they meet. */
struct depthwise_tile {
    int64_t rows;
    const float *x[MOST_ROWS], *weight[MOST_ROWS]; /* the source row's pixel 0, and tap 0 */
    int64_t pixel, next_tap;                       /* floats to the next pixel, of source or result, and tap */
    int64_t left;                                  /* floats to the first source pixel; may be before the row */
    uint64_t valid;                                /* which source pixels are inside the image, bit by bit */
    int64_t first, last;                           /* channels */
    const float *ahead;                            /* the source pixels that the row below needs anew: */
    int64_t ahead_rows, ahead_step;                /* how many rows of them, and the floats from one to the next */
    int64_t below;                                 /* where that row's results go, as `at` */
    const cnn_finish *finish;
    float *out;
    int64_t at, from, to;                          /* where result 0 goes; which results are wanted */
};

typedef void (*depthwise_tile_kernel)(const struct depthwise_tile *tile);
/* What will be read after some rows of dy: so many floats of x and dy are to be asked for with each of these rows. */
struct depthwise_ahead {
    const float *x, *dy;
    int64_t x_share, dy_share;
};

/* Adds what `count` rows of dy, from `row` on, say of one vector of channels to `sums`, [taps][lanes]. */
typedef void (*depthwise_weights_kernel)(const struct conv_view *v, const float *x, const float *dy, int64_t row,
                                         int64_t count, float *sums, const struct depthwise_ahead *ahead);

struct depthwise_kernels {
    int64_t lanes;                           /* of a vector */
    /* 3 or 5 wide, stride 1 or 2, widths; and backward-data of stride 2. The first of the last index takes any tile;
     * the others take whole ones, of which no more than kernel / 2 source pixels are outside on either side. */
    depthwise_tile_kernel tiles[2][2][4], spread[2][2];
    depthwise_weights_kernel weights[2][2];  /* 3 or 5 wide; stride 1 or 2 */
    /* The same for the sum of dy: [lanes], of which `part` are real (0: all). */
    void (*bias)(const struct conv_view *v, int64_t part, const float *dy, int64_t row, int64_t count, float *sums);
    /* Any convolution: `count` rows of all images' results, from `row` on. */
    void (*general_rows)(const struct conv_view *v, const float *source, const float *weight, const cnn_finish *finish,
                         float *out, int64_t row, int64_t count);
    depthwise_weights_kernel general_weights;
};

static const int64_t widths[] = {0, 4, 7, 8}; /* results of a whole tile */

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
#define LARGE_FLOATS 1048576 /* source and results that are not to be found in L2 */

/* The widest vectors that the channels fill. */
static const struct depthwise_kernels *kernels_for(int64_t channels) {
    int index = cnn_table_index();
    while (index > 0 && tables[index]->lanes > channels) index--;
    return tables[index];
}

static bool common(const cnn_conv2d *p) {
    return p->c >= 4 && (p->kw == 3 || p->kw == 5) && p->kh <= MOST_ROWS && p->stride_w <= 2 && p->dilation_w == 1;
}

static bool large(const cnn_conv2d *p) { return p->n * (p->h * p->w + p->oh * p->ow) * p->c > LARGE_FLOATS; }

/* ---- forward and backward-data ---- */

struct rows_work {
    const cnn_conv2d *p;
    bool back;
    const float *source, *weight;
    const cnn_finish *finish;
    float *out;
    /* Of the kernels for common shapes: */
    depthwise_tile_kernel whole, some;
    bool large;                                   /* whether memory is worth asking ahead */
    int64_t height, width, rows, columns;         /* of a source image and of its results */
    int64_t start, step, results;                 /* the first tile's first column; columns used; a whole tile's */
    int64_t reach, reach_some;                    /* source pixels of a tile */
    int64_t count, chunks, group, groups, lanes;  /* rows a chunk, chunks of them; channels a chunk, chunks of those */
    /* Of the general ones: */
    const struct conv_view *view;
    const struct depthwise_kernels *kernels;
};

/* The rows of the source that row i of an image's results meets. */
static void meet(const struct rows_work *w, int64_t image, int64_t i, struct depthwise_tile *tile) {
    const cnn_conv2d *p = w->p;
    bool flipped = w->back && p->stride_w == 1;
    tile->next_tap = flipped ? -p->c : p->c;
    tile->rows = 0;
    for (int64_t s = 0; s < p->kh; s++) {
        int64_t y = w->back ? i + p->pad_top - s * p->dilation_h : i * p->stride_h - p->pad_top + s * p->dilation_h;
        if (y < 0) continue;
        if (w->back) {
            if (y % p->stride_h) continue;
            y /= p->stride_h;
        }
        if (y >= w->height) continue;
        tile->x[tile->rows] = w->source + (image * w->height + y) * w->width * p->c;
        tile->weight[tile->rows++] = w->weight + (s * p->kw + (flipped ? p->kw - 1 : 0)) * p->c;
    }
}

static cnn_status rows_chunk(void *context, int64_t chunk) {
    const struct rows_work *w = context;
    const cnn_conv2d *p = w->p;
    int64_t row = chunk / w->groups * w->count, end = CNN_MIN(row + w->count, p->n * w->rows);
    int64_t edge = p->kw / 2, group = chunk % w->groups, shift = w->back ? p->pad_left - (p->kw - 1) : -p->pad_left;
    struct depthwise_tile tile = {.pixel = p->c, .finish = w->finish, .out = w->out, .first = group * w->group,
                                  .ahead_step = w->width * p->c};
    tile.last = group == w->groups - 1 ? p->c : tile.first + w->group;
    for (; row < end; row++) {
        meet(w, row / w->rows, row % w->rows, &tile);
        tile.ahead_rows = !w->large || !tile.rows ? 0 : w->back ? 1 : CNN_MIN(p->stride_h, p->kh);
        for (int64_t j = w->start; j < w->columns; j += w->step) {
            int64_t left = w->back ? (j + shift) / p->stride_w : j * p->stride_w + shift;
            tile.left = left * p->c;
            tile.at = (row * w->columns + j) * p->c;
            tile.from = CNN_MAX(-j, 0);
            tile.to = CNN_MIN(w->step, w->columns - j);
            bool whole = tile.from == 0 && tile.to == w->results && left >= -edge &&
                         left + w->reach <= w->width + edge;
            if (tile.ahead_rows) tile.ahead = tile.x[w->back ? 0 : tile.rows - 1] + (w->width + left) * p->c;
            tile.below = tile.at + w->columns * p->c;
            tile.valid = cnn_places_inside(left, whole ? w->reach : w->reach_some, w->width);
            (whole ? w->whole : w->some)(&tile);
        }
    }
    return CNN_OK;
}

/* Evenly many columns a tile; channels such that their weights stay in L1; and rows for the rest. */
static void cut(struct rows_work *w) {
    const cnn_conv2d *p = w->p;
    const struct depthwise_kernels *kernels = w->kernels;
    bool spread = w->back && p->stride_w == 2;
    int64_t stride = w->back ? 1 : p->stride_w, wide = p->kw == 5, width = 1;
    w->start = spread ? -((p->pad_left - (p->kw - 1)) & 1) : 0;
    w->step = spread ? 8 : cnn_ceil_div(w->columns, cnn_ceil_div(w->columns, 8));
    while (widths[width] < w->step) width++;
    w->results = widths[width];
    w->reach = spread ? (w->results + p->kw - 2) / 2 + 1 : (w->results - 1) * stride + p->kw;
    w->reach_some = spread ? w->reach : 7 * stride + p->kw;
    w->whole = spread ? kernels->spread[wide][1] : kernels->tiles[wide][p->stride_w - 1][width];
    w->some = spread ? kernels->spread[wide][0] : kernels->tiles[wide][p->stride_w - 1][0];

    int64_t vectors = p->c / w->kernels->lanes, most = WEIGHT_FLOATS / (p->kh * p->kw * w->kernels->lanes);
    w->groups = cnn_ceil_div(vectors, CNN_MAX(most, 1));
    w->group = cnn_ceil_div(vectors, w->groups) * w->kernels->lanes;
    w->groups = cnn_ceil_div(vectors * w->kernels->lanes, w->group);
    w->large = large(p);
    w->count = CNN_MAX(1, CHUNK_FLOATS / (w->columns * w->group));
    w->chunks = cnn_ceil_div(p->n * w->rows, w->count);
}

static cnn_status general_chunk(void *context, int64_t chunk) {
    const struct rows_work *w = context;
    int64_t row = chunk * w->count, rows = w->view->n * w->view->rows;
    w->kernels->general_rows(w->view, w->source, w->weight, w->finish, w->out, row, CNN_MIN(w->count, rows - row));
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
    struct rows_work work = {.p = p, .source = x, .weight = packed, .finish = finish ? finish : &nothing, .out = y,
                             .height = p->h, .width = p->w, .rows = p->oh, .columns = p->ow,
                             .kernels = kernels_for(p->c)};
    if (common(p)) {
        cut(&work);
        return cnn_parallel(rows_chunk, &work, work.chunks * work.groups);
    }
    struct conv_view view = cnn_conv_forward_view(p);
    return general(&work, &view);
}

static cnn_status backward_data(const cnn_conv2d *p, const float *dy, const float *weight, const float *packed,
                                const cnn_finish *finish, float *dx, float *workspace) {
    (void)weight, (void)workspace;
    struct rows_work work = {.p = p, .back = true, .source = dy, .weight = packed,
                             .finish = finish ? finish : &nothing, .out = dx, .height = p->oh, .width = p->ow,
                             .rows = p->h, .columns = p->w, .kernels = kernels_for(p->c)};
    if (common(p)) {
        cut(&work);
        return cnn_parallel(rows_chunk, &work, work.chunks * work.groups);
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

static int64_t packed_size(const cnn_conv2d *p, int pass) {
    (void)pass;
    return p->kh * p->kw * p->c;
}

/* (c, 1, kh, kw) -> [taps][c]. */
static cnn_status pack(const cnn_conv2d *p, int pass, const float *weight, float *packed) {
    (void)pass;
    int64_t taps = p->kh * p->kw;
    for (int64_t tap = 0; tap < taps; tap++)
        for (int64_t c = 0; c < p->c; c++) packed[tap * p->c + c] = weight[c * taps + tap];
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
    ahead->dy_share = v->columns * v->pixel / w->vectors;
    ahead->x_share = v->stride_h * v->w * v->pixel / w->vectors;
    ahead->dy = w->dy + row * v->columns * v->pixel + vector * count * ahead->dy_share;
    ahead->x = w->x + (row / v->rows * v->h + y) * v->w * v->pixel + vector * count * ahead->x_share;
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

const struct conv_family cnn_depthwise = {workspace_size, packed_size, pack, forward, backward_data, backward_weights};
