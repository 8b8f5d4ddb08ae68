/* Backward-weights by Winograd's way: the gradient of 3 x 3 weights is F(3 x 3, 4 x 4) of x and dy, with the same
 * transformed x as forward. Called through winograd.c; winograd.h is the map.
 *
 * dU [frequency][channel][column] is a sum over all tiles. Where it is small, a chunk takes a range of tiles, keeps its
 * own dU in cache and turns it into gradients at the end; those of all chunks are added in chunk order. Where it is
 * large, V and W of a round of tiles are made first, and then each chunk owns a block of dU. */
#include "winograd.h"

#define LARGEST_OWN 160000     /* floats of dU that a chunk may keep: more than half of the smallest L2 … */
#define BLOCK_FLOATS 98304     /* … beside V and W of a block of tiles */
#define BLOCK_TILES 96         /* … at most */
#define BLOCK_FEWEST 24        /* … and at least */
#define RANGE_TILES 96         /* tiles that are worth partial sums of their own */
#define ROUND_FLOATS (5 << 19) /* V and W of a round: 10 MiB of outer cache */
#define ROUND_CHANNELS 96      /* channels of dU that a chunk owns: a multiple of every band */
#define TRANSFORM_TILES 24     /* a chunk */
#define FOLD_CHANNELS 16       /* whose gradients are laid out as OIHW at a time, in L1 */

struct weights_work {
    struct conv_view x_view, dy_view;
    struct winograd_tiles x_tiles, dy_tiles;
    const struct winograd_products *products;
    const struct winograd_transforms *transforms;
    const struct winograd_inverses *inverses;
    bool half;
    int64_t c, k, panels, whole_k; /* whole_k: in widest panels */
    int64_t range, ranges, block;  /* tiles of a chunk, chunks, tiles at a time */
    float *partial;                /* [range][panel][c][9][column], and then [range][column]: sums of dy */
    int64_t partial_floats;        /* of one range, its sums included */
    float *v, *w, *sums;           /* of a round */
    int64_t first, count, places, v_step, w_step;
    float *dweight, *dbias;
};

static bool keeps_own(int64_t c, int64_t whole_k) { return c * whole_k * WINOGRAD_SLOTS <= LARGEST_OWN * 2; }

/* Over bfloat16, products take tiles in pairs. */
static int64_t tiles_of_unit(const struct weights_work *w) { return w->half ? 2 : 1; }

static int64_t panel_columns(const struct weights_work *w, int64_t panel) {
    return CNN_MIN(w->products->panel, w->k - panel * w->products->panel);
}

/* The gradients of a range, from panel `panel` on. */
static float *gradients(const struct weights_work *w, int64_t range, int64_t panel) {
    return w->partial + range * w->partial_floats + panel * w->products->panel * w->c * 9;
}

static float *range_sums(const struct weights_work *w, int64_t range) {
    return w->partial + (range + 1) * w->partial_floats - w->whole_k;
}

/* ---- small dU: a range of tiles a chunk ---- */

static int64_t range_count(int64_t tiles) { return CNN_MAX(1, CNN_MIN(WINOGRAD_CHUNKS, tiles / RANGE_TILES)); }

/* Floats of a frequency of V or W of so many tiles. */
static int64_t v_floats(const struct weights_work *w, int64_t tiles) {
    return cnn_winograd_step(cnn_winograd_units(tiles, w->half), cnn_round_up(w->c, WINOGRAD_WIDEST));
}
static int64_t w_floats(const struct weights_work *w, int64_t tiles) {
    return cnn_winograd_step(cnn_winograd_units(tiles, w->half), w->whole_k);
}

