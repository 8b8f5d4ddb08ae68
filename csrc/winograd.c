/* Winograd convolutions: 3 x 3, stride 1, dilation 1, one group. This file says which of them
 * pay, and holds the packing of weights, forward and backward-data, which is forward over dy with turned weights.
 * winograd_weights.c is backward-weights, winograd.h the map.
 *
 * Forward takes tiles of 4 x 4 results, whose transformed pixels V are multiplied with a panel of transformed weights U
 * after the other; each product M is turned into results while it is in L2. Where the weights are small against the
 * pixels, a chunk takes a block of tiles all the way and its V stays in L2, too. Otherwise V is made first, for as many
 * tiles as the outer caches hold, and a chunk owns a panel. U is four times the weights' size: plan.py decides how long
 * it is kept. */
#include "winograd.h"

/* ---- which convolutions, which way ---- */

#define FEWEST_CHANNELS 16              /* fewer leave vectors half empty, and err more */
#define FEWEST_PIXELS 64                /* to sum up for a weight: in short sums transforms' errors show */
#define TRANSFORM 12                    /* cycles a channel of a tile */
#define BLOCK_FLOATS 131072             /* V and M of a block of tiles: half of the smallest L2 … */
#define BLOCK_TILES 96                  /* … but no more tiles */
#define BLOCK_FEWEST 24                 /* … and no fewer */
#define ROUND_FLOATS ((int64_t)5 << 19) /* V of a round: 10 MiB of outer cache */
#define CHUNK_PRODUCTS (1 << 22)        /* multiply-adds that are worth a chunk of their own */

/* In cycles of a core with 16 multiply-adds a cycle: products, and transforms of what is read and written. A tile's
 * results outside the image are computed for nothing. */
bool cnn_winograd_suits(const cnn_conv2d *p, int pass) {
    if (p->exact) return false;
    if (p->kh != 3 || p->kw != 3 || p->stride_h != 1 || p->stride_w != 1 || p->dilation_h != 1 || p->dilation_w != 1)
        return false;
    if (p->groups != 1 || CNN_MIN(p->c, p->k) < FEWEST_CHANNELS) return false;
    if (pass == CNN_BACKWARD_WEIGHTS && (double)p->n * (double)p->oh * (double)p->ow < FEWEST_PIXELS) return false;
    double rows = (double)(pass == CNN_BACKWARD_DATA ? p->h : p->oh), c = (double)p->c, k = (double)p->k;
    double columns = (double)(pass == CNN_BACKWARD_DATA ? p->w : p->ow);
    double tiles = ceil(rows / WINOGRAD_TILE) * ceil(columns / WINOGRAD_TILE);
    return tiles * (WINOGRAD_FREQUENCIES * c * k / 16 + TRANSFORM * (c + k)) < rows * columns * 9 * c * k / 16;
}

/* A pass over a view: what it reads and where its weights are. */
struct product_work {
    struct conv_view view;
    struct winograd_tiles tiles;
    const struct winograd_products *products;
    const struct winograd_transforms *transforms;
    const struct winograd_inverses *inverses;
    const float *weight, *packed;
    int64_t columns, channel_step, column_step; /* of the result; in OIHW weights */
    bool flipped, half;
    const cnn_bf16_finish *finish;
    void *out;
    float *v;
    int64_t depth;                /* channels in units of 32 bits */
    int64_t first, count, step;   /* tiles of this round; V's step */
    int64_t panels, panel_floats; /* of U */
    int64_t block, parts;         /* tiles at a time; parts of a round */
};

static struct product_work over_view(const cnn_conv2d *p, int pass, bool half) {
    int64_t along_in = 9, along_out = p->c * 9;
    if (pass == CNN_FORWARD)
        return (struct product_work){.view = cnn_conv_forward_view(p),
                                     .half = half,
                                     .depth = cnn_winograd_units(p->c, half),
                                     .columns = p->k,
                                     .channel_step = along_in,
                                     .column_step = along_out};
    return (struct product_work){.view = cnn_conv_backward_view(p, 0, 0),
                                 .half = half,
                                 .depth = cnn_winograd_units(p->k, half),
                                 .columns = p->c,
                                 .channel_step = along_out,
                                 .column_step = along_in,
                                 .flipped = true};
}

