/* The matrix kernels that convolutions and dense layers are made of; gemm.c picks them by instruction set.
 *
 * Both multiply a panel A, whose rows lie CNN_DEPTH_STRIDE floats apart, with columns that lie in packed panels:
 * a panel holds `panel` columns (the last one `panel / 2` where that many are enough), as [depth][columns], padded
 * with zeros. conv_dense.c gathers A and says what depth and columns are in each pass. */
#ifndef CNN_GEMM_H
#define CNN_GEMM_H

#include "internal.h"

/* A row of A is at most this long, so that a panel of columns stays in L2. The stride is a constant, so that a row
 * costs no register, and 65 cache lines long, so that rows spread over all sets of L1. */
#define CNN_DEPTH 1024
#define CNN_DEPTH_STRIDE (CNN_DEPTH + 16)

/* The widest panel of any instruction set: working memory is sized for it. */
#define CNN_WIDEST_PANEL 32

struct gemm_product {
    const float *a;         /* [rows][CNN_DEPTH_STRIDE] */
    int64_t rows, depth;
    const float *panels;    /* the first panel of columns, at the first depth to use */
    int64_t columns;
    int64_t whole_depth;    /* the panels' own depth */
    int64_t first_depth;    /* where in it `depth` begins */
    float *out;             /* result (row, column) goes to out[offsets[row] + column] */
    const int64_t *offsets;
    const float *bias;      /* one a column, added last; NULL: none */
    bool accumulate;        /* onto what out holds */
};

struct gemm_outer {
    const float *a;         /* [depth][CNN_DEPTH_STRIDE], read by columns */
    int64_t rows, depth;
    const float *panels;    /* [depth][columns] panels of their own depth */
    int64_t columns;
    float *out;             /* panels [whole_rows][columns], from row first_row on */
    int64_t whole_rows, first_row;
    bool accumulate;
};

struct gemm_kernels {
    int64_t panel;                                        /* columns in a panel */
    void (*product)(const struct gemm_product *p);        /* out = A B */
    void (*outer)(const struct gemm_outer *p);            /* out = A' B */
    /* Packs rows of columns, rows apart by `stride`, into panels. sums (NULL: no) += each column's sum; it has
     * room for whole panels. */
    void (*pack_rows)(int64_t rows, int64_t columns, const float *source, int64_t stride, float *panels, float *sums);
};

/* The kernels of the active instruction set; never called for the reference. */
const struct gemm_kernels *cnn_gemm(void);

/* Columns of the panel that begins at column `first`, padding included. */
static inline int64_t cnn_panel_width(int64_t panel, int64_t columns, int64_t first) {
    return columns - first > panel / 2 ? panel : panel / 2;
}

/* Floats that `columns` packed columns take at most, whatever the instruction set. */
static inline int64_t cnn_packed_size(int64_t depth, int64_t columns) {
    return depth * cnn_round_up(columns, CNN_WIDEST_PANEL);
}

#endif