/* One block of tiles onto dU. */
static void add_block(const struct weights_work *w, int64_t first, int64_t count, bool accumulate, float *v, float *du,
                      float *sums) {
    int64_t v_step = v_floats(w, count), w_step = w_floats(w, count), places = cnn_winograd_units(count, w->half);
    float *transformed = v + WINOGRAD_FREQUENCIES * v_step;
    const struct winograd_stream next[] = {cnn_winograd_read(&w->x_tiles, first + count, w->block),
                                           cnn_winograd_read(&w->dy_tiles, first + count, w->block)};
    int64_t times = WINOGRAD_FREQUENCIES * w->panels * cnn_ceil_div(w->c, w->products->band);
    struct winograd_fetch fetch = cnn_winograd_fetch(next, 2, times);
    w->transforms->input_columns(&w->x_tiles, (struct winograd_places){first, count, 0, places, v_step}, v);
    w->transforms->gradient(&w->dy_tiles, (struct winograd_places){first, count, 0, places, w_step}, transformed, sums);
    struct winograd_outer outer = {.v = v,
                                   .v_step = v_step,
                                   .w_step = w_step,
                                   .places = places,
                                   .channels = w->c,
                                   .count = w->c,
                                   .accumulate = accumulate,
                                   .fetch = &fetch};
    for (int64_t panel = 0; panel < w->panels; panel++) {
        int64_t column = panel * w->products->panel;
        outer.w = transformed + column * places;
        outer.columns = panel_columns(w, panel);
        outer.du = du + column * w->c * WINOGRAD_SLOTS;
        w->products->outer(&outer);
    }
}

static cnn_status range_chunk(void *context, int64_t chunk) {
    const struct weights_work *w = context;
    int64_t from = chunk * w->range, to = CNN_MIN(from + w->range, w->x_tiles.total);
    int64_t transformed = WINOGRAD_FREQUENCIES * (v_floats(w, w->block) + w_floats(w, w->block));
    float *v = cnn_scratch((size_t)(transformed + w->c * w->whole_k * WINOGRAD_SLOTS) * sizeof *v);
    float *du = v + transformed;
    if (!v) return CNN_NO_MEMORY;
    float *sums = w->dbias ? range_sums(w, chunk) : NULL;
    if (sums) memset(sums, 0, (size_t)w->whole_k * sizeof *sums);
    for (int64_t first = from; first < to; first += w->block)
        add_block(w, first, CNN_MIN(w->block, to - first), first > from, v, du, sums);
    for (int64_t panel = 0; panel < w->panels; panel++)
        w->inverses->gradients(du + panel * w->products->panel * w->c * WINOGRAD_SLOTS, w->c, panel_columns(w, panel),
                               false, gradients(w, chunk, panel));
    return CNN_OK;
}

static cnn_status by_ranges(struct weights_work *w) {
    int64_t each = WINOGRAD_FREQUENCIES * (w->c + w->k), unit = tiles_of_unit(w);
    int64_t most = unit * CNN_MAX(BLOCK_FEWEST, CNN_MIN(BLOCK_TILES, BLOCK_FLOATS / each));
    w->range = cnn_round_up(cnn_ceil_div(w->x_tiles.total, range_count(w->x_tiles.total)), unit);
    w->ranges = cnn_ceil_div(w->x_tiles.total, w->range);
    w->block = cnn_round_up(cnn_ceil_div(w->range, cnn_ceil_div(w->range, most)), unit);
    return cnn_parallel(range_chunk, w, w->ranges);
}

/* ---- large dU: V and W first, then a block of dU a chunk ---- */

static cnn_status transform_chunk(void *context, int64_t chunk) {
    const struct weights_work *w = context;
    int64_t at = chunk * TRANSFORM_TILES, count = CNN_MIN(TRANSFORM_TILES, w->count - at);
    float *sums = w->dbias ? w->sums + chunk * w->whole_k : NULL;
    if (sums) memset(sums, 0, (size_t)w->whole_k * sizeof *sums);
    struct winograd_places to = {.first = w->first + at,
                                 .count = count,
                                 .at = cnn_winograd_units(at, w->half),
                                 .places = w->places};
    to.step = w->v_step;
    w->transforms->input_columns(&w->x_tiles, to, w->v);
    to.step = w->w_step;
    w->transforms->gradient(&w->dy_tiles, to, w->w, sums);
    return CNN_OK;
}

