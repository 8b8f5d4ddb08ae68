/* What the files of depthwise convolutions share: depthwise.c (the family, forward and backward-data),
 * depthwise_weights.c (backward-weights), and bf16_depthwise.c, the same family over bfloat16. */
#ifndef CNN_DEPTHWISE_H
#define CNN_DEPTHWISE_H

#include "bf16_numbers.h"
#include "conv_family.h"
#include "conv_view.h"

/* Keeps an address: compilers would rather have one for each pixel of a tile. */
#define HOLD_POINTER(a) __asm__("" : "+r"(a))

/* Shapes that have kernels of their own. */
static inline bool cnn_depthwise_common(const cnn_conv2d *p) {
    return p->c >= 4 && (p->kw == 3 || p->kw == 5) && p->kh <= 16 && p->stride_w <= 2 && p->stride_h == p->stride_w &&
           p->dilation_h == 1 && p->dilation_w == 1;
}

/* Source and results that are not to be found in L2. */
static inline bool cnn_depthwise_large(const cnn_conv2d *p, int storage) {
    return p->n * (p->h * p->w + p->oh * p->ow) * p->c * cnn_bf16_bytes(storage) > 1 << 20;
}

#define BLOCK 16 /* channels whose packed weights lie together: no vector is longer */

/* Forward or backward-data as a walk over results, each of which meets taps_h rows of the source. */
struct depthwise_walk {
    const void *source;  /* as it is stored, and so are results */
    const float *weight; /* [blocks of channels][taps][BLOCK] */
    const cnn_bf16_finish *finish;
    void *out;
    int64_t pixel;                        /* numbers to the next pixel, of source or result */
    int64_t height, width, rows, columns; /* of a source image and of its results */
    int64_t taps_h;
    int64_t top, left;   /* the source pixel that result (0, 0) meets at tap (0, 0); in backward-data of stride 2: the
                          * row of taps at which it meets source row 0, and the column that it is seen from, which
                          * counts results and is that of the last tap */
    int64_t start, step; /* the first tile's first column; columns used of a tile */
    bool large;          /* whether memory is worth asking ahead */
};

/* `count` rows of an image's results, from `row` on, channels [first, last). */
typedef void (*depthwise_rows_kernel)(const struct depthwise_walk *w, int64_t first, int64_t last, int64_t image,
                                      int64_t row, int64_t count);

struct depthwise_kernels {
    int64_t lanes;                       /* of a vector */
    depthwise_rows_kernel rows[2][2][3]; /* 3 or 5 wide; stride 1 or 2; widths */
    depthwise_rows_kernel spread[2];     /* 3 or 5 wide; backward-data of stride 2 */
    /* Any convolution: `count` rows of all images' results, from `row` on. */
    void (*general_rows)(const struct conv_view *v, const void *source, const float *weight,
                         const cnn_bf16_finish *finish, void *out, int64_t row, int64_t count);
};

CNN_DECLARE_TABLES(depthwise_kernels, cnn_depthwise_kernels); /* depthwise_tmpl.c's */

/* bf16_depthwise_rows.c: those for maps of bfloat16, with the widest vectors that the channels fill. */
const struct depthwise_kernels *cnn_bf16_depthwise_rows(int64_t channels);

/* For both families: source, result, add and gate, or x and dy, are stored as a cnn_storage says. Otherwise as struct
 * conv_family says. */
bool cnn_depthwise_suits(const cnn_conv2d *p, int pass);
int64_t cnn_depthwise_packed(const cnn_conv2d *p, int pass);
cnn_status cnn_depthwise_pack(const cnn_conv2d *p, int pass, const float *weight, float *packed);
cnn_status cnn_depthwise_map(const cnn_conv2d *p, int pass, int storage, const void *source, const float *packed,
                             const cnn_bf16_finish *finish, void *out);

/* depthwise_weights.c: the third pass, and every pass's workspace, in floats. */
cnn_status cnn_depthwise_weights(const cnn_conv2d *p, int storage, const void *x, const void *dy, float *dweight,
                                 float *dbias, float *workspace);
int64_t cnn_depthwise_workspace(const cnn_conv2d *p, int pass);

#endif
