/* The transforms of the Winograd convolutions: which version runs, and what needs no vectors. winograd.c and
 * winograd_weights.c call it; the vector version is winograd_transform_tmpl.c, winograd.h the map. */
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

