/* Convolutions of bytes by tiles of AMX, on behalf of int8_conv.c: which ones, how weights are laid out, how the work is
 * cut, and blocks of the image as the tiles read them. Written by the manual, and tested where tiles are arrays in memory
 * (tiles.h); no machine with AMX has run it yet. Sums are exact, so that the bytes are those of all other versions.
 *
 * What a result reads of a row of the image is one run of bytes, if taps lie side by side; the next result's run begins
 * stride_w pixels later. 64 bytes of 16 runs are a tile. A run's last 64 bytes may go beyond it: there weights are 0. */
#include "int8_tiles.h"

#define LEAST_RUN 32    /* bytes: of shorter ones tiles are mostly zeros */
#define LEAST_OUTPUTS 8 /* of a group, as well */
#define CHUNKS 16       /* wanted at least, for threads to share */
#define COPIED_FOR 16   /* blocks of outputs times taps that are worth copying a block of the image again */

static int64_t inputs_of(const cnn_conv2d *p) { return p->c / p->groups; }
static int64_t outputs_of(const cnn_conv2d *p) { return p->k / p->groups; }

/* The taps of a row that do not lie side by side; those that do share a run. */
static int64_t apart(const cnn_conv2d *p) { return p->dilation_w == 1 ? 1 : p->kw; }
static int64_t run_of(const cnn_conv2d *p) { return p->kw / apart(p) * inputs_of(p); }

bool cnn_int8_tiles_suit(const cnn_conv2d *p) { return run_of(p) >= LEAST_RUN && outputs_of(p) >= LEAST_OUTPUTS; }

/* ---- packing ---- */

/* Bytes of one group's weights. */
static int64_t group_packed(const cnn_conv2d *p) {
    int64_t panels = p->kh * apart(p) * cnn_ceil_div(run_of(p), TILE_BYTES);
    return cnn_ceil_div(outputs_of(p), TILE_BLOCK) * panels * TILE_PANEL_BYTES;
}

int64_t cnn_int8_tiles_packed(const cnn_conv2d *p) { return p->groups * group_packed(p); }

/* 64 bytes of a run, from number `begin` on, of one tap and of outputs k …: as two tiles. */
static void pack_panel(const cnn_conv2d *p, const int8_t *weight, int64_t k, int64_t tap, int64_t begin, int8_t *to) {
    int64_t inputs = inputs_of(p), window = p->kh * p->kw, run = run_of(p), end = CNN_MIN(begin + TILE_BYTES, run);
    int64_t outputs = CNN_MIN(TILE_BLOCK, outputs_of(p) - k), first = tap * (run / inputs); /* tap of the window */
    memset(to, 0, TILE_PANEL_BYTES);
    for (int64_t i = 0; i < outputs; i++) {
        const int8_t *of = weight + (k + i) * inputs * window + first;
        int8_t *column = to + i / TILE_SIDE * (TILE_PANEL_BYTES / 2) + i % TILE_SIDE * 4;
        for (int64_t j = begin; j < end; j++)
            column[(j - begin) / 4 * TILE_BYTES + (j - begin) % 4] = of[j % inputs * window + j / inputs];
    }
}

void cnn_int8_tiles_pack(const cnn_conv2d *p, const int8_t *weight, int8_t *packed) {
    for (int64_t g = 0; g < p->groups; g++, weight += outputs_of(p) * inputs_of(p) * p->kh * p->kw)
        for (int64_t k = 0; k < outputs_of(p); k += TILE_BLOCK)
            for (int64_t tap = 0; tap < p->kh * apart(p); tap++)
                for (int64_t begin = 0; begin < run_of(p); begin += TILE_BYTES, packed += TILE_PANEL_BYTES)
                    pack_panel(p, weight, k, tap, begin, packed);
}

/* ---- cutting ---- */

struct work {
    const cnn_conv2d *p;
    const struct int8_tile_kernels *kernels;
    struct conv_view view;
    struct tile_grid grid;
    const uint8_t *x;
    uint8_t zero;
    const int8_t *packed;
    const cnn_requantise *finish;
    uint8_t *y;
    int64_t panels, span, spans; /* blocks of outputs; of a chunk; chunks of a block of results */
};

/* Results are exact, so that they do not depend on where work is cut. */
static void cut(struct work *w) {
    w->view = cnn_conv_forward_view(w->p);
    w->grid = cnn_tile_grid_of_bytes(&w->view, CHUNKS);
    w->panels = cnn_ceil_div(outputs_of(w->p), TILE_BLOCK);
    int64_t wanted = cnn_ceil_div(CHUNKS, CNN_MIN(CHUNKS, w->grid.blocks * w->p->groups));
    int64_t least = w->grid.straight ? 1 : cnn_ceil_div(COPIED_FOR, w->p->kh * w->p->kw);
    w->span = CNN_MIN(w->panels, CNN_MAX(least, cnn_ceil_div(w->panels, wanted)));
    w->spans = cnn_ceil_div(w->panels, w->span);
}

/* ---- blocks ---- */

