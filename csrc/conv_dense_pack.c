/* Dense convolutions' weights as panels for the matrix kernels, and sums of gradients as weights again. conv_dense.c
 * and conv_dense_weights.c multiply them; gemm.h says what a panel is. Weights are OIHW outside, (tap, channel) rows
 * inside, so both ways are transpositions, done in stretches that stay in L1. */
#include "conv_dense.h"

typedef float float4 __attribute__((vector_size(16)));
typedef float float4_unaligned __attribute__((vector_size(16), aligned(4), may_alias));
#if defined(__clang__)
#define MIX(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define MIX(a, b, i, j, k, l) __builtin_shuffle(a, b, (int __attribute__((vector_size(16)))){i, j, k, l})
#endif

/* to[i][j] = from[j][i] for i, j < 4; from_at and to_at say where the four rows begin. */
static inline void transpose4(const float *from, const int64_t from_at[4], float *to, const int64_t to_at[4]) {
    float4 a = *(const float4_unaligned *)(from + from_at[0]), b = *(const float4_unaligned *)(from + from_at[1]);
    float4 c = *(const float4_unaligned *)(from + from_at[2]), d = *(const float4_unaligned *)(from + from_at[3]);
    float4 ac = MIX(a, c, 0, 4, 1, 5), AC = MIX(a, c, 2, 6, 3, 7);
    float4 bd = MIX(b, d, 0, 4, 1, 5), BD = MIX(b, d, 2, 6, 3, 7);
    *(float4_unaligned *)(to + to_at[0]) = MIX(ac, bd, 0, 4, 1, 5);
    *(float4_unaligned *)(to + to_at[1]) = MIX(ac, bd, 2, 6, 3, 7);
    *(float4_unaligned *)(to + to_at[2]) = MIX(AC, BD, 0, 4, 1, 5);
    *(float4_unaligned *)(to + to_at[3]) = MIX(AC, BD, 2, 6, 3, 7);
}

/* Weights are moved in stretches of this many: what is read and what is written stays in L1. */
#define STRETCH 64

/* Where rows begin … begin+count-1 of a column of OIHW weights, (channel, tap), lie in a panel, (tap, channel). */
static void panel_rows(int64_t channels, int64_t taps, int64_t width, int64_t begin, int64_t count, int64_t *rows) {
    int64_t channel = begin / taps, tap = begin % taps;
    for (int64_t i = 0; i < count; i++) {
        rows[i] = (tap * channels + channel) * width;
        if (++tap == taps) tap = 0, channel++;
    }
}

/* A panel for forward, whose columns are output channels. */
static void pack_forward(const struct dense_weights *w, const float *weight, int64_t real, int64_t width, float *to) {
    int64_t rows[STRETCH], depth = w->view->c * w->window;
    int64_t step = w->column_stride, columns[] = {0, step, 2 * step, 3 * step};
    for (int64_t begin = 0; begin < depth; begin += STRETCH) {
        int64_t count = CNN_MIN(STRETCH, depth - begin);
        panel_rows(w->view->c, w->window, width, begin, count, rows);
        for (int64_t column = 0; column < real; column += 4) {
            const float *from = weight + column * step + begin;
            int64_t i = 0;
            for (; column + 4 <= real && i + 4 <= count; i += 4) transpose4(from + i, columns, to + column, rows + i);
            for (; i < count; i++)
                for (int64_t j = 0; j < CNN_MIN(4, real - column); j++) to[rows[i] + column + j] = from[j * step + i];
        }
    }
}

/* The weights of one result's channel at one tap of the view, as a row of a panel for backward-data. */
static void pack_row(const float *from, int64_t step, int64_t real, float *to) {
    if (step == 1) memcpy(to, from, (size_t)real * sizeof *to);
    else
        for (int64_t column = 0; column < real; column++) to[column] = from[column * step];
}

/* A panel for backward-data, whose columns are input channels. Where all taps belong to the view, which takes them
 * from the last to the first, they are moved four at a time. */
static void pack_backward(const struct dense_weights *w, const float *weight, int64_t real, int64_t width, float *to) {
    const struct conv_view *v = w->view;
    int64_t taps = v->taps_h * v->taps_w, step = w->window, next = -v->c * width, quads = 0;
    int64_t columns[] = {0, step, 2 * step, 3 * step}, rows[] = {0, next, 2 * next, 3 * next};
    if (taps == w->window && taps >= 4) quads = taps / 4 * 4;
    for (int64_t c = 0; c < v->c; c++) {
        const float *from = weight + c * w->channel_stride;
        for (int64_t tap = 0; tap < quads; tap += 4) {
            float *row = to + ((taps - 1 - tap) * v->c + c) * width;
            int64_t column = 0;
            for (; column + 4 <= real; column += 4) transpose4(from + column * step + tap, columns, row + column, rows);
            for (; column < real; column++)
                for (int64_t i = 0; i < 4; i++) row[column + i * next] = from[column * step + tap + i];
        }
        for (int64_t tap = 0; tap < taps - quads; tap++) {
            const float *at = from + v->tap_first + tap / v->taps_w * v->tap_row + tap % v->taps_w * v->tap_step;
            pack_row(at, step, real, to + (tap * v->c + c) * width);
        }
    }
}

