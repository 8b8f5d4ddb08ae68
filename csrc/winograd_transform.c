/* The transforms of the Winograd convolutions: which version runs, and what needs no vectors. winograd.c and
 * winograd_weights.c call it; the vector version is winograd_transform_tmpl.c, winograd.h the map. */
#include "winograd.h"

/* OIHW weights of some channels as [channel][9][width], turned by 180 degrees where flipped; only the `columns` real
 * ones are written. */
static void winograd_taps(const float *weight, int64_t channels, int64_t columns, int64_t channel_step,
                              int64_t column_step, bool flipped, int64_t width, float *taps) {
    int64_t step = flipped ? -width : width, first = flipped ? 8 * width : 0;
    for (int64_t column = 0; column < columns; column += 4) {
        for (int64_t c = 0; c < channels; c++) {
            const float *from = weight + c * channel_step + column * column_step;
            float *to = taps + c * 9 * width + first + column;
            if (column + 4 <= columns) {
                cnn_transpose4(from, column_step, to, step);
                cnn_transpose4(from + 4, column_step, to + 4 * step, step);
                for (int64_t j = 0; j < 4; j++) to[8 * step + j] = from[j * column_step + 8];
            } else {
                for (int64_t j = 0; j < columns - column; j++)
                    for (int64_t tap = 0; tap < 9; tap++) to[tap * step + j] = from[j * column_step + tap];
            }
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

