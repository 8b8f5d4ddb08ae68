/* Winograd's F(7 x 7, 3 x 3), for inference: which convolutions take it, the packing of weights, and how the work is
 * cut. winograd_wide.h says what it is and how its data lie in memory; winograd.c is F(4 x 4), which training takes.
 *
 * Where there are many blocks of tiles, a chunk takes one of them all the way and its transformed pixels V stay in L2.
 * Otherwise V is made first, for as many tiles as the outer caches hold, and a chunk owns a panel of weights. */
#include "winograd_wide.h"

/* ---- which convolutions ---- */

#define TRANSFORM 60                    /* cycles a channel of a tile; winograd.c has F(4 x 4)'s */
#define NARROW_TRANSFORM 12             /* … which is this */
#define BLOCK_TILES 48                  /* a chunk */
#define PANEL_TILES 96                  /* at a time, where a chunk owns a panel */
#define ROUND_FLOATS ((int64_t)5 << 19) /* V of a round: 10 MiB of outer cache */

static double tiles_of(const cnn_conv2d *p, int64_t side) {
    return (double)(cnn_ceil_div(p->oh, side) * cnn_ceil_div(p->ow, side));
}

/* Where F(4 x 4) pays, and this more: in cycles as in winograd.c. */
static bool suits(const cnn_conv2d *p, int pass) {
    if (!p->inference || pass != CNN_FORWARD || !cnn_winograd_suits(p, pass)) return false;
    double products = (double)p->c * (double)p->k / 16, channels = (double)(p->c + p->k);
    double wide = tiles_of(p, WIDE_TILE) * (WIDE_FREQUENCIES * products + TRANSFORM * channels);
    return wide < tiles_of(p, WINOGRAD_TILE) * (WINOGRAD_FREQUENCIES * products + NARROW_TRANSFORM * channels);
}

/* ---- the work ---- */

struct wide_work {
    struct conv_view view;
    struct winograd_tiles tiles;
    const struct winograd_wide_transforms *transforms;
    const struct winograd_wide_products *products;
    const float *weight, *packed;
    float *to; /* packed, while it is made */
    int64_t columns, panels, panel_floats;
    const cnn_bf16_finish *finish;
    float *out, *v;
    int64_t first, count, step; /* tiles of this round; V's step */
    int64_t block, parts;       /* tiles at a time; parts of a round */
};

static struct wide_work sized(const cnn_conv2d *p) {
    struct wide_work w = {.view = cnn_conv_forward_view(p), .columns = p->k};
    return w;
}

static struct wide_work start(const cnn_conv2d *p) {
    struct wide_work w = sized(p);
    w.transforms = cnn_winograd_wide_transforms();
    w.products = cnn_winograd_wide_products();
    w.panels = cnn_ceil_div(w.columns, w.products->panel);
    w.panel_floats = 27 * p->c * w.products->panel;
    return w;
}

static int64_t panel_columns(const struct wide_work *w, int64_t panel) {
    return CNN_MIN(w->products->panel, w->columns - panel * w->products->panel);
}

static int64_t packed_size(const cnn_conv2d *p, int pass) {
    (void)pass;
    return 27 * p->c * cnn_round_up(p->k, WINOGRAD_WIDEST_PANEL);
}

static cnn_status pack_chunk(void *context, int64_t panel) {
    const struct wide_work *w = context;
    w->transforms->weights(w->weight + panel * w->products->panel * w->view.c * 9, w->view.c, panel_columns(w, panel),
                           w->to + panel * w->panel_floats);
    return CNN_OK;
}

static cnn_status pack(const cnn_conv2d *p, int pass, const float *weight, float *packed) {
    (void)pass;
    struct wide_work w = start(p);
    w.weight = weight;
    w.to = packed;
    return cnn_parallel(pack_chunk, &w, w.panels);
}

static int64_t frequency_step(int64_t tiles, int64_t channels) {
    return cnn_winograd_step(cnn_round_up(tiles, WINOGRAD_WIDEST_GROUP), cnn_round_up(channels, WINOGRAD_WIDEST));
}

/* Cuts `total` evenly into pieces of at most `most`, multiples of a group. */
static int64_t cut(int64_t total, int64_t most) {
    return cnn_round_up(cnn_ceil_div(total, cnn_ceil_div(total, most)), WINOGRAD_WIDEST_GROUP / 2);
}

static int64_t product_floats(int64_t tiles) {
    return WIDE_ROOM + cnn_round_up(tiles, WINOGRAD_WIDEST_GROUP) * WIDE_FREQUENCIES * WINOGRAD_WIDEST_PANEL;
}

/* Products with one panel, and their results: of tiles from `first` on, whose V is at v. */
static void panel_results(const struct wide_work *w, int64_t first, int64_t tiles, const float *v, int64_t step,
                          int64_t panel, struct winograd_fetch *fetch, float *room) {
    struct winograd_wide_product product = {.v = v,
                                            .h = w->packed + panel * w->panel_floats,
                                            .step = step,
                                            .tiles = tiles,
                                            .channels = w->view.c,
                                            .columns = panel_columns(w, panel),
                                            .fetch = fetch,
                                            .room = room,
                                            .m = room + WIDE_ROOM};
    w->products->forward(&product);
    w->transforms->output(&w->tiles, first, tiles, panel * w->products->panel, product.columns, product.m, w->finish,
                          w->out);
}

/* ---- a block of tiles a chunk ---- */

