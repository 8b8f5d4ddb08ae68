/* What the files of first layers to bfloat16 share: bf16_first.c, bf16_first_weights.c, and bf16_first_rows.c with its
 * template. A unit is 32 bits, two bfloat16 whose products are added up by one instruction. Pointers to units are
 * pointers to float: nothing but the kernels computes with them. */
#ifndef CNN_BF16_FIRST_H
#define CNN_BF16_FIRST_H

#include "bf16_conv.h"

/* A row of results. What one of them reads of a row of the image is one run of values. */
struct half_first_row {
    const uint16_t *x;     /* the first result's run in the first row */
    int64_t rows, stride;  /* rows that are read, values from one to the next */
    int64_t run, step;     /* values of a run, and from one result's to the next one's */
    const float *weight;   /* as cnn_bf16_first packs them */
    int64_t taps, skipped; /* rows of taps; how many of them are above the image */
    const cnn_bf16_finish *finish;
    void *y;
    int64_t at, results, k; /* number of the first result, as y counts */
};

/* Gradients from some rows of results. */
struct half_first_sums {
    const float *x; /* units of two results' values: rows x_stride apart, and those of two rows of results row_step */
    int64_t x_stride, row_step, step; /* step: from one pair of results to the next */
    int64_t rows, results;
    const float *dy;            /* units of two results: a row for each pair, `columns` apart */
    int64_t columns, taps, run; /* taps: rows of them */
    float *sums;                /* [taps][run][columns], added to */
};

struct half_first_kernels {
    void (*row)(const struct half_first_row *r);
    /* units[i] = x[i] and x[i + step]: whole vectors of them. */
    void (*pair)(int64_t count, int64_t step, const uint16_t *x, float *units);
    void (*gradients)(const struct half_first_sums *g);
    void (*round)(int64_t count, const float *x, uint16_t *y);
};

extern const struct half_first_kernels cnn_half_first_avx512, cnn_half_first_bf16;

/* NULL where the active instruction set and words have none. */
const struct half_first_kernels *cnn_half_first(void);

/* Values of a run. */
static inline int64_t cnn_half_first_run(const cnn_conv2d *s) { return s->kw * s->c; }

/* Row y of an image, rounded, as results see it: from the first one's run on, `width` values; zeros where there is no
 * pixel. `image` is its first pixel. */
void cnn_half_first_fill(const cnn_conv2d *s, const float *image, int64_t y, int64_t width, uint16_t *to);

int64_t cnn_half_first_weights_workspace(const cnn_conv2d *s);
cnn_status cnn_half_first_weights(const cnn_conv2d *s, const float *x, const uint16_t *dy, float *dweight, float *dbias,
                                  float *workspace);

#endif
