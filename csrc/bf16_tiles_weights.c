/* Gradients of weights of convolutions over bfloat16 by tiles: sums over pixels of dy times x. A chunk takes some
 * blocks of pixels, one after the other, and some outputs. For each block it copies x as pairs of pixels, and of dy
 * 32 outputs at a time, transposed and with zeros on both sides: a tap is then another place from which dy is read,
 * and tiles of x stay where they are. Sums go through memory once a block.
 *
 * Chunks of the same outputs have sums of their own, which are added up in order at the end. */
#include "bf16_tiles.h"

#define CHUNKS 16                    /* wanted at least, for threads to share */
#define COPIED_FOR 16                /* blocks of outputs times taps that are worth copying x again */
#define RANGE 1024                   /* results that are worth reading and writing sums, and having sums of their own */
#define SUM_BYTES ((int64_t)8 << 20) /* of all parts, if there is more than one */
#define BLOCK_SUMS (TILE_BLOCK * TILE_BLOCK) /* of one tap */
#define MARGIN TILE_DEPTH                    /* zeros before and behind the results of a block */

struct weights_work {
    const cnn_conv2d *sizes;
    const struct tile_kernels *kernels;
    struct conv_view view;
    struct tile_grid grid;
    const uint16_t *x, *dy;
    float *dweight, *dbias, *sums, *bias;
    int64_t taps, inputs, outputs; /* of one group */
    int64_t panels, columns;       /* blocks of 32 of them: outputs, inputs */
    int64_t parts, span, spans;    /* of blocks of pixels; blocks of outputs of a chunk, and chunks of them */
    int64_t positions, stride;     /* of a plane of x; numbers from one output of dy to the next */
};

static int64_t part_sums(const struct weights_work *w) {
    return w->sizes->groups * w->panels * w->columns * w->taps * BLOCK_SUMS;
}
static int64_t part_bias(const struct weights_work *w) { return w->sizes->groups * w->panels * TILE_BLOCK; }

/* By shape alone. The view has to stay where it is. */
static void cut(const cnn_conv2d *s, struct weights_work *w) {
    w->sizes = s;
    w->view = cnn_conv_forward_view(s);
    int64_t ranges = CNN_MAX(1, cnn_view_pixels(&w->view) / RANGE);
    w->grid = cnn_tile_grid(&w->view, ranges, true);
    w->taps = s->kh * s->kw;
    w->inputs = s->c / s->groups;
    w->outputs = s->k / s->groups;
    w->panels = cnn_ceil_div(w->outputs, TILE_BLOCK);
    w->columns = cnn_ceil_div(w->inputs, TILE_BLOCK);
    int64_t most = CNN_MAX(1, SUM_BYTES / (part_sums(w) * (int64_t)sizeof(float)));
    w->parts = CNN_MIN(CNN_MIN(w->grid.blocks, ranges), CNN_MIN(CHUNKS, most));
    int64_t wanted = cnn_ceil_div(CHUNKS, CNN_MIN(CHUNKS, w->parts * s->groups));
    w->span = CNN_MIN(w->panels, CNN_MAX(cnn_ceil_div(COPIED_FOR, w->taps), cnn_ceil_div(w->panels, wanted)));
    w->spans = cnn_ceil_div(w->panels, w->span);
    w->positions = cnn_round_up(w->grid.positions, TILE_DEPTH);
    /* An odd number of cache lines: rows of a tile are then spread over the sets of L1. */
    w->stride = (cnn_ceil_div(w->grid.positions + 2 * MARGIN, TILE_DEPTH) | 1) * TILE_DEPTH;
}

int64_t cnn_tile_weights_workspace(const cnn_conv2d *s) {
    struct weights_work w;
    cut(s, &w);
    return w.parts * (part_sums(&w) + part_bias(&w)) * (int64_t)sizeof(float);
}

/* ---- sums of a part ---- */

/* What a chunk keeps in the thread's scratch memory. */
struct room {
    int64_t *offsets, *planes, *where;
    uint16_t *x, *dy, *row;
};

static bool make_room(const struct weights_work *w, struct room *r) {
    const struct tile_grid *g = &w->grid;
    int64_t list = cnn_round_up((2 * w->taps + g->positions + TILE_BLOCK) * (int64_t)sizeof(int64_t), CNN_LINE);
    int64_t x = g->planes_h * g->planes_w * w->positions * g->depth, dy = TILE_BLOCK * w->stride;
    char *memory = cnn_scratch((size_t)(list + (x + dy + 2 * g->depth) * (int64_t)sizeof(uint16_t)));
    if (!memory) return false;
    r->offsets = (int64_t *)memory;
    r->planes = r->offsets + w->taps;
    r->where = r->planes + w->taps;
    r->x = (uint16_t *)(memory + list);
    r->dy = r->x + x;
    r->row = r->dy + dy;
    for (int64_t tap = 0; tap < w->taps; tap++) {
        r->offsets[tap] = cnn_tile_offset(g, tap);
        r->planes[tap] = cnn_tile_plane(g, tap) * w->positions * g->depth;
    }
    memset(r->dy, 0, (size_t)dy * sizeof *r->dy);
    return true;
}

