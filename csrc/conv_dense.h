/* What the files of dense convolutions share: conv_dense.c (the family, forward and backward-data),
 * conv_dense_weights.c (backward-weights), and below them conv_dense_sums.c (how its sums are cut and added up),
 * conv_dense_pack.c (weights to panels and back) and conv_dense_gather.c (pixels to rows).
 *
 * bf16_dense.c goes the same ways: two neighbouring channels of bfloat16 are one unit of 32 bits, and are moved about
 * as a float would be. */
#ifndef CNN_CONV_DENSE_H
#define CNN_CONV_DENSE_H

#include "conv_family.h"
#include "conv_view.h"
#include "gemm.h"

/* Rows pixel … pixel+count-1 of A, columns from … to-1. */
struct dense_gather {
    const struct conv_view *view;
    const float *source, *end; /* end: of the memory that may be read */
    int64_t pixel, count, from, to;
    float *a;         /* rows are CNN_DEPTH_STRIDE apart */
    int64_t *offsets; /* get the results' places; NULL: not asked */
};

struct dense_kernels {
    void (*gather)(const struct dense_gather *g);
};

const struct dense_kernels *cnn_dense_kernels(void);

/* Whether A lies in the source as it is: result i reads the c floats from source + i * pixel on, and nothing else. */
bool cnn_dense_in_place(const struct conv_view *v);

/* What backward-data and its packing do for each class of pixels of dx, whose packed weights lie one behind the
 * other. Classes beyond the image have no pixels; a senseless stride would make them endless. */
static inline int64_t cnn_dense_classes(const cnn_conv2d *p) {
    return CNN_MIN(p->stride_h, p->h) * CNN_MIN(p->stride_w, p->w);
}

static inline struct conv_view cnn_dense_class_view(const cnn_conv2d *p, int64_t class) {
    int64_t columns = CNN_MIN(p->stride_w, p->w);
    return cnn_conv_backward_view(p, class / columns, class % columns);
}

static inline int64_t cnn_dense_class_packed(const cnn_conv2d *p, const struct conv_view *v) {
    return p->groups * cnn_packed_size(cnn_view_depth(v), p->c / p->groups);
}

/* A product over a view, of all groups. */
struct dense_product {
    const struct conv_view *view;
    int64_t columns; /* of a group */
    void (*product)(const struct gemm_product *p);
    bool
        half; /* of bfloat16: floats of the view and of the two arrays below are units, out and finish's are bfloat16 */
    const float *source, *packed;
    const cnn_finish *finish;
    float *out;
};

cnn_status cnn_dense_multiply(const cnn_conv2d *p, const struct dense_product *wanted);

/* Weights seen as a matrix [taps * c][columns]: column and channel are the two strides in OIHW. */
struct dense_weights {
    const struct conv_view *view;
    const float *weight;
    bool transposed; /* for backward-data: columns are input channels */
    int64_t columns, column_stride, channel_stride, window, group_weights;
};

struct dense_weights cnn_dense_weights(const cnn_conv2d *p, const struct conv_view *v, bool transposed,
                                       const float *weight);
/* Columns first … first+width-1 of a group as a panel, padded with zeros. */
void cnn_dense_pack_panel(const struct dense_weights *w, int64_t group, int64_t first, int64_t width, float *to);

/* What backward-weights adds up: of 1 x 1 kernels, rows are output channels and columns input channels; of others, rows
 * are taps and input channels, columns output channels. */
struct dense_sums {
    const struct conv_view *view;
    const float *x, *dy;
    float *dweight, *dbias;
    int64_t k, outputs, groups; /* k of one group, outputs of all */
    /* Sums of a range: every group's rows, then, where they are wanted, every output's bias. */
    float *sums, *bias;
    int64_t stride, group_sums, range_sums;
    int64_t rows, row_blocks, columns, column_blocks, range, ranges;
};

/* The chunk's share: which group, rows, columns and pixels. */
struct dense_share {
    int64_t group, row, rows, column, columns, begin, end;
    float *sums, *bias; /* bias NULL: another chunk's */
};

static inline bool cnn_dense_points(const cnn_conv2d *p) { return p->kh * p->kw == 1; }

/* Rows so far apart, in floats, spread over all sets of L1: an odd number of cache lines. */
static inline int64_t cnn_dense_spread(int64_t floats) { return (cnn_ceil_div(floats, 16) | 1) * 16; }

/* Of `rows` and `columns` in all. */
struct dense_share cnn_dense_share(const struct dense_sums *w, int64_t chunk, int64_t rows, int64_t columns);
/* The whole pass, by chunks whose context is a struct dense_sums, for 1 x 1 kernels and for others. */
cnn_status cnn_dense_sum(const cnn_conv2d *p, const float *x, const float *dy, float *dweight, float *dbias,
                         float *workspace, cnn_chunk points, cnn_chunk windows);

/* A panel of sums, rows (tap, channel), as columns of dweight, (channel, tap). */
void cnn_dense_unpack(const struct conv_view *v, const float *panel, int64_t real, int64_t width, float *dweight);

/* The parts of the family that are not in conv_dense.c. */
int64_t cnn_dense_packed(const cnn_conv2d *p, int pass);
cnn_status cnn_dense_pack(const cnn_conv2d *p, int pass, const float *weight, float *packed);
int64_t cnn_dense_workspace(const cnn_conv2d *p, int pass);
cnn_status cnn_dense_backward_weights(const cnn_conv2d *p, const float *x, const float *dy, float *dweight,
                                      float *dbias, float *workspace);

#endif