/* The same with the kernels that run it. */
static struct product_work start(const cnn_conv2d *p, int pass, bool half) {
    struct product_work w = over_view(p, pass, half);
    w.products = cnn_winograd_products(half);
    w.transforms = cnn_winograd_transforms(half);
    w.inverses = cnn_winograd_inverses(half);
    w.panels = cnn_ceil_div(w.columns, w.products->panel);
    w.panel_floats = cnn_winograd_panel(w.depth, w.products->panel);
    return w;
}

/* Floats of U at most: a panel of 8 columns or more gains less than 32 floats a frequency by its odd step. */
int64_t cnn_winograd_packed(const cnn_conv2d *p, int pass, bool half) {
    int64_t channels = pass == CNN_FORWARD ? p->c : p->k, columns = pass == CNN_FORWARD ? p->k : p->c;
    return WINOGRAD_FREQUENCIES * (cnn_winograd_units(channels, half) + 4) *
           cnn_round_up(columns, WINOGRAD_WIDEST_PANEL);
}

static cnn_status pack_chunk(void *context, int64_t panel) {
    const struct product_work *w = context;
    int64_t first = panel * w->products->panel, columns = CNN_MIN(w->products->panel, w->columns - first);
    w->transforms->weights(w->weight + first * w->column_step, w->view.c, columns, w->channel_step, w->column_step,
                           w->flipped, w->v + panel * w->panel_floats);
    return CNN_OK;
}

cnn_status cnn_winograd_pack(const cnn_conv2d *p, int pass, bool half, const float *weight, float *packed) {
    struct product_work work = start(p, pass, half);
    work.weight = weight;
    work.v = packed;
    return cnn_parallel(pack_chunk, &work, work.panels);
}

static int64_t frequency_step(int64_t tiles, int64_t depth) {
    return cnn_winograd_step(cnn_round_up(tiles, WINOGRAD_WIDEST_GROUP), cnn_round_up(depth, WINOGRAD_WIDEST));
}

/* Cuts `total` evenly into pieces of at most `most` and at least `unit`, multiples of unit. */
static int64_t cut(int64_t total, int64_t most, int64_t unit) {
    return cnn_round_up(cnn_ceil_div(total, cnn_ceil_div(total, most)), unit);
}

/* ---- forward and backward-data, a block of tiles a chunk ---- */

static int64_t panel_columns(const struct product_work *w, int64_t panel) {
    return CNN_MIN(w->products->panel, w->columns - panel * w->products->panel);
}

static void finish_panel(const struct product_work *w, int64_t first, int64_t count, int64_t panel, const float *m) {
    w->inverses->output(&w->tiles, first, count, panel * w->products->panel, panel_columns(w, panel), m, w->finish,
                        w->out);
}

static int64_t product_floats(int64_t tiles) {
    return cnn_round_up(tiles, WINOGRAD_WIDEST_GROUP) * WINOGRAD_SLOTS * WINOGRAD_WIDEST_PANEL;
}

/* For the products of a block: where its results go, what is added to them, and the block that this thread mostly takes
 * next. */
static struct winograd_fetch block_fetch(const struct product_work *w, int64_t first, int64_t count) {
    const struct winograd_stream streams[] = {
        cnn_winograd_written(&w->tiles, first, count, w->finish->pooled ? NULL : w->out),
        cnn_winograd_written(&w->tiles, first, count, w->finish->gate),
        cnn_winograd_written(&w->tiles, first, count, w->finish->add),
        cnn_winograd_read(&w->tiles, first + count, w->block),
    };
    int64_t times = WINOGRAD_FREQUENCIES * w->panels * cnn_ceil_div(count, w->products->group);
    return cnn_winograd_fetch(streams, WINOGRAD_STREAMS, times);
}

