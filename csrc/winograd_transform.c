/* The transforms before the Winograd convolutions' products: which version runs, and what needs no vectors. winograd.c
 * and winograd_weights.c call it; the vector version is winograd_transform_tmpl.c, winograd.h the map. */
#include "winograd.h"

/* OIHW weights of some channels as [channel][9][width]; only the `columns` real ones are written. Rows of four columns
 * are far apart, too short for the processor to see what comes: the weights of as many channels more are fetched. */
static void winograd_taps(const float *weight, int64_t channels, int64_t columns, int64_t channel_step,
                          int64_t column_step, int64_t width, float *taps) {
    int64_t run = channel_step == 9 ? channels * 9 : 9; /* floats of a column that lie together */
    for (int64_t column = 0; column < columns; column += 4) {
        const float *from = weight + column * column_step;
        float *to = taps + column;
        int64_t real = CNN_MIN(4, columns - column);
        for (int64_t row = 0; row < channels * 9; row += run, from += run / 9 * channel_step, to += run * width) {
            const float *later = from + channels * channel_step;
            int64_t i = 0;
            for (; real == 4 && i + 4 <= run; i += 4) {
                __builtin_prefetch(later + (run == 9 ? 4 * i : i / 4 % 4 * column_step + i / 16 * 16));
                cnn_transpose4(from + i, column_step, to + i * width, width);
            }
            for (; i < run; i++)
                for (int64_t j = 0; j < real; j++) to[i * width + j] = from[j * column_step + i];
        }
    }
}

#define CNN_TEMPLATE "winograd_transform_tmpl.c"
#include "foreach_isa.h"

static const struct winograd_transforms *const tables[] = CNN_TABLES(winograd_transforms);

const struct winograd_transforms *cnn_winograd_transforms(void) { return tables[cnn_table_index()]; }

/* ---- tiles ---- */

void cnn_winograd_count(const struct conv_view *v, struct winograd_tiles *t) {
    t->across = cnn_ceil_div(v->columns, WINOGRAD_TILE);
    t->down = cnn_ceil_div(v->rows, WINOGRAD_TILE);
    t->total = v->n * t->down * t->across;
}

struct winograd_tiles cnn_winograd_tiles(const struct conv_view *v, const float *source, float *pixels) {
    struct winograd_tiles t = {.view = v, .source = source, .zeros = pixels};
    int64_t whole = cnn_round_up(v->c, WINOGRAD_WIDEST);
    cnn_winograd_count(v, &t);
    memset(pixels, 0, (size_t)(2 * whole) * sizeof *pixels);
    if (v->c % WINOGRAD_WIDEST) {
        memcpy(pixels + whole, source + (v->n * v->h * v->w - 1) * v->pixel, (size_t)v->c * sizeof *pixels);
        t.last = pixels + whole;
    }
    return t;
}

/* ---- what is fetched ---- */

/* From float `from` to before float `to` of an array. */
static struct winograd_stream stream(const float *array, int64_t from, int64_t to) {
    int64_t bytes = (to - from) * (int64_t)sizeof *array;
    return (struct winograd_stream){(const char *)(array + from), cnn_ceil_div(bytes, CNN_LINE)};
}

struct winograd_stream cnn_winograd_read(const struct winograd_tiles *t, int64_t first, int64_t count) {
    const struct conv_view *v = t->view;
    int64_t last = CNN_MIN(first + count, t->total) - 1, top = first / t->across, bottom = last / t->across;
    if (first > last) return (struct winograd_stream){NULL, 0};
    int64_t from = top / t->down * v->h + CNN_MIN(top % t->down * WINOGRAD_TILE, v->h);
    int64_t to = bottom / t->down * v->h + CNN_MIN((bottom % t->down + 1) * WINOGRAD_TILE, v->h);
    return stream(t->source, from * v->w * v->pixel, to * v->w * v->pixel);
}

struct winograd_stream cnn_winograd_written(const struct winograd_tiles *t, int64_t first, int64_t count,
                                            const float *array) {
    const struct conv_view *v = t->view;
    int64_t last = CNN_MIN(first + count, t->total) - 1, top = first / t->across, bottom = last / t->across;
    if (!array || first > last) return (struct winograd_stream){NULL, 0};
    int64_t end = CNN_MIN((bottom % t->down + 1) * WINOGRAD_TILE, v->rows);
    return stream(array, cnn_view_offset(v, top / t->down, top % t->down * WINOGRAD_TILE, 0),
                  cnn_view_offset(v, bottom / t->down, end, 0));
}

struct winograd_fetch cnn_winograd_fetch(const struct winograd_stream *streams, int count, int64_t times) {
    struct winograd_fetch fetch = {.at = 0};
    int64_t lines = 0;
    for (int i = 0, at = 0; i < count; i++) {
        lines += streams[i].lines;
        if (streams[i].lines) fetch.streams[at++] = streams[i];
    }
    fetch.each = cnn_ceil_div(lines, times);
    return fetch;
}
