/* What the files of dense convolutions over bfloat16 share: bf16_dense.c (the family, forward and backward-data),
 * bf16_dense_weights.c (backward-weights), bf16_dense_pack.c (weights), bf16_dense_product.c and bf16_dense_outer.c
 * (which kernels). They go the ways of conv_dense.h.
 *
 * A unit is 32 bits, two bfloat16 whose products are added up by one instruction: two neighbouring channels of a pixel,
 * or for gradients of weights the same channel of two pixels. Pointers to units are pointers to float, as conv_dense.h
 * and gemm.h have them: nothing but these kernels computes with what is there. */
#ifndef CNN_BF16_DENSE_H
#define CNN_BF16_DENSE_H

#include "bf16_conv.h"
#include "conv_dense.h"

struct half_kernels {
    /* A of units times panels of units, [depth][columns]; where p->half, its results are rounded to bfloat16. */
    void (*product)(const struct gemm_product *p);
    /* A panel [2 * depth][width] of floats, rounded, as one of units. */
    void (*join)(int64_t depth, int64_t width, const float *panel, float *units);
};

struct half_outer_kernels {
    /* out = A' B of floats, of units of two pixels; b_stride is not 0. */
    void (*outer)(const struct gemm_outer *p);
    /* Rows of columns, rows `stride` numbers apart, two by two as rows of units, to_stride apart, whose last vector is
     * filled up with zeros; of an odd number of rows, the last one goes with zeros. */
    void (*pair)(int64_t rows, int64_t columns, const uint16_t *source, int64_t stride, float *to, int64_t to_stride);
    /* sums += each column's sum, of rows of units. */
    void (*sum)(int64_t rows, int64_t columns, const float *units, int64_t stride, float *sums);
};

extern const struct half_kernels cnn_half_kernels_avx512, cnn_half_kernels_bf16;
extern const struct half_outer_kernels cnn_half_outer_kernels_avx512, cnn_half_outer_kernels_bf16;

/* NULL where the active instruction set and words have none. */
const struct half_kernels *cnn_half(void);
const struct half_outer_kernels *cnn_half_outer(void);

int64_t cnn_half_packed(const cnn_bf16_conv2d *p, int pass);
cnn_status cnn_half_pack(const cnn_bf16_conv2d *p, int pass, const float *weight, void *packed);
cnn_status cnn_half_backward_weights(const cnn_bf16_conv2d *p, const void *x, const void *dy, float *dweight,
                                     float *dbias, void *workspace);

/* A view of channels as one of units. */
static inline struct conv_view cnn_half_view(struct conv_view v) {
    v.c /= 2;
    v.pixel /= 2;
    return v;
}

/* Bytes of packed weights over this view of units, of all groups. */
static inline int64_t cnn_half_view_packed(const cnn_conv2d *s, const struct conv_view *v, int64_t columns) {
    return s->groups * cnn_packed_size(cnn_view_depth(v), columns) * (int64_t)sizeof(float);
}

#endif