static cnn_status block_chunk(void *context, int64_t chunk) {
    const struct product_work *w = context;
    int64_t first = chunk * w->block, count = CNN_MIN(w->block, w->tiles.total - first);
    int64_t step = frequency_step(count, w->depth), v_floats = step * WINOGRAD_FREQUENCIES;
    float *v = cnn_scratch((size_t)(v_floats + product_floats(count)) * sizeof *v), *m = v + v_floats;
    if (!v) return CNN_NO_MEMORY;
    struct winograd_fetch fetch = block_fetch(w, first, count);
    w->transforms->input(&w->tiles, first, count, step, v);
    struct winograd_product product =
        {.v = v, .step = step, .tiles = count, .depth = w->depth, .fetch = &fetch, .m = m};
    for (int64_t panel = 0; panel < w->panels; panel++) {
        product.u = w->packed + panel * w->panel_floats;
        product.columns = panel_columns(w, panel);
        w->products->forward(&product);
        finish_panel(w, first, count, panel, m);
    }
    return CNN_OK;
}

static int64_t block_tiles(int64_t total, int64_t depth) {
    int64_t each = WINOGRAD_FREQUENCIES * depth + WINOGRAD_SLOTS * WINOGRAD_WIDEST_PANEL;
    int64_t most = CNN_MAX(BLOCK_FEWEST, CNN_MIN(BLOCK_TILES, BLOCK_FLOATS / each));
    return cut(total, most / BLOCK_FEWEST * BLOCK_FEWEST, 12);
}

/* ---- … or a panel a chunk, V first ---- */

static cnn_status input_chunk(void *context, int64_t chunk) {
    const struct product_work *w = context;
    int64_t at = chunk * WINOGRAD_WIDEST_GROUP, count = CNN_MIN(WINOGRAD_WIDEST_GROUP, w->count - at);
    w->transforms->input(&w->tiles, w->first + at, count, w->step,
                         w->v + at * cnn_round_up(w->depth, w->products->lanes));
    return CNN_OK;
}

static cnn_status panel_chunk(void *context, int64_t chunk) {
    const struct product_work *w = context;
    int64_t panel = chunk / w->parts, each = cnn_round_up(cnn_ceil_div(w->count, w->parts), WINOGRAD_WIDEST_GROUP);
    int64_t from = chunk % w->parts * each, to = CNN_MIN(from + each, w->count);
    float *m = cnn_scratch((size_t)product_floats(w->block) * sizeof *m);
    struct winograd_fetch nothing_ahead = {.each = 0};
    if (!m) return CNN_NO_MEMORY;
    struct winograd_product product = {.u = w->packed + panel * w->panel_floats,
                                       .step = w->step,
                                       .depth = w->depth,
                                       .columns = panel_columns(w, panel),
                                       .fetch = &nothing_ahead,
                                       .m = m};
    for (; from < to; from += w->block) {
        product.tiles = CNN_MIN(w->block, to - from);
        product.v = w->v + from * cnn_round_up(w->depth, w->products->lanes);
        w->products->forward(&product);
        finish_panel(w, w->first + from, product.tiles, panel, m);
    }
    return CNN_OK;
}

static int64_t round_tiles(int64_t total, int64_t depth) {
    int64_t most = ROUND_FLOATS / (WINOGRAD_FREQUENCIES * cnn_round_up(depth, WINOGRAD_WIDEST));
    return cut(total, CNN_MAX(most / BLOCK_TILES, 1) * BLOCK_TILES, WINOGRAD_WIDEST_GROUP);
}

static cnn_status by_panels(struct product_work *w) {
    int64_t round = round_tiles(w->tiles.total, w->depth);
    w->step = frequency_step(round, w->depth);
    w->block = cut(round, BLOCK_TILES, WINOGRAD_WIDEST_GROUP);
    for (w->first = 0; w->first < w->tiles.total; w->first += round) {
        w->count = CNN_MIN(round, w->tiles.total - w->first);
        int64_t groups = cnn_ceil_div(w->count, WINOGRAD_WIDEST_GROUP);
        w->parts = CNN_MIN(cnn_ceil_div(WINOGRAD_CHUNKS, w->panels), groups);
        cnn_status status = cnn_parallel(input_chunk, w, groups);
        if (status == CNN_OK) status = cnn_parallel(panel_chunk, w, w->panels * w->parts);
        if (status != CNN_OK) return status;
    }
    return CNN_OK;
}