/* Copies what a part reads of a group's channels, for `count` positions of a plane, with borders. */
static void copy_block(const struct work *w, const struct tile_part *part, const uint8_t *x, int64_t plane,
                       int64_t count, uint8_t *to) {
    const struct conv_view *v = &w->view;
    const struct tile_grid *g = &w->grid;
    int64_t left = -v->start_w * v->c; /* bytes of border */
    for (int64_t r = 0; r * g->width < count; r++) {
        int64_t bytes = CNN_MIN(g->width, count - r * g->width) * g->depth, image = r / g->height;
        int64_t row = cnn_tile_row(g, plane, part->row + r % g->height);
        bool inside = image < part->images && 0 <= row && row < v->h;
        int64_t before = inside ? CNN_MIN(left, bytes) : bytes, pixels = CNN_MIN(v->w, (bytes - before) / v->c);
        const uint8_t *from = inside ? x + ((part->image + image) * v->h + row) * v->w * v->pixel : x;
        memset(to, w->zero, (size_t)before);
        to += before;
        if (v->pixel == v->c) memcpy(to, from, (size_t)(pixels * v->c));
        else
            for (int64_t i = 0; i < pixels; i++) memcpy(to + i * v->c, from + i * v->pixel, (size_t)v->c);
        to += pixels * v->c;
        memset(to, w->zero, (size_t)(bytes - before - pixels * v->c));
        to += bytes - before - pixels * v->c;
    }
}

static void multiply_copied(const struct work *w, const struct tile_part *part, const uint8_t *x,
                            struct int8_tile_product product, uint8_t *room) {
    const struct tile_grid *g = &w->grid;
    int64_t count = cnn_round_up(part->results, TILE_BLOCK) + g->reach;
    for (int64_t plane = 0; plane < g->planes_h; plane++)
        copy_block(w, part, x, plane, count, room + plane * g->positions * g->depth);
    product.from = room;
    product.results = part->results;
    w->kernels->multiply(&product);
}

/* Where pixels are read from x itself, but for the last ones: no tile may go beyond x. */
static void multiply_straight(const struct work *w, const struct tile_part *part, const uint8_t *x,
                              struct int8_tile_product product, uint8_t *room) {
    const struct conv_view *v = &w->view;
    bool last = part->row + part->results == cnn_view_pixels(v) && v->c % TILE_BYTES;
    int64_t whole = (part->results - last) / TILE_BLOCK * TILE_BLOCK, rest = part->results - whole;
    product.from = x + part->row * v->pixel;
    product.windows.step = v->pixel;
    product.results = whole;
    if (whole) w->kernels->multiply(&product);
    for (int64_t m = 0; m < rest; m++) memcpy(room + m * v->c, product.from + (whole + m) * v->pixel, (size_t)v->c);
    product.from = room;
    product.windows.step = v->c;
    product.results = rest;
    product.where += whole;
    if (rest) w->kernels->multiply(&product);
}

static int64_t lines(int64_t bytes) { return cnn_round_up(bytes, CNN_LINE); }

static cnn_status work_chunk(void *context, int64_t chunk) {
    const struct work *w = context;
    const cnn_conv2d *p = w->p;
    const struct tile_grid *g = &w->grid;
    int64_t span = chunk % w->spans, block = chunk / w->spans % g->blocks, group = chunk / w->spans / g->blocks;
    struct tile_part part = cnn_tile_part(g, block);
    int64_t across = apart(p), taps = p->kh * across, count = cnn_round_up(part.results, TILE_BLOCK);
    int64_t list = lines((taps + count) * (int64_t)sizeof(int64_t));
    char *memory = cnn_scratch((size_t)(list + g->planes_h * g->positions * g->depth + TILE_BYTES));
    if (!memory) return CNN_NO_MEMORY;
    int64_t *offsets = (int64_t *)memory, *where = offsets + taps;
    for (int64_t tap = 0; tap < taps; tap++) {
        int64_t row = tap / across * p->kw; /* its first tap */
        offsets[tap] = (cnn_tile_plane(g, row) * g->positions + cnn_tile_offset(g, row)) * g->depth +
                       tap % across * p->dilation_w * inputs_of(p);
    }
    cnn_tile_places(g, &part, count, where);
    struct int8_tile_product product = {
        .windows = {.step = g->depth, .offsets = offsets, .taps = taps, .run = cnn_round_up(run_of(p), TILE_BYTES)},
        .weights = w->packed + group * group_packed(p),
        .begin = span * w->span,
        .end = CNN_MIN((span + 1) * w->span, w->panels),
        .outputs = outputs_of(p),
        .where = where,
        .finish = w->finish,
        .first = group * outputs_of(p),
        .y = w->y};
    const uint8_t *x = w->x + group * inputs_of(p);
    (g->straight ? multiply_straight : multiply_copied)(w, &part, x, product, (uint8_t *)(memory + list));
    return CNN_OK;
}

cnn_status cnn_int8_tiles_forward(const cnn_conv2d *p, const uint8_t *x, int64_t zero_x, const int8_t *packed,
                                  const cnn_requantise *finish, uint8_t *y) {
    struct work w = {.p = p,
                     .kernels = cnn_int8_tile_kernels(),
                     .x = x,
                     .zero = (uint8_t)zero_x,
                     .packed = packed,
                     .finish = finish,
                     .y = y};
    cut(&w);
    double multiply_adds = (double)(p->n * p->oh * p->ow) * (double)(p->k * inputs_of(p)) * (double)(p->kh * p->kw);
    return cnn_parallel_sized(work_chunk, &w, w.spans * w.grid.blocks * p->groups, multiply_adds);
}
