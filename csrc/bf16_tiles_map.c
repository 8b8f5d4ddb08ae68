/* Convolutions over bfloat16 by tiles whose result is a map: forward, and each class of pixels of backward-data. A
 * chunk copies a block of the source into the thread's scratch memory, with borders and with channels filled up to
 * whole tiles, and multiplies it by some outputs' weights. The sums of a result are of its own numbers in one order,
 * so that they depend neither on the block nor on the batch. */
#include "bf16_tiles.h"

#define CHUNKS 16     /* wanted at least, for threads to share */
#define COPIED_FOR 16 /* blocks of outputs times taps that are worth copying a block of the source again */
#define NUMBER ((int64_t)sizeof(uint16_t))

struct cut_walk {
    const struct tile_walk *walk;
    const struct tile_kernels *kernels;
    struct tile_grid grid;
    int64_t panels, span, spans; /* blocks of outputs; of a chunk; chunks of a block of results */
};

static struct cut_walk cut(const struct tile_walk *walk) {
    struct cut_walk w = {.walk = walk, .kernels = cnn_tile_kernels(), .grid = cnn_tile_grid(walk->view, CHUNKS, false)};
    w.panels = cnn_ceil_div(walk->outputs, TILE_BLOCK);
    int64_t wanted = cnn_ceil_div(CHUNKS, CNN_MIN(CHUNKS, w.grid.blocks * walk->groups));
    int64_t least = w.grid.straight ? 1 : cnn_ceil_div(COPIED_FOR, CNN_MAX(1, cnn_tile_taps(walk->view)));
    w.span = CNN_MIN(w.panels, CNN_MAX(least, cnn_ceil_div(w.panels, wanted)));
    w.spans = cnn_ceil_div(w.panels, w.span);
    return w;
}

static int64_t lines(int64_t bytes) { return cnn_round_up(bytes, CNN_LINE); }

static void multiply_straight(const struct cut_walk *w, const struct tile_part *part, const uint16_t *source,
                              struct tile_product product, uint16_t *room) {
    const struct conv_view *v = w->walk->view;
    int64_t whole = part->results / TILE_BLOCK * TILE_BLOCK, rest = part->results - whole;
    product.from = source + part->row * v->pixel;
    product.windows.step = v->pixel * NUMBER;
    product.results = whole;
    if (whole) w->kernels->multiply(&product);
    if (!rest) return;
    memset(room, 0, (size_t)(TILE_BLOCK * w->grid.depth) * sizeof *room);
    for (int64_t m = 0; m < rest; m++)
        memcpy(room + m * v->c, product.from + (whole + m) * v->pixel, (size_t)v->c * sizeof *room);
    product.from = room;
    product.windows.step = v->c * NUMBER;
    product.results = rest;
    product.where += whole;
    w->kernels->multiply(&product);
}

static void multiply_copied(const struct cut_walk *w, const struct tile_part *part, const uint16_t *source,
                            struct tile_product product, uint16_t *room) {
    const struct tile_grid *g = &w->grid;
    int64_t count = cnn_round_up(part->results, TILE_BLOCK) + g->reach;
    for (int64_t plane = 0; product.windows.taps && plane < g->planes_h * g->planes_w; plane++)
        cnn_tile_fill(g, part, source, plane, count, room + plane * g->positions * g->depth);
    product.from = room;
    product.windows.step = g->depth * NUMBER;
    product.results = part->results;
    w->kernels->multiply(&product);
}

static struct tile_finish finish_of(const struct tile_walk *w, int64_t group) {
    const cnn_bf16_finish *f = w->finish;
    int64_t first = group * w->outputs;
    struct tile_finish finish = {.activation = CNN_IDENTITY, .out = w->out + first, .outputs = w->outputs};
    if (!f) return finish;
    if (f->bias) finish.bias = f->bias + first;
    if (f->add) finish.add = (const uint16_t *)f->add + first;
    if (f->gate) finish.gate = (const uint16_t *)f->gate + first;
    finish.activation = f->activation;
    return finish;
}

static cnn_status walk_chunk(void *context, int64_t chunk) {
    const struct cut_walk *w = context;
    const struct tile_walk *walk = w->walk;
    const struct tile_grid *g = &w->grid;
    int64_t span = chunk % w->spans, block = chunk / w->spans % g->blocks, group = chunk / w->spans / g->blocks;
    struct tile_part part = cnn_tile_part(g, block);
    int64_t taps = cnn_tile_taps(walk->view), count = cnn_round_up(part.results, TILE_BLOCK);
    int64_t list = lines((taps + count) * (int64_t)sizeof(int64_t));
    char *memory = cnn_scratch((size_t)(list + g->planes_h * g->planes_w * g->positions * g->depth * NUMBER));
    if (!memory) return CNN_NO_MEMORY;
    int64_t *offsets = (int64_t *)memory, *where = offsets + taps;
    for (int64_t tap = 0; tap < taps; tap++)
        offsets[tap] = (cnn_tile_plane(g, tap) * g->positions + (g->straight ? 0 : cnn_tile_offset(g, tap))) *
                       g->depth * NUMBER;
    cnn_tile_places(g, &part, count, where);
    struct tile_finish finish = finish_of(walk, group);
    struct tile_product product = {.windows = {.offsets = offsets, .taps = taps, .run = g->depth * NUMBER},
                                   .weights = walk->weights + group * walk->group_weights,
                                   .begin = span * w->span,
                                   .end = CNN_MIN((span + 1) * w->span, w->panels),
                                   .where = where,
                                   .finish = &finish};
    const uint16_t *source = walk->source + group * walk->view->c;
    (g->straight ? multiply_straight : multiply_copied)(w, &part, source, product, (uint16_t *)(memory + list));
    return CNN_OK;
}

cnn_status cnn_tile_walk(const struct tile_walk *walk) {
    struct cut_walk w = cut(walk);
    double products = (double)cnn_view_pixels(walk->view) * (double)cnn_view_depth(walk->view);
    return cnn_parallel_sized(walk_chunk, &w, w.spans * w.grid.blocks * walk->groups,
                              products * (double)(walk->outputs * walk->groups));
}