/* Whether panels are shared out instead of tiles: an image or few give too few blocks. */
static bool panels_shared(const struct product_work *w) {
    struct winograd_tiles t;
    cnn_winograd_count(&w->view, WINOGRAD_TILE, &t);
    double products = (double)t.total * WINOGRAD_FREQUENCIES * (double)w->depth * (double)w->columns;
    return products >= 2 * CHUNK_PRODUCTS && w->columns > WINOGRAD_WIDEST_PANEL &&
           cnn_ceil_div(t.total, block_tiles(t.total, w->depth)) < WINOGRAD_CHUNKS / 2;
}

static const cnn_bf16_finish nothing = {.activation = CNN_IDENTITY};

cnn_status cnn_winograd_map(const cnn_conv2d *p, int pass, bool half, const void *source, const float *packed,
                            const cnn_bf16_finish *finish, void *out, float *workspace) {
    struct product_work w = start(p, pass, half);
    w.packed = packed;
    w.finish = finish ? finish : &nothing;
    w.out = out;
    w.tiles = cnn_winograd_tiles(&w.view, WINOGRAD_TILE, half, source, workspace);
    w.v = workspace + cnn_winograd_pixels(&w.view);
    if (panels_shared(&w)) return by_panels(&w);
    w.block = block_tiles(w.tiles.total, w.depth);
    return cnn_parallel(block_chunk, &w, cnn_ceil_div(w.tiles.total, w.block));
}

int64_t cnn_winograd_workspace(const cnn_conv2d *p, int pass, bool half) {
    if (pass == CNN_BACKWARD_WEIGHTS) return cnn_winograd_weights_workspace(p, half);
    struct product_work w = over_view(p, pass, half);
    int64_t floats = cnn_winograd_pixels(&w.view);
    if (!panels_shared(&w)) return floats;
    cnn_winograd_count(&w.view, WINOGRAD_TILE, &w.tiles);
    return floats + WINOGRAD_FREQUENCIES * frequency_step(round_tiles(w.tiles.total, w.depth), w.depth);
}

/* ---- the family ---- */

static int64_t workspace_size(const cnn_conv2d *p, int pass) { return cnn_winograd_workspace(p, pass, false); }
static int64_t packed_size(const cnn_conv2d *p, int pass) { return cnn_winograd_packed(p, pass, false); }

static cnn_status pack(const cnn_conv2d *p, int pass, const float *weight, float *packed) {
    return cnn_winograd_pack(p, pass, false, weight, packed);
}

static cnn_status map(const cnn_conv2d *p, int pass, const float *source, const float *packed, const cnn_finish *finish,
                      float *out, float *workspace) {
    const cnn_finish *f = finish;
    cnn_bf16_finish same;
    if (f) same = (cnn_bf16_finish){f->bias, f->add, f->activation, f->gate, f->pooled, f->taps};
    return cnn_winograd_map(p, pass, false, source, packed, f ? &same : NULL, out, workspace);
}

static cnn_status forward(const cnn_conv2d *p, const float *x, const float *weight, const float *packed,
                          const cnn_finish *finish, float *y, float *workspace) {
    (void)weight;
    return map(p, CNN_FORWARD, x, packed, finish, y, workspace);
}

static cnn_status backward_data(const cnn_conv2d *p, const float *dy, const float *weight, const float *packed,
                                const cnn_finish *finish, float *dx, float *workspace) {
    (void)weight;
    return map(p, CNN_BACKWARD_DATA, dy, packed, finish, dx, workspace);
}

static cnn_status backward_weights(const cnn_conv2d *p, const float *x, const float *dy, float *dweight, float *dbias,
                                   float *workspace) {
    return cnn_winograd_weights(p, false, x, dy, dweight, dbias, workspace);
}

const struct conv_family cnn_winograd = {.suits = cnn_winograd_suits,
                                         .workspace = workspace_size,
                                         .packed = packed_size,
                                         .pack = pack,
                                         .forward = forward,
                                         .backward_data = backward_data,
                                         .backward_weights = backward_weights,
                                         .pools = true};