/* Adds the products of one block of pixels to a part's sums, or begins with them. */
static void add_block(const struct weights_work *w, const struct room *r, int64_t block, int64_t group, int64_t begin,
                      int64_t end, bool first, float *sums, float *bias) {
    const struct tile_grid *g = &w->grid;
    struct tile_part part = cnn_tile_part(g, block);
    int64_t results = cnn_round_up(part.results, TILE_BLOCK), count = cnn_round_up(part.results + g->reach, TILE_DEPTH);
    cnn_tile_places(g, &part, results, r->where);
    for (int64_t plane = 0; plane < g->planes_h * g->planes_w; plane++) {
        uint16_t *to = r->x + plane * w->positions * g->depth;
        cnn_tile_fill(g, &part, w->x + group * w->inputs, plane, count, to);
        w->kernels->pairs(count / 2, g->depth, to, r->row);
    }
    struct tile_gradient gradient = {.x = r->x,
                                     .depth = g->depth,
                                     .inputs = w->inputs,
                                     .dy = r->dy + MARGIN,
                                     .stride = w->stride,
                                     .results = part.results,
                                     .offsets = r->offsets,
                                     .planes = r->planes,
                                     .taps = w->taps,
                                     .first = first};
    for (int64_t panel = begin; panel < end; panel++) {
        int64_t k = panel * TILE_BLOCK, outputs = CNN_MIN(TILE_BLOCK, w->outputs - k);
        w->kernels->transpose(results, r->where, w->dy + group * w->outputs + k, outputs, r->dy + MARGIN, w->stride);
        /* What an earlier, longer block left behind. */
        for (int64_t i = 0; i < outputs; i++)
            memset(r->dy + i * w->stride + MARGIN + results, 0, MARGIN * sizeof *r->dy);
        if (bias) w->kernels->add_rows(outputs, results, r->dy + MARGIN, w->stride, bias + k);
        gradient.outputs = outputs;
        gradient.sums = sums + panel * w->columns * w->taps * BLOCK_SUMS;
        w->kernels->gradients(&gradient);
    }
}

static cnn_status sum_chunk(void *context, int64_t chunk) {
    const struct weights_work *w = context;
    int64_t span = chunk % w->spans, group = chunk / w->spans % w->sizes->groups;
    int64_t part = chunk / w->spans / w->sizes->groups;
    int64_t begin = span * w->span, end = CNN_MIN(begin + w->span, w->panels);
    struct room room;
    if (!make_room(w, &room)) return CNN_NO_MEMORY;
    float *sums = w->sums + part * part_sums(w) + group * w->panels * w->columns * w->taps * BLOCK_SUMS;
    float *bias = w->dbias ? w->bias + part * part_bias(w) + group * w->panels * TILE_BLOCK : NULL;
    if (bias) memset(bias + begin * TILE_BLOCK, 0, (size_t)((end - begin) * TILE_BLOCK) * sizeof *bias);
    int64_t from = part * w->grid.blocks / w->parts, to = (part + 1) * w->grid.blocks / w->parts;
    for (int64_t block = from; block < to; block++)
        add_block(w, &room, block, group, begin, end, block == from, sums, bias);
    return CNN_OK;
}

/* ---- sums of all parts ---- */

/* Gradients of 32 outputs by 32 inputs of one group. */
static cnn_status add_chunk(void *context, int64_t chunk) {
    const struct weights_work *w = context;
    int64_t column = chunk % w->columns, panel = chunk / w->columns % w->panels, group = chunk / w->columns / w->panels;
    int64_t inputs = CNN_MIN(TILE_BLOCK, w->inputs - column * TILE_BLOCK);
    int64_t outputs = CNN_MIN(TILE_BLOCK, w->outputs - panel * TILE_BLOCK);
    int64_t first = group * w->outputs + panel * TILE_BLOCK;
    for (int64_t tap = 0; tap < w->taps; tap++) {
        const float *from = w->sums + (chunk * w->taps + tap) * BLOCK_SUMS;
        for (int64_t k = 0; k < outputs; k++) {
            float *to = w->dweight + ((first + k) * w->inputs + column * TILE_BLOCK) * w->taps + tap;
            for (int64_t c = 0; c < inputs; c++) {
                int64_t tile = k / TILE_SIDE * 2 + c / TILE_SIDE, at = k % TILE_SIDE * TILE_SIDE + c % TILE_SIDE;
                const float *each = from + tile * TILE_SIDE * TILE_SIDE + at;
                float sum = *each;
                for (int64_t part = 1; part < w->parts; part++) sum += each[part * part_sums(w)];
                to[c * w->taps] = sum;
            }
        }
    }
    if (column > 0 || !w->dbias) return CNN_OK;
    for (int64_t k = 0; k < outputs; k++) {
        const float *each = w->bias + (group * w->panels + panel) * TILE_BLOCK + k;
        float sum = *each;
        for (int64_t part = 1; part < w->parts; part++) sum += each[part * part_bias(w)];
        w->dbias[first + k] = sum;
    }
    return CNN_OK;
}

cnn_status cnn_tile_weights(const cnn_conv2d *s, const uint16_t *x, const uint16_t *dy, float *dweight, float *dbias,
                            float *workspace) {
    struct weights_work w;
    cut(s, &w);
    w.kernels = cnn_tile_kernels();
    w.x = x;
    w.dy = dy;
    w.dweight = dweight;
    w.dbias = dbias;
    w.sums = workspace;
    w.bias = workspace + w.parts * part_sums(&w);
    double products = (double)cnn_view_pixels(&w.view) * (double)(w.taps * w.inputs) * (double)s->k;
    cnn_status status = cnn_parallel_sized(sum_chunk, &w, w.parts * s->groups * w.spans, products);
    if (status != CNN_OK) return status;
    return cnn_parallel_sized(add_chunk, &w, s->groups * w.panels * w.columns, (double)(w.parts * part_sums(&w)));
}
