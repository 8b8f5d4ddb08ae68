/* Convolutions over bfloat16 by tiles of AMX: which ones, and how their weights are laid out. Written by the manual,
 * and tested where tiles are arrays in memory (tiles.h); no machine with AMX has run it yet. README.md says how it
 * computes.
 *
 * Packed weights: for each group, class of results (one in forward) and block of 32 outputs, a panel for each tap and
 * 32 channels: two tiles of 16 pairs of channels by 16 outputs. What fills up the last ones is 0. */
#include "bf16_tiles.h"

#define FEWEST_CHANNELS 8 /* of each side: tiles of fewer are mostly zeros */

/* ---- which convolutions ---- */

static bool channels_suit(int64_t channels, int64_t groups) {
    int64_t each = channels / groups;
    return groups == 1 ? each >= FEWEST_CHANNELS : each % TILE_BLOCK == 0;
}

static bool suits(const cnn_bf16_conv2d *p, int pass) {
    const cnn_conv2d *s = &p->sizes;
    bool stored = p->x == CNN_BFLOAT16 && p->y == CNN_BFLOAT16;
    (void)pass;
    return stored && channels_suit(s->c, s->groups) && channels_suit(s->k, s->groups);
}

static bool runs(void) { return cnn_tile_kernels() != NULL; }

static bool pools(const cnn_bf16_conv2d *p) {
    (void)p;
    return false;
}

static int64_t workspace(const cnn_bf16_conv2d *p, int pass) {
    return pass == CNN_BACKWARD_WEIGHTS ? cnn_tile_weights_workspace(&p->sizes) : 0;
}

/* ---- packing ---- */

/* Numbers of the weights of so many taps, of one group. */
static int64_t numbers(const cnn_conv2d *s, int pass, int64_t taps) {
    int64_t c = s->c / s->groups, k = s->k / s->groups;
    int64_t in = pass == CNN_FORWARD ? c : k, out = pass == CNN_FORWARD ? k : c;
    return taps * cnn_round_up(in, TILE_DEPTH) * cnn_round_up(out, TILE_BLOCK);
}

static int64_t packed_bytes(const cnn_bf16_conv2d *p, int pass) {
    const cnn_conv2d *s = &p->sizes;
    return s->groups * numbers(s, pass, s->kh * s->kw) * (int64_t)sizeof(uint16_t);
}

/* Classes of results: those of backward-data, or all as one. */
static int64_t classes(const cnn_conv2d *s, int pass) {
    return pass == CNN_FORWARD ? 1 : CNN_MIN(s->stride_h, s->h) * CNN_MIN(s->stride_w, s->w);
}

static struct conv_view view_of(const cnn_conv2d *s, int pass, int64_t class) {
    int64_t across = CNN_MIN(s->stride_w, s->w);
    return pass == CNN_FORWARD ? cnn_conv_forward_view(s) : cnn_conv_backward_view(s, class / across, class % across);
}

struct pack_work {
    const cnn_conv2d *sizes;
    int pass;
    const float *weight;
    uint16_t *packed;
};

/* The panels of 32 channels from `c` on and one block of outputs, `next_tap` numbers from one tap's to the next.
 * Weights that lie behind one another are rounded together: some inputs' windows of one k. */
static void pack_panels(const struct pack_work *w, const struct conv_view *v, int64_t group, int64_t c, int64_t block,
                        uint16_t *to, int64_t next_tap, uint16_t *run) {
    const cnn_conv2d *s = w->sizes;
    bool forward = w->pass == CNN_FORWARD;
    int64_t window = s->kh * s->kw, inputs = s->c / s->groups, outputs = s->k / s->groups, taps = cnn_tile_taps(v);
    int64_t input = forward ? c : block * TILE_BLOCK, output = forward ? block * TILE_BLOCK : c;
    int64_t width = CNN_MIN(TILE_BLOCK, inputs - input), height = CNN_MIN(TILE_BLOCK, outputs - output);
    for (int64_t tap = 0; tap < taps; tap++) memset(to + tap * next_tap, 0, TILE_PANEL * sizeof *to);
    for (int64_t k = 0; k < height; k++) {
        const float *weight = w->weight + ((group * outputs + output + k) * inputs + input) * window;
        cnn_bf16_round_some(width * window, weight, run);
        for (int64_t tap = 0; tap < taps; tap++) {
            const uint16_t *from = run + v->tap_first + tap / v->taps_w * v->tap_row + tap % v->taps_w * v->tap_step;
            uint16_t *panel = to + tap * next_tap;
            if (forward) panel += k / TILE_SIDE * (TILE_PANEL / 2) + k % TILE_SIDE * 2;
            else panel += k / 2 * TILE_DEPTH + k % 2;
            for (int64_t i = 0; i < width; i++) {
                int64_t pair = i / 2 * TILE_DEPTH + i % 2,
                        column = i / TILE_SIDE * (TILE_PANEL / 2) + i % TILE_SIDE * 2;
                panel[forward ? pair : column] = from[i * window];
            }
        }
    }
}