static cnn_status outer_chunk(void *context, int64_t chunk) {
    const struct weights_work *w = context;
    int64_t panel = chunk % w->panels, first = chunk / w->panels * ROUND_CHANNELS;
    int64_t count = CNN_MIN(ROUND_CHANNELS, w->c - first), columns = panel_columns(w, panel);
    int64_t width = cnn_winograd_width(w->products->panel, columns, 0);
    struct winograd_fetch nothing_ahead = {.each = 0};
    float *du = cnn_scratch((size_t)(ROUND_CHANNELS * WINOGRAD_SLOTS * WINOGRAD_WIDEST_PANEL) * sizeof *du);
    if (!du) return CNN_NO_MEMORY;
    struct winograd_outer outer = {.v = w->v,
                                   .w = w->w + panel * w->products->panel * w->places,
                                   .v_step = w->v_step,
                                   .w_step = w->w_step,
                                   .places = w->places,
                                   .channels = w->c,
                                   .first = first,
                                   .count = count,
                                   .columns = columns,
                                   .fetch = &nothing_ahead,
                                   .du = du};
    w->products->outer(&outer);
    w->inverses->gradients(du, count, columns, w->first > 0, gradients(w, 0, panel) + first * 9 * width);
    return CNN_OK;
}

static int64_t round_tiles(const struct weights_work *w) {
    int64_t total = w->x_tiles.total, each = WINOGRAD_FREQUENCIES * (cnn_round_up(w->c, WINOGRAD_WIDEST) + w->whole_k);
    int64_t most = tiles_of_unit(w) * CNN_MAX(ROUND_FLOATS / each, TRANSFORM_TILES);
    return cnn_round_up(cnn_ceil_div(total, cnn_ceil_div(total, most)), tiles_of_unit(w));
}

static cnn_status by_rounds(struct weights_work *w) {
    int64_t round = round_tiles(w);
    float *sums = range_sums(w, 0);
    w->ranges = 1;
    w->v = w->partial + w->partial_floats;
    w->v_step = v_floats(w, round);
    w->w_step = w_floats(w, round);
    w->w = w->v + WINOGRAD_FREQUENCIES * w->v_step;
    w->sums = w->w + WINOGRAD_FREQUENCIES * w->w_step;
    if (w->dbias) memset(sums, 0, (size_t)w->whole_k * sizeof *sums);
    for (w->first = 0; w->first < w->x_tiles.total; w->first += round) {
        w->count = CNN_MIN(round, w->x_tiles.total - w->first);
        w->places = cnn_winograd_units(w->count, w->half);
        int64_t chunks = cnn_ceil_div(w->count, TRANSFORM_TILES);
        cnn_status status = cnn_parallel(transform_chunk, w, chunks);
        if (status == CNN_OK) status = cnn_parallel(outer_chunk, w, w->panels * cnn_ceil_div(w->c, ROUND_CHANNELS));
        if (status != CNN_OK) return status;
        for (int64_t chunk = 0; w->dbias && chunk < chunks; chunk++)
            for (int64_t i = 0; i < w->k; i++) sums[i] += w->sums[chunk * w->whole_k + i];
    }
    return CNN_OK;
}

/* ---- the sum of all ranges, as OIHW ---- */

static void fold(const struct weights_work *w, int64_t panel, int64_t first, int64_t rows, float *room) {
    int64_t columns = panel_columns(w, panel), width = cnn_winograd_width(w->products->panel, columns, 0), row = 0;
    const float *from = gradients(w, 0, panel) + first * 9 * width, *sum = w->ranges > 1 ? room : from;
    if (w->ranges > 1) memcpy(room, from, (size_t)(rows * width) * sizeof *room);
    for (int64_t range = 1; range < w->ranges; range++) {
        from += w->partial_floats;
        for (int64_t i = 0; i < rows * width; i++) room[i] += from[i];
    }
    float *to = w->dweight + (panel * w->products->panel * w->c + first) * 9;
    for (; row + 4 <= rows; row += 4) {
        int64_t column = 0;
        for (; column + 4 <= columns; column += 4)
            cnn_transpose4(sum + row * width + column, width, to + column * w->c * 9 + row, w->c * 9);
        for (; column < columns; column++)
            for (int64_t i = row; i < row + 4; i++) to[column * w->c * 9 + i] = sum[i * width + column];
    }
    for (; row < rows; row++)
        for (int64_t column = 0; column < columns; column++) to[column * w->c * 9 + row] = sum[row * width + column];
}

