/* The transforms before the Winograd convolutions' products: which version runs, and what needs no vectors. winograd.c
 * and winograd_weights.c call it; the vector version is winograd_transform_tmpl.c, winograd.h the map. */
#include "winograd.h"
#include "winograd_taps.h"

#define CNN_TEMPLATE "winograd_transform_tmpl.c"
#include "foreach_isa.h"

static const struct winograd_transforms *const tables[] = CNN_TABLES(winograd_transforms);

const struct winograd_transforms *cnn_winograd_transforms(bool half) {
    return half ? cnn_bf16_winograd_transforms() : tables[cnn_table_index()];
}

/* ---- tiles ---- */

void cnn_winograd_count(const struct conv_view *v, int64_t side, struct winograd_tiles *t) {
    t->side = side;
    t->across = cnn_ceil_div(v->columns, side);
    t->down = cnn_ceil_div(v->rows, side);
    t->total = v->n * t->down * t->across;
}

struct winograd_tiles cnn_winograd_tiles(const struct conv_view *v, int64_t side, bool half, const void *source,
                                         float *pixels) {
    struct winograd_tiles t = {.view = v, .bytes = half ? 2 : 4, .source = source, .zeros = pixels};
    int64_t whole = cnn_round_up(v->c, WINOGRAD_WIDEST);
    cnn_winograd_count(v, side, &t);
    memset(pixels, 0, (size_t)(2 * whole) * sizeof *pixels);
    if (v->c % WINOGRAD_WIDEST) {
        const char *last = (const char *)source + (v->n * v->h * v->w - 1) * v->pixel * t.bytes;
        memcpy(pixels + whole, last, (size_t)(v->c * t.bytes));
        t.last = pixels + whole;
    }
    return t;
}

/* ---- what is fetched ---- */

/* From number `from` to before number `to` of an array. */
static struct winograd_stream stream(const struct winograd_tiles *t, const void *array, int64_t from, int64_t to) {
    return (struct winograd_stream){(const char *)array + from * t->bytes,
                                    cnn_ceil_div((to - from) * t->bytes, CNN_LINE)};
}

struct winograd_stream cnn_winograd_read(const struct winograd_tiles *t, int64_t first, int64_t count) {
    const struct conv_view *v = t->view;
    int64_t last = CNN_MIN(first + count, t->total) - 1, top = first / t->across, bottom = last / t->across;
    if (first > last) return (struct winograd_stream){NULL, 0};
    int64_t from = top / t->down * v->h + CNN_MIN(top % t->down * t->side, v->h);
    int64_t to = bottom / t->down * v->h + CNN_MIN((bottom % t->down + 1) * t->side, v->h);
    return stream(t, t->source, from * v->w * v->pixel, to * v->w * v->pixel);
}

struct winograd_stream cnn_winograd_written(const struct winograd_tiles *t, int64_t first, int64_t count,
                                            const void *array) {
    const struct conv_view *v = t->view;
    int64_t last = CNN_MIN(first + count, t->total) - 1, top = first / t->across, bottom = last / t->across;
    if (!array || first > last) return (struct winograd_stream){NULL, 0};
    int64_t end = CNN_MIN((bottom % t->down + 1) * t->side, v->rows);
    return stream(t, array, cnn_view_offset(v, top / t->down, top % t->down * t->side, 0),
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
