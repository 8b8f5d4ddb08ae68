/* What the files of dense convolutions share: conv_dense.c (the family, forward and backward-data),
 * conv_dense_weights.c (backward-weights), and below them conv_dense_pack.c (weights to panels and back) and
 * conv_dense_gather.c (pixels to rows). */
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

/* A panel of sums, rows (tap, channel), as columns of dweight, (channel, tap). */
void cnn_dense_unpack(const struct conv_view *v, const float *panel, int64_t real, int64_t width, float *dweight);

/* The parts of the family that are not in conv_dense.c. */
int64_t cnn_dense_packed(const cnn_conv2d *p, int pass);
cnn_status cnn_dense_pack(const cnn_conv2d *p, int pass, const float *weight, float *packed);
int64_t cnn_dense_workspace(const cnn_conv2d *p, int pass);
cnn_status cnn_dense_backward_weights(const cnn_conv2d *p, const float *x, const float *dy, float *dweight,
                                      float *dbias, float *workspace);

#endif
