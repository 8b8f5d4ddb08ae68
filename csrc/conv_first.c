/* Convolutions of images: few input channels, where products of matrices would spend their time gathering. Vectors
 * run over output channels, and each value of the image is spread over one and multiplied with all taps of a row that
 * meet it. Nothing before a first layer wants a gradient, so backward-data stays with conv_dense.c. */
#include "conv_first.h"

static const struct {
    int64_t width, stride;
} shapes[SHAPES] = {{3, 1}, {5, 1}, {3, 2}, {7, 2}};

static const struct first_kernels *const tables[] = CNN_TABLES(cnn_first_kernels);

#define MOST_CHANNELS 4
#define CHUNK_FLOATS 8192 /* results that are worth a chunk */
#define RANGES 16         /* of backward-weights */
#define RANGE_PIXELS 64   /* results that are worth partial sums of their own */
#define SWEEP_FLOATS 4096 /* dy that stays in L1 while backward-weights goes over it again and again */
#define WIDEST 16         /* lanes of any instruction set */

static int shape_of(const cnn_conv2d *p) {
    int shape = 0;
    while (shape < SHAPES && (p->kw != shapes[shape].width || p->stride_w != shapes[shape].stride)) shape++;
    return shape;
}

static bool suits(const cnn_conv2d *p, int pass) {
    return pass != CNN_BACKWARD_DATA && p->groups == 1 && p->c <= MOST_CHANNELS && p->kh <= MOST_ROWS &&
           p->dilation_w == 1 && shape_of(p) < SHAPES;
}

/* Vectors of 16 lanes where there are so many channels; otherwise 8, even where not all of them are filled. */
static const struct first_kernels *kernels_for(const cnn_conv2d *p) {
    int index = cnn_table_index();
    while (index > 1 && tables[index]->lanes > p->k) index--;
    return tables[index];
}

/* Where a vector of output channels begins: the last one overlaps the one before. */
static int64_t vector_start(int64_t vector, int64_t lanes, int64_t k) {
    return CNN_MAX(0, CNN_MIN(vector * lanes, k - lanes));
}

/* ---- forward ---- */

static int64_t packed_size(const cnn_conv2d *p, int pass) {
    (void)pass;
    return p->kh * p->kw * p->c * cnn_round_up(p->k, WIDEST);
}

/* OIHW -> [vectors of k][tap row][c][tap][lanes], zeros where there is no channel. */
static cnn_status pack(const cnn_conv2d *p, int pass, const float *weight, float *packed) {
    (void)pass;
    int64_t lanes = kernels_for(p)->lanes, window = p->kh * p->kw, vectors = cnn_ceil_div(p->k, lanes);
    for (int64_t vector = 0; vector < vectors; vector++) {
        int64_t start = vector_start(vector, lanes, p->k);
        for (int64_t i = 0; i < window * p->c; i++, packed += lanes) {
            int64_t t = i % p->kw, c = i / p->kw % p->c, s = i / p->kw / p->c;
            for (int64_t lane = 0; lane < lanes; lane++) {
                int64_t k = start + lane;
                packed[lane] = k < p->k ? weight[(k * p->c + c) * window + s * p->kw + t] : 0;
            }
        }
    }
    return CNN_OK;
}

struct forward_work {
    const cnn_conv2d *p;
    const float *x, *weight;
    const cnn_finish *finish;
    float *y;
    first_tile_kernel whole, some;
    int64_t step, results, count; /* columns used of a tile, those of a whole one; rows of a chunk */
};

static cnn_status forward_chunk(void *context, int64_t chunk) {
    const struct forward_work *w = context;
    const cnn_conv2d *p = w->p;
    struct first_tile tile =
        {.c = p->c, .k = p->k, .weight = w->weight, .size = p->kh * p->kw * p->c, .finish = w->finish, .out = w->y};
    int64_t edge = p->kw / 2, end = CNN_MIN((chunk + 1) * w->count, p->n * p->oh);
    for (int64_t row = chunk * w->count; row < end; row++) {
        int64_t image = row / p->oh, top = row % p->oh * p->stride_h - p->pad_top;
        tile.rows = 0;
        for (int64_t s = 0; s < p->kh; s++) {
            int64_t y = top + s * p->dilation_h;
            if (y < 0 || y >= p->h) continue;
            tile.x[tile.rows] = w->x + (image * p->h + y) * p->w * p->c;
            tile.tap_rows[tile.rows++] = s;
        }
        for (int64_t j = 0; j < p->ow; j += w->step) {
            int64_t left = j * p->stride_w - p->pad_left, reach = (w->results - 1) * p->stride_w + p->kw;
            tile.count = CNN_MIN(w->step, p->ow - j);
            bool whole = tile.count == w->results && left >= -edge && left + reach <= p->w + edge;
            tile.valid = cnn_places_inside(left, whole ? reach : (RESULTS - 1) * p->stride_w + p->kw, p->w);
            tile.left = left * p->c;
            tile.at = (row * p->ow + j) * p->k;
            (whole ? w->whole : w->some)(&tile);
        }
    }
    return CNN_OK;
}

static const cnn_finish nothing = {.activation = CNN_IDENTITY};