/* As in winograd.c: where results go, what is added to them, and the block that this thread mostly takes next. */
static struct winograd_fetch block_fetch(const struct wide_work *w, int64_t first, int64_t count) {
    const struct winograd_stream streams[] = {
        cnn_winograd_written(&w->tiles, first, count, w->out),
        cnn_winograd_written(&w->tiles, first, count, w->finish->add),
        cnn_winograd_read(&w->tiles, first + count, w->block),
    };
    return cnn_winograd_fetch(streams, 3, WIDE_FREQUENCIES * w->panels * cnn_ceil_div(w->view.c, w->products->depth));
}

static cnn_status block_chunk(void *context, int64_t chunk) {
    const struct wide_work *w = context;
    int64_t first = chunk * w->block, count = CNN_MIN(w->block, w->tiles.total - first);
    int64_t step = frequency_step(count, w->view.c), v_floats = step * WIDE_FREQUENCIES;
    float *room = cnn_scratch((size_t)(product_floats(count) + v_floats) * sizeof *room);
    if (!room) return CNN_NO_MEMORY;
    float *v = room + product_floats(count);
    w->transforms->input(&w->tiles, first, count, step, v);
    struct winograd_fetch fetch = block_fetch(w, first, count);
    for (int64_t panel = 0; panel < w->panels; panel++) panel_results(w, first, count, v, step, panel, &fetch, room);
    return CNN_OK;
}

/* ---- … or a panel a chunk, V first ---- */

static cnn_status input_chunk(void *context, int64_t chunk) {
    const struct wide_work *w = context;
    int64_t at = chunk * WINOGRAD_WIDEST_GROUP, count = CNN_MIN(WINOGRAD_WIDEST_GROUP, w->count - at);
    w->transforms->input(&w->tiles, w->first + at, count, w->step,
                         w->v + at * cnn_round_up(w->view.c, w->products->lanes));
    return CNN_OK;
}

static cnn_status panel_chunk(void *context, int64_t chunk) {
    const struct wide_work *w = context;
    int64_t each = cnn_round_up(cnn_ceil_div(w->count, w->parts), WINOGRAD_WIDEST_GROUP);
    int64_t from = chunk % w->parts * each, to = CNN_MIN(from + each, w->count);
    float *room = cnn_scratch((size_t)product_floats(w->block) * sizeof *room);
    if (!room) return CNN_NO_MEMORY;
    struct winograd_fetch nothing_ahead = {.each = 0};
    for (; from < to; from += w->block)
        panel_results(w, w->first + from, CNN_MIN(w->block, to - from),
                      w->v + from * cnn_round_up(w->view.c, w->products->lanes), w->step, chunk / w->parts,
                      &nothing_ahead, room);
    return CNN_OK;
}

static int64_t round_tiles(const struct wide_work *w) {
    int64_t most = ROUND_FLOATS / (WIDE_FREQUENCIES * cnn_round_up(w->view.c, WINOGRAD_WIDEST));
    most = CNN_MAX(most / PANEL_TILES, 1) * PANEL_TILES;
    return cnn_round_up(cnn_ceil_div(w->tiles.total, cnn_ceil_div(w->tiles.total, most)), WINOGRAD_WIDEST_GROUP);
}

static cnn_status by_panels(struct wide_work *w) {
    int64_t round = round_tiles(w);
    w->step = frequency_step(round, w->view.c);
    w->block = cnn_round_up(cut(round, PANEL_TILES), WINOGRAD_WIDEST_GROUP);
    for (w->first = 0; w->first < w->tiles.total; w->first += round) {
        w->count = CNN_MIN(round, w->tiles.total - w->first);
        int64_t groups = cnn_ceil_div(w->count, WINOGRAD_WIDEST_GROUP);
        w->parts = CNN_MIN(cnn_ceil_div(WINOGRAD_CHUNKS, w->panels), cnn_ceil_div(w->count, w->block));
        cnn_status status = cnn_parallel(input_chunk, w, groups);
        if (status == CNN_OK) status = cnn_parallel(panel_chunk, w, w->panels * w->parts);
        if (status != CNN_OK) return status;
    }
    return CNN_OK;
}

/* Whether panels are shared out instead of tiles: an image or few give too few blocks. */
static bool panels_shared(const struct wide_work *w) {
    return w->columns > WINOGRAD_WIDEST_PANEL && cnn_ceil_div(w->tiles.total, BLOCK_TILES) < WINOGRAD_CHUNKS / 2;
}

/* ---- the family ---- */

static int64_t workspace_size(const cnn_conv2d *p, int pass) {
    (void)pass;
    struct wide_work w = sized(p);
    int64_t floats = cnn_winograd_pixels(&w.view);
    cnn_winograd_count(&w.view, WIDE_TILE, &w.tiles);
    return panels_shared(&w) ? floats + WIDE_FREQUENCIES * frequency_step(round_tiles(&w), p->c) : floats;
}

static cnn_status forward(const cnn_conv2d *p, const float *x, const float *weight, const float *packed,
                          const cnn_finish *finish, float *y, float *workspace) {
    (void)weight;
    cnn_bf16_finish same = {.activation = CNN_IDENTITY};
    if (finish) same = (cnn_bf16_finish){finish->bias, finish->add, finish->activation, finish->gate, 0, NULL};
    struct wide_work w = start(p);
    w.packed = packed;
    w.finish = &same;
    w.out = y;
    w.tiles = cnn_winograd_tiles(&w.view, WIDE_TILE, false, x, workspace);
    w.v = workspace + cnn_winograd_pixels(&w.view);
    if (panels_shared(&w)) return by_panels(&w);
    w.block = cut(w.tiles.total, BLOCK_TILES);
    return cnn_parallel(block_chunk, &w, cnn_ceil_div(w.tiles.total, w.block));
}

const struct conv_family cnn_winograd_wide = {
    .suits = suits, .workspace = workspace_size, .packed = packed_size, .pack = pack, .forward = forward};
