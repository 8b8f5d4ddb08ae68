/* What the files of the Winograd convolutions share: how an image is cut into tiles, how the transformed data lie in
 * memory, and the tables of vector kernels. winograd.c (the family, forward and backward-data) and
 * winograd_weights.c cut the work; the templates of winograd_transform.c, winograd_products.c and winograd_inverse.c do
 * it, in this order. bf16_winograd.c is the same family over bfloat16, whose templates are compiled with CNN_STORED_BF16.
 *
 * F(4 x 4, 3 x 3) of Winograd (1980) and Lavin and Gray (2016): 4 x 4 results are A' [(G g G') . (B' d B)] A for the
 * 6 x 6 pixels d that they read and the 3 x 3 weights g. The products are taken channel by channel, so that each of
 * the 36 places ("frequencies") of the transformed tiles is a product of matrices: tiles x channels times channels x
 * results. The gradient of g is G' [(B' d B) . (A dy A')] G. The points are 0, +-3/4, +-3/2 and infinity, with which
 * the rounding error is half of what 0, +-1, +-2 give. */
#ifndef CNN_WINOGRAD_H
#define CNN_WINOGRAD_H

#include "conv_family.h"
#include "conv_view.h"
#include "finish.h"

#define WINOGRAD_TILE 4
#define WINOGRAD_PATCH 6
#define WINOGRAD_FREQUENCIES 36

/* Working memory is the same for all instruction sets: whole vectors of 16, panels of 32, groups of 24 tiles. */
#define WINOGRAD_WIDEST 16
#define WINOGRAD_WIDEST_PANEL 32
#define WINOGRAD_WIDEST_GROUP 24

#define WINOGRAD_CHUNKS 16 /* wanted at least, for threads to share */

/* A place of transformed data for each frequency of a vector, and one more so that rows of them spread over all
 * sets of a cache. */
#define WINOGRAD_SLOTS 37

#define WINOGRAD_STREAMS 4 /* what products may fetch: dx, gate, add and the next block's dy */

/* Tiles of a view, of 4 x 4 results or as many as the sides say. A tile's number counts columns, then rows, then images. */
struct winograd_tiles {
    const struct conv_view *view;
    int64_t across, down, total;
    int64_t side; /* of a tile, in results */
    int bytes;    /* of a number of a pixel: 4, or 2 where it is bfloat16 */
    const void *source;
    const void *zeros; /* a pixel of zeros, in whole vectors */
    const void *last;  /* the source's last pixel in whole vectors, for vectors that would read past it; or NULL */
};

/* Rows of the register tile over V, which are the tiles of a group, and the channels of a band, which the tile over V
 * transposed divides, for the VLEN at hand: as in gemm_tmpl.c, 12 rows of two vectors where there are 32 registers and
 * a row's value needs none of them, 8 where it does, 6 with 16 registers. */
#if defined(__aarch64__)
#define WINOGRAD_GROUP 8
#define WINOGRAD_BAND 8
#define WINOGRAD_OUTER_TILE 8
#else
#define WINOGRAD_GROUP (VLEN == 16 ? 12 : 6)
#define WINOGRAD_BAND (VLEN == 16 ? 16 : 3 * VLEN)
#define WINOGRAD_OUTER_TILE (VLEN == 16 ? 8 : 6)
#endif

/* How transformed data lie in memory, as floats, or over bfloat16 (bf16_winograd.c) as pairs of numbers, which are as
 * large as a float. Channels of V and U forward are then pairs of channels, tiles of V and W for the gradient pairs of
 * tiles; what has no partner has 0 for one. M and dU are always floats.
 *   V forward     [frequency][group][vector][tile of group][lane]
 *   V gradient    [frequency][band][tile][channel of band]
 *   W             [frequency][panel][tile][column]: transformed dy
 *   U             [panel][frequency][channel][column]
 *   M, dU         [tile or channel][vector of panel][WINOGRAD_SLOTS][lane], of one panel
 * where `step` is the floats from a frequency of V or W to the next; U's is cnn_winograd_step(channels, columns). */

/* Tiles first … first+count-1, laid out for the gradient as places at … of `places`. */
struct winograd_places {
    int64_t first, count, at, places, step;
};