static cnn_status forward(const cnn_conv2d *p, const float *x, const float *weight, const float *packed,
                          const cnn_finish *finish, float *y, float *workspace) {
    (void)weight, (void)workspace;
    const first_tile_kernel *tiles = kernels_for(p)->tiles[shape_of(p)];
    struct forward_work work =
        {.p = p, .x = x, .weight = packed, .finish = finish ? finish : &nothing, .y = y, .some = tiles[0]};
    work.step = cnn_ceil_div(p->ow, cnn_ceil_div(p->ow, RESULTS));
    work.results = work.step == 7 ? 7 : RESULTS;
    work.whole = tiles[work.step == 7 ? 1 : 2];
    work.count = CNN_MAX(1, CHUNK_FLOATS / (p->ow * p->k));
    return cnn_parallel(forward_chunk, &work, cnn_ceil_div(p->n * p->oh, work.count));
}

/* ---- backward-weights ---- */

struct weights_work {
    const cnn_conv2d *p;
    const struct conv_view *view;
    const struct first_kernels *kernels;
    first_weights_kernel kernel;
    const float *x, *dy;
    float *partial, *dweight, *dbias;     /* partial: [ranges][vectors][c * taps + 1][lanes], the last the bias */
    int64_t vectors, size, count, ranges; /* size: floats of a vector; count: rows of dy of a range */
};

static cnn_status weights_chunk(void *context, int64_t range) {
    const struct weights_work *w = context;
    const cnn_conv2d *p = w->p;
    int64_t lanes = w->kernels->lanes, taps = p->kh * p->kw, end = CNN_MIN((range + 1) * w->count, p->n * p->oh);
    int64_t sweep = CNN_MAX(1, SWEEP_FLOATS / (p->ow * p->k));
    float *partial = w->partial + range * w->vectors * w->size;
    memset(partial, 0, (size_t)(w->vectors * w->size) * sizeof *partial);
    for (int64_t row = range * w->count; row < end; row += sweep) {
        int64_t rows = CNN_MIN(sweep, end - row);
        for (int64_t vector = 0; vector < w->vectors; vector++) {
            const float *dy = w->dy + vector_start(vector, lanes, p->k);
            float *sums = partial + vector * w->size;
            for (int64_t c = 0; c < p->c; c++, sums += taps * lanes)
                w->kernel(w->view, w->x + c, dy, p->k, row, rows, sums);
            if (w->dbias) w->kernels->bias(dy + row * p->ow * p->k, p->k, rows * p->ow, sums);
        }
    }
    return CNN_OK;
}

/* Adds up the ranges, in order, and puts the sums where they belong. */
static cnn_status sum_chunk(void *context, int64_t vector) {
    const struct weights_work *w = context;
    const cnn_conv2d *p = w->p;
    int64_t lanes = w->kernels->lanes, depth = p->c * p->kh * p->kw, start = vector_start(vector, lanes, p->k);
    float *sums = w->partial + vector * w->size;
    for (int64_t range = 1; range < w->ranges; range++) {
        const float *part = sums + range * w->vectors * w->size;
        for (int64_t i = 0; i < w->size; i++) sums[i] += part[i];
    }
    for (int64_t k = vector * lanes; k < CNN_MIN((vector + 1) * lanes, p->k); k++) {
        for (int64_t i = 0; i < depth; i++) w->dweight[k * depth + i] = sums[i * lanes + k - start];
        if (w->dbias) w->dbias[k] = sums[depth * lanes + k - start];
    }
    return CNN_OK;
}

static int64_t weights_ranges(const cnn_conv2d *p) {
    return CNN_MAX(1, CNN_MIN(CNN_MIN(RANGES, p->n * p->oh), p->n * p->oh * p->ow / RANGE_PIXELS));
}

static cnn_status backward_weights(const cnn_conv2d *p, const float *x, const float *dy, float *dweight, float *dbias,
                                   float *workspace) {
    struct conv_view view = cnn_conv_forward_view(p);
    const struct first_kernels *kernels = kernels_for(p);
    struct weights_work work = {.p = p,
                                .view = &view,
                                .kernels = kernels,
                                .kernel = kernels->weights[shape_of(p)],
                                .x = x,
                                .dy = dy,
                                .partial = workspace,
                                .dweight = dweight,
                                .dbias = dbias,
                                .vectors = cnn_ceil_div(p->k, kernels->lanes),
                                .size = (p->c * p->kh * p->kw + 1) * kernels->lanes};
    work.count = cnn_ceil_div(p->n * p->oh, weights_ranges(p));
    work.ranges = cnn_ceil_div(p->n * p->oh, work.count);
    cnn_status status = cnn_parallel(weights_chunk, &work, work.ranges);
    if (status != CNN_OK) return status;
    return cnn_parallel(sum_chunk, &work, work.vectors);
}

static int64_t workspace_size(const cnn_conv2d *p, int pass) {
    if (pass == CNN_FORWARD) return 0;
    return weights_ranges(p) * (p->c * p->kh * p->kw + 1) * cnn_round_up(p->k, WIDEST);
}

const struct conv_family cnn_first = {.suits = suits,
                                      .workspace = workspace_size,
                                      .packed = packed_size,
                                      .pack = pack,
                                      .forward = forward,
                                      .backward_weights = backward_weights};
