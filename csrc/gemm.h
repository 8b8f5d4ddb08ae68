/* The matrix kernels that convolutions and dense layers are made of; gemm.c picks them by instruction set.
 *
 * Both multiply a matrix A, whose rows lie a stride apart, with columns that lie in packed panels: a panel holds some
 * columns as [depth][columns], padded with zeros. conv_dense.c finds or gathers A and says what depth and columns are
 * in each pass. */
#ifndef CNN_GEMM_H
#define CNN_GEMM_H

#include "internal.h"

/* What is summed at once, so that a panel of columns stays in L2. Gathered rows of A lie 65 cache lines apart, so that
 * they spread over all sets of L1. */
#define CNN_DEPTH 1024
#define CNN_DEPTH_STRIDE (CNN_DEPTH + 16)

/* The widest step of columns that any instruction set rounds up to: memory for panels is sized for it. */
#define CNN_WIDEST_LANES 8
#define CNN_WIDEST_PANEL 32

/* How many columns go together. Columns are padded to a multiple of `lanes` and cut into panels of `panel`, the last
 * one of what is left. Where that would be a single step of `lanes` behind others, which keeps few multiply-adds going,
 * the last panel + lanes columns are cut into `odd` and the rest, if there is one. */
struct gemm_width {
    int64_t panel, lanes, odd;
};

struct gemm_product {
    const float *a; /* `rows` rows of `depth` floats, `stride` apart */
    int64_t rows, stride, depth;
    const float *packed; /* the panels of all `columns`, of depth whole_depth … */
    int64_t columns, whole_depth;
    int64_t first_depth;   /* … in which `depth` begins here */
    int64_t panel, panels; /* the first panel to use, and how many */
    float *out;            /* result (row, column) goes to out[offsets[row] + column] */
    const int64_t *offsets;
    const float *onto; /* added first: (row, column) is at onto[row * onto_stride + column]; NULL: nothing */
    int64_t onto_stride;
    const cnn_finish *finish; /* its arrays begin at column 0 and, add and gate, are laid out as out; NULL: none */
    bool half;                /* out, add and gate are bfloat16, which kernels for that ask alone (bf16_dense.h) */
};

struct gemm_outer {
    const float *a; /* `depth` rows, `stride` apart, of which `rows` columns are read */
    int64_t rows, stride, depth;
    const float *b; /* `depth` rows of columns, b_stride apart, or where that is 0 panels of this depth */
    int64_t b_stride, columns;
    float *out; /* row-major, rows out_stride apart */
    int64_t out_stride;
    bool accumulate; /* onto what out holds */
};

/* Four sums of one row, of `depth` products each, one behind the other. */
struct gemm_parts {
    const float *a;
    int64_t depth;
    const float *packed; /* as gemm_product's, from first_depth on */
    int64_t columns, whole_depth, first_depth;
    float *out; /* with room for whole steps of columns; parts are out_stride apart */
    int64_t out_stride;
};

struct gemm_kernels {
    struct gemm_width width;
    void (*product)(const struct gemm_product *p); /* out = A B */
    void (*four_parts)(const struct gemm_parts *p);
    /* One row: out[at + column] = finish(the parts of sums, `stride` apart, added in order). */
    void (*add_parts)(int64_t parts, const float *sums, int64_t stride, int64_t columns, const cnn_finish *finish,
                      int64_t at, float *out);
};

struct gemm_outer_kernels {
    void (*outer)(const struct gemm_outer *p); /* out = A' B */
};

struct gemm_rows {
    /* Packs rows of columns, rows apart by `stride`, into panels. */
    void (*pack)(int64_t rows, int64_t columns, const float *source, int64_t stride, float *packed);
    /* sums += each column's sum. */
    void (*sum)(int64_t rows, int64_t columns, const float *source, int64_t stride, float *sums);
};

CNN_DECLARE_TABLES(gemm_kernels, cnn_gemm_kernels);             /* gemm_tmpl.c's */
CNN_DECLARE_TABLES(gemm_outer_kernels, cnn_gemm_outer_kernels); /* gemm_outer_tmpl.c's */

/* The kernels of the active instruction set; never called for the reference. */
const struct gemm_kernels *cnn_gemm(void);
const struct gemm_outer_kernels *cnn_gemm_outer(void);
const struct gemm_rows *cnn_gemm_rows(void);

static inline bool cnn_panel_odd(const struct gemm_width *w, int64_t columns) {
    int64_t total = cnn_round_up(columns, w->lanes);
    return total > w->panel && total % w->panel == w->lanes;
}

static inline int64_t cnn_panel_count(const struct gemm_width *w, int64_t columns) {
    return cnn_ceil_div(columns, w->panel) - (w->odd == w->panel + w->lanes && cnn_panel_odd(w, columns));
}

/* The column at which panel `index` begins; for the count of panels, where they end. */
static inline int64_t cnn_panel_begin(const struct gemm_width *w, int64_t columns, int64_t index) {
    if (index >= cnn_panel_count(w, columns)) return cnn_round_up(columns, w->lanes);
    bool second = index == cnn_ceil_div(columns, w->panel) - 1 && cnn_panel_odd(w, columns);
    return second ? (index - 1) * w->panel + w->odd : index * w->panel;
}

/* Floats that `columns` packed columns take at most, whatever the instruction set. */
static inline int64_t cnn_packed_size(int64_t depth, int64_t columns) {
    return depth * cnn_round_up(columns, CNN_WIDEST_LANES);
}

#endif