/* winograd_transform.c */
struct winograd_transforms {
    /* V of tiles first … first+count-1, laid out forward, as places 0 … count-1. */
    void (*input)(const struct winograd_tiles *t, int64_t first, int64_t count, int64_t step, float *v);
    /* U of one panel, `columns` of them real, from OIHW weights: channel_step and column_step are the floats from one
     * channel or column to the next; flipped turns the window by 180 degrees. */
    void (*weights)(const float *weight, int64_t channels, int64_t columns, int64_t channel_step, int64_t column_step,
                    bool flipped, float *u);
    /* V of some tiles, laid out for the gradient. */
    void (*input_columns)(const struct winograd_tiles *t, struct winograd_places to, float *v);
    /* W of the same tiles, t being those of dy; sums (NULL: not wanted) += dy's sum over them, in whole vectors. */
    void (*gradient)(const struct winograd_tiles *t, struct winograd_places to, float *w, float *sums);
};

/* winograd_inverse.c */
struct winograd_inverses {
    /* The results of tiles first … first+count-1 in columns column … column+columns-1, from their M. */
    void (*output)(const struct winograd_tiles *t, int64_t first, int64_t count, int64_t column, int64_t columns,
                   const float *m, const cnn_bf16_finish *finish, void *out);
    /* Gradients [channel][9][column of panel] = G' dU G, or added to them. */
    void (*gradients)(const float *du, int64_t channels, int64_t columns, bool accumulate, float *gradients);
};

/* Memory that is wanted soon. Products touch the inner caches alone: meanwhile what the transforms before and after them
 * read and write is brought nearer, so that memory and arithmetic do not take turns. A little with each group of tiles
 * or band of channels, one stream after the other. */
struct winograd_stream {
    const char *from;
    int64_t lines; /* of a cache, still to fetch; 0 ends the streams */
};
struct winograd_fetch {
    struct winograd_stream streams[WINOGRAD_STREAMS + 1];
    int64_t at;   /* the stream that is being fetched */
    int64_t each; /* lines at a time */
};

/* M = V U for one panel of `columns` real columns. */
struct winograd_product {
    const float *v, *u;
    int64_t step, tiles, depth, columns; /* depth: channels, in units of 32 bits */
    struct winograd_fetch *fetch;
    float *m;
};

/* dU = V' W, or added to it, for channels first … first+count-1 (first a multiple of band) and one panel of W, whose
 * tiles begin at w. */
struct winograd_outer {
    const float *v, *w;
    int64_t v_step, w_step, places, channels, first, count, columns; /* places: tiles, in units of 32 bits */
    bool accumulate;
    struct winograd_fetch *fetch;
    float *du;
};

/* winograd_products.c */
struct winograd_products {
    int64_t lanes, panel; /* of a vector, and the columns of two */
    int64_t group, band;  /* tiles and channels at a time, as defined above */
    void (*forward)(const struct winograd_product *p);
    void (*outer)(const struct winograd_outer *o);
};

/* Those of the active instruction set and words; never called for the reference, nor where bf16_winograd.c does not
 * run. */
const struct winograd_transforms *cnn_winograd_transforms(bool half);
const struct winograd_inverses *cnn_winograd_inverses(bool half);
const struct winograd_products *cnn_winograd_products(bool half);
/* bf16_winograd_*.c, called by these. */
const struct winograd_transforms *cnn_bf16_winograd_transforms(void);
const struct winograd_inverses *cnn_bf16_winograd_inverses(void);
const struct winograd_products *cnn_bf16_winograd_products(void);

/* How many 32 bits hold `count` channels or tiles: each one, or half two, as products of bfloat16 take them. */
static inline int64_t cnn_winograd_units(int64_t count, bool half) { return half ? cnn_ceil_div(count, 2) : count; }

/* The place of a channel in V laid out for the gradient, tile 0; *width gets that of its band. */
static inline int64_t cnn_winograd_band(int64_t band, int64_t lanes, int64_t channel, int64_t channels, int64_t places,
                                        int64_t *width) {
    int64_t first = channel / band * band;
    *width = CNN_MIN(band, cnn_round_up(channels - first, lanes));
    return first * places + channel - first;
}

/* The tiles of a view; what is beside an image or past its end is read from `pixels`, which gets two pixels in whole
 * vectors: cnn_winograd_pixels floats. */
struct winograd_tiles cnn_winograd_tiles(const struct conv_view *v, int64_t side, bool half, const void *source,
                                         float *pixels);
static inline int64_t cnn_winograd_pixels(const struct conv_view *v) { return 2 * cnn_round_up(v->c, WINOGRAD_WIDEST); }

/* Sets side, across, down and total. */
void cnn_winograd_count(const struct conv_view *v, int64_t side, struct winograd_tiles *t);

