/* What conv_planar.c and its templates share. */
#ifndef CNN_CONV_PLANAR_H
#define CNN_CONV_PLANAR_H

#include "conv_family.h"
#include "finish.h"

#define MOST_OUTPUTS 7
#define WIDEST 16 /* lanes of any instruction set */

/* A row of results. */
struct planar_row {
    const float *x; /* planes of the rows that it meets, [row][c][pitch]; tap 0 of result 0 is at 0 */
    int64_t planes, pitch, kw;
    const float *weight; /* [row][c][tap][k] */
    int64_t columns;
    const cnn_finish *finish;
    float *out;
    int64_t at, room; /* where result 0 goes; the floats that may be written from there on */
    int64_t line;     /* where the finish is pooled: planes of one row, in floats … */
    float *pooled;    /* … and room for a row of results, [k][pooled_pitch], and for which they were */
    int32_t *taps;
};

struct planar_kernels {
    void (*rows[MOST_OUTPUTS])(const struct planar_row *row); /* by k */
};

struct planar_pair_kernels {
    void (*pairs[MOST_OUTPUTS])(const struct planar_row *row); /* by k: two rows, pooled into one */
};

/* Columns of a row of results that is pooled, in whole vectors, and those beside them that vectors write. */
static inline int64_t pooled_pitch(int64_t columns) { return cnn_round_up(columns / 2, WIDEST) + WIDEST; }

CNN_DECLARE_TABLES(planar_kernels, cnn_planar_kernels);           /* conv_planar_tmpl.c's */
CNN_DECLARE_TABLES(planar_pair_kernels, cnn_planar_pair_kernels); /* conv_planar_pairs_tmpl.c's */

const struct planar_pair_kernels *cnn_planar_pairs(void); /* of the active instruction set; never the reference */

#endif