void cnn_dense_pack_panel(const struct dense_weights *w, int64_t group, int64_t first, int64_t width, float *to) {
    int64_t depth = cnn_view_depth(w->view), real = CNN_MIN(width, w->columns - first);
    const float *weight = w->weight + group * w->group_weights + first * w->column_stride;
    if (real < width) memset(to, 0, (size_t)(depth * width) * sizeof *to);
    if (w->transposed) pack_backward(w, weight, real, width, to);
    else pack_forward(w, weight, real, width, to);
}

struct dense_weights cnn_dense_weights(const cnn_conv2d *p, const struct conv_view *v, bool transposed,
                                       const float *weight) {
    int64_t in = p->c / p->groups, out = p->k / p->groups, window = p->kh * p->kw;
    return (struct dense_weights){.view = v,
                                  .weight = weight,
                                  .transposed = transposed,
                                  .columns = transposed ? in : out,
                                  .column_stride = transposed ? window : in * window,
                                  .channel_stride = transposed ? in * window : window,
                                  .window = window,
                                  .group_weights = out * in * window};
}

struct pack_work {
    struct dense_weights weights;
    float *packed;
    int64_t group_packed, panels;
    const struct gemm_width *width;
};

static cnn_status pack_chunk(void *context, int64_t chunk) {
    const struct pack_work *w = context;
    int64_t columns = w->weights.columns, group = chunk / w->panels, panel = chunk % w->panels;
    int64_t first = cnn_panel_begin(w->width, columns, panel), end = cnn_panel_begin(w->width, columns, panel + 1);
    float *to = w->packed + group * w->group_packed + first * cnn_view_depth(w->weights.view);
    cnn_dense_pack_panel(&w->weights, group, first, end - first, to);
    return CNN_OK;
}

/* The weights of every group, ready for a product over this view. */
static cnn_status pack_view(const cnn_conv2d *p, const struct conv_view *v, bool transposed, const float *weight,
                            float *packed) {
    struct pack_work work = {.weights = cnn_dense_weights(p, v, transposed, weight),
                             .packed = packed,
                             .width = &cnn_gemm()->width};
    work.panels = cnn_panel_count(work.width, work.weights.columns);
    work.group_packed = cnn_packed_size(cnn_view_depth(v), work.weights.columns);
    return cnn_parallel(pack_chunk, &work, work.panels * p->groups);
}

int64_t cnn_dense_packed(const cnn_conv2d *p, int pass) {
    /* Every tap is met by one of backward-data's views, at most. */
    int64_t in = p->c / p->groups, out = p->k / p->groups;
    int64_t depth = p->kh * p->kw * (pass == CNN_FORWARD ? in : out), columns = pass == CNN_FORWARD ? out : in;
    return p->groups * cnn_packed_size(depth, columns);
}

cnn_status cnn_dense_pack(const cnn_conv2d *p, int pass, const float *weight, float *packed) {
    struct conv_view view = cnn_conv_forward_view(p);
    if (pass == CNN_FORWARD) return pack_view(p, &view, false, weight, packed);
    for (int64_t class = 0; class < cnn_dense_classes(p); class++) {
        view = cnn_dense_class_view(p, class);
        cnn_status status = pack_view(p, &view, true, weight, packed);
        if (status != CNN_OK) return status;
        packed += cnn_dense_class_packed(p, &view);
    }
    return CNN_OK;
}

void cnn_dense_unpack(const struct conv_view *v, const float *panel, int64_t real, int64_t width, float *dweight) {
    int64_t rows[STRETCH], taps = v->taps_h * v->taps_w, depth = taps * v->c;
    int64_t columns[] = {0, depth, 2 * depth, 3 * depth};
    for (int64_t begin = 0; begin < depth; begin += STRETCH) {
        int64_t count = CNN_MIN(STRETCH, depth - begin);
        panel_rows(v->c, taps, width, begin, count, rows);
        for (int64_t column = 0; column < real; column += 4) {
            float *to = dweight + column * depth + begin;
            int64_t i = 0;
            for (; column + 4 <= real && i + 4 <= count; i += 4) transpose4(panel + column, rows + i, to + i, columns);
            for (; i < count; i++)
                for (int64_t j = 0; j < CNN_MIN(4, real - column); j++) to[j * depth + i] = panel[rows[i] + column + j];
        }
    }
}
