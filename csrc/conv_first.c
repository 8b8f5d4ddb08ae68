/* Convolutions of images: few input channels, where products of matrices would spend their time gathering. Vectors
 * run over output channels, and each value of the image is spread over one and multiplied with all taps of a row that
 * meet it. Backward-weights are in conv_first_weights.c. Nothing before a first layer wants a gradient, so backward-data
 * stays with conv_dense.c. */
#include "conv_first.h"

static const struct first_kernels *const tables[] = CNN_TABLES(cnn_first_kernels);

#define MOST_CHANNELS 4
#define CHUNK_FLOATS 8192 /* results that are worth a chunk */

static bool suits(const cnn_conv2d *p, int pass) {
    return pass != CNN_BACKWARD_DATA && p->groups == 1 && p->c <= MOST_CHANNELS && p->kh <= MOST_ROWS &&
           p->dilation_w == 1 && first_shape(p) < SHAPES;
}

static int64_t packed_size(const cnn_conv2d *p, int pass) {
    (void)pass;
    return p->kh * p->kw * p->c * cnn_round_up(p->k, WIDEST);
}

/* OIHW -> [vectors of k][tap row][c][tap][lanes], zeros where there is no channel. */
static cnn_status pack(const cnn_conv2d *p, int pass, const float *weight, float *packed) {
    (void)pass;
    int64_t lanes = tables[first_table(p)]->lanes, window = p->kh * p->kw, vectors = cnn_ceil_div(p->k, lanes);
    for (int64_t vector = 0; vector < vectors; vector++) {
        int64_t start = first_vector(vector, lanes, p->k);
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
    const first_tile_kernel *tiles = tables[first_table(p)]->tiles[first_shape(p)];
    struct forward_work work =
        {.p = p, .x = x, .weight = packed, .finish = finish ? finish : &nothing, .y = y, .some = tiles[0]};
    work.step = cnn_ceil_div(p->ow, cnn_ceil_div(p->ow, RESULTS));
    work.results = work.step == 7 ? 7 : RESULTS;
    work.whole = tiles[work.step == 7 ? 1 : 2];
    work.count = CNN_MAX(1, CHUNK_FLOATS / (p->ow * p->k));
    return cnn_parallel(forward_chunk, &work, cnn_ceil_div(p->n * p->oh, work.count));
}

static int64_t workspace_size(const cnn_conv2d *p, int pass) {
    return pass == CNN_FORWARD ? 0 : cnn_first_weights_workspace(p);
}

const struct conv_family cnn_first = {.suits = suits,
                                      .workspace = workspace_size,
                                      .packed = packed_size,
                                      .pack = pack,
                                      .forward = forward,
                                      .backward_weights = cnn_first_backward_weights};