/* One block of outputs of one group, for all classes. */
static cnn_status pack_chunk(void *context, int64_t chunk) {
    const struct pack_work *w = context;
    const cnn_conv2d *s = w->sizes;
    int64_t outputs = (w->pass == CNN_FORWARD ? s->k : s->c) / s->groups, blocks = cnn_ceil_div(outputs, TILE_BLOCK);
    int64_t group = chunk / blocks, block = chunk % blocks;
    uint16_t *to = w->packed + group * numbers(s, w->pass, s->kh * s->kw);
    uint16_t *run = cnn_scratch((size_t)(TILE_BLOCK * s->kh * s->kw) * sizeof *run);
    if (!run) return CNN_NO_MEMORY;
    for (int64_t class = 0; class < classes(s, w->pass); class++) {
        struct conv_view v = view_of(s, w->pass, class);
        int64_t all = numbers(s, w->pass, cnn_tile_taps(&v)), next_tap = cnn_round_up(v.c, TILE_DEPTH) * TILE_BLOCK;
        uint16_t *panel = to + all / blocks * block;
        for (int64_t c = 0; c < v.c && all; c += TILE_DEPTH, panel += TILE_PANEL)
            pack_panels(w, &v, group, c, block, panel, next_tap, run);
        to += all;
    }
    return CNN_OK;
}

static cnn_status pack(const cnn_bf16_conv2d *p, int pass, const float *weight, void *packed) {
    const cnn_conv2d *s = &p->sizes;
    struct pack_work w = {s, pass, weight, packed};
    int64_t outputs = (pass == CNN_FORWARD ? s->k : s->c) / s->groups;
    return cnn_parallel_sized(pack_chunk, &w, s->groups * cnn_ceil_div(outputs, TILE_BLOCK),
                              (double)packed_bytes(p, pass));
}

/* ---- passes ---- */

static cnn_status map(const cnn_conv2d *s, int pass, const void *source, const void *packed,
                      const cnn_bf16_finish *finish, void *out) {
    const uint16_t *weights = packed;
    for (int64_t class = 0; class < classes(s, pass); class++) {
        struct conv_view v = view_of(s, pass, class);
        struct tile_walk walk = {.view = &v,
                                 .groups = s->groups,
                                 .outputs = (pass == CNN_FORWARD ? s->k : s->c) / s->groups,
                                 .source = source,
                                 .weights = weights,
                                 .group_weights = numbers(s, pass, s->kh * s->kw),
                                 .finish = finish,
                                 .out = out};
        cnn_status status = cnn_tile_walk(&walk);
        if (status != CNN_OK) return status;
        weights += numbers(s, pass, cnn_tile_taps(&v));
    }
    return CNN_OK;
}

static cnn_status forward(const cnn_bf16_conv2d *p, const void *x, const float *weight, const void *packed,
                          const cnn_bf16_finish *finish, void *y, void *room) {
    (void)weight, (void)room;
    return map(&p->sizes, CNN_FORWARD, x, packed, finish, y);
}

static cnn_status backward_data(const cnn_bf16_conv2d *p, const void *dy, const float *weight, const void *packed,
                                const cnn_bf16_finish *finish, void *dx, void *room) {
    (void)weight, (void)room;
    return map(&p->sizes, CNN_BACKWARD_DATA, dy, packed, finish, dx);
}

static cnn_status backward_weights(const cnn_bf16_conv2d *p, const void *x, const void *dy, float *dweight,
                                   float *dbias, void *room) {
    return cnn_tile_weights(&p->sizes, x, dy, dweight, dbias, room);
}

const struct bf16_family cnn_bf16_tiles = {.suits = suits,
                                           .runs = runs,
                                           .workspace = workspace,
                                           .packed = packed_bytes,
                                           .pack = pack,
                                           .forward = forward,
                                           .backward_data = backward_data,
                                           .backward_weights = backward_weights,
                                           .pools = pools};