static cnn_status fold_chunk(void *context, int64_t panel) {
    const struct weights_work *w = context;
    float *sum = cnn_scratch(FOLD_CHANNELS * 9 * WINOGRAD_WIDEST_PANEL * sizeof *sum);
    if (!sum) return CNN_NO_MEMORY;
    for (int64_t c = 0; c < w->c; c += FOLD_CHANNELS) fold(w, panel, c, 9 * CNN_MIN(FOLD_CHANNELS, w->c - c), sum);
    for (int64_t i = 0; w->dbias && i < panel_columns(w, panel); i++) {
        int64_t column = panel * w->products->panel + i;
        float total = range_sums(w, 0)[column];
        for (int64_t range = 1; range < w->ranges; range++) total += range_sums(w, range)[column];
        w->dbias[column] = total;
    }
    return CNN_OK;
}

/* ---- the pass ---- */

static struct weights_work prepare(const cnn_conv2d *p, bool half) {
    struct weights_work w = {.x_view = cnn_conv_forward_view(p),
                             .half = half,
                             .c = p->c,
                             .k = p->k,
                             .whole_k = cnn_round_up(p->k, WINOGRAD_WIDEST_PANEL)};
    w.dy_view = w.x_view;
    w.dy_view.h = p->oh;
    w.dy_view.w = p->ow;
    w.dy_view.c = w.dy_view.pixel = p->k;
    w.partial_floats = 9 * w.c * w.whole_k + w.whole_k;
    return w;
}

cnn_status cnn_winograd_weights(const cnn_conv2d *p, bool half, const void *x, const void *dy, float *dweight,
                                float *dbias, float *workspace) {
    struct weights_work w = prepare(p, half);
    w.products = cnn_winograd_products(half);
    w.transforms = cnn_winograd_transforms(half);
    w.inverses = cnn_winograd_inverses(half);
    w.panels = cnn_ceil_div(w.k, w.products->panel);
    w.dweight = dweight;
    w.dbias = dbias;
    w.x_tiles = cnn_winograd_tiles(&w.x_view, WINOGRAD_TILE, half, x, workspace);
    workspace += cnn_winograd_pixels(&w.x_view);
    w.dy_tiles = cnn_winograd_tiles(&w.dy_view, WINOGRAD_TILE, half, dy, workspace);
    w.partial = workspace + cnn_winograd_pixels(&w.dy_view);
    cnn_status status = keeps_own(w.c, w.whole_k) ? by_ranges(&w) : by_rounds(&w);
    return status == CNN_OK ? cnn_parallel(fold_chunk, &w, w.panels) : status;
}

int64_t cnn_winograd_weights_workspace(const cnn_conv2d *p, bool half) {
    struct weights_work w = prepare(p, half);
    int64_t pixels = cnn_winograd_pixels(&w.x_view) + cnn_winograd_pixels(&w.dy_view);
    cnn_winograd_count(&w.x_view, WINOGRAD_TILE, &w.x_tiles);
    if (keeps_own(w.c, w.whole_k)) return pixels + range_count(w.x_tiles.total) * w.partial_floats;
    int64_t round = round_tiles(&w);
    return pixels + w.partial_floats + cnn_ceil_div(round, TRANSFORM_TILES) * w.whole_k +
           WINOGRAD_FREQUENCIES * (v_floats(&w, round) + w_floats(&w, round));
}