/* Floats from a frequency of V, W or U to the next: an odd number of cache lines, so that writing all frequencies of a
 * vector does not fall into a few sets of the cache. */
static inline int64_t cnn_winograd_step(int64_t tiles, int64_t channels) {
    return (cnn_ceil_div(tiles * channels, 16) | 1) * 16;
}

/* Floats of U of a panel. */
static inline int64_t cnn_winograd_panel(int64_t channels, int64_t columns) {
    return WINOGRAD_FREQUENCIES * cnn_winograd_step(channels, columns);
}

/* Columns of the panel that begins at column `first`, padding included. */
static inline int64_t cnn_winograd_width(int64_t panel, int64_t columns, int64_t first) {
    return columns - first > panel / 2 ? panel : panel / 2;
}

/* The lines of the image rows that tiles first … first+count-1 read, as far as there are such tiles; and of those that
 * they write in `array`, which is shaped as the output (NULL: none). */
struct winograd_stream cnn_winograd_read(const struct winograd_tiles *t, int64_t first, int64_t count);
struct winograd_stream cnn_winograd_written(const struct winograd_tiles *t, int64_t first, int64_t count,
                                            const void *array);

/* Fetches the streams in `times` portions; those that are empty are left out. */
struct winograd_fetch cnn_winograd_fetch(const struct winograd_stream *streams, int count, int64_t times);

/* The next lines of what is wanted soon, into L2. */
static inline __attribute__((always_inline)) void cnn_winograd_fetch_some(struct winograd_fetch *f) {
    for (int64_t left = f->each; left > 0 && f->streams[f->at].lines > 0;) {
        struct winograd_stream *s = f->streams + f->at;
        for (; left > 0 && s->lines > 0; left--, s->lines--, s->from += CNN_LINE) __builtin_prefetch(s->from, 0, 2);
        if (!s->lines) f->at++;
    }
}

typedef float cnn_float4 __attribute__((vector_size(16)));
typedef float cnn_float4_unaligned __attribute__((vector_size(16), aligned(4), may_alias));
/* to[i * step + j] = from[j * column_step + i] for i, j < 4. */
static inline void cnn_transpose4(const float *from, int64_t column_step, float *to, int64_t step) {
    cnn_float4 a = *(const cnn_float4_unaligned *)from, b = *(const cnn_float4_unaligned *)(from + column_step);
    cnn_float4 c = *(const cnn_float4_unaligned *)(from + 2 * column_step);
    cnn_float4 d = *(const cnn_float4_unaligned *)(from + 3 * column_step);
    cnn_float4 ac = CNN_MIX(a, c, 0, 4, 1, 5), AC = CNN_MIX(a, c, 2, 6, 3, 7);
    cnn_float4 bd = CNN_MIX(b, d, 0, 4, 1, 5), BD = CNN_MIX(b, d, 2, 6, 3, 7);
    *(cnn_float4_unaligned *)to = CNN_MIX(ac, bd, 0, 4, 1, 5);
    *(cnn_float4_unaligned *)(to + step) = CNN_MIX(ac, bd, 2, 6, 3, 7);
    *(cnn_float4_unaligned *)(to + 2 * step) = CNN_MIX(AC, BD, 0, 4, 1, 5);
    *(cnn_float4_unaligned *)(to + 3 * step) = CNN_MIX(AC, BD, 2, 6, 3, 7);
}

/* For both families, this one and that of bf16_winograd.c, for which `half` is set and x, y, add and gate are bfloat16.
 * winograd.c: */
bool cnn_winograd_suits(const cnn_conv2d *p, int pass);
int64_t cnn_winograd_workspace(const cnn_conv2d *p, int pass, bool half); /* floats */
int64_t cnn_winograd_packed(const cnn_conv2d *p, int pass, bool half);    /* floats */
cnn_status cnn_winograd_pack(const cnn_conv2d *p, int pass, bool half, const float *weight, float *packed);
/* Forward and backward-data. */
cnn_status cnn_winograd_map(const cnn_conv2d *p, int pass, bool half, const void *source, const float *packed,
                            const cnn_bf16_finish *finish, void *out, float *workspace);
/* winograd_weights.c: */
cnn_status cnn_winograd_weights(const cnn_conv2d *p, bool half, const void *x, const void *dy, float *dweight,
                                float *dbias, float *workspace);
int64_t cnn_winograd_weights_workspace(const cnn_conv2d *p, bool half);

#endif
