/* Batch normalisation's statistics, for norm.c and for whoever produces the rows that are to be normalised: rows that
 * have just been written are still in cache when they are counted. Moments of some rows go into a slot, any number of
 * slots are combined into the batch's mean and variance. Read norm.c next. */
#ifndef CNN_NORM_H
#define CNN_NORM_H

#include "internal.h"

/* A slot: 3 x c floats, a centre and the sums of x - centre and of (x - centre)^2, then the number of rows (below
 * 2^24, so that a float holds it). Slots lie one behind the other, this many floats apart. */
static inline int64_t cnn_norm_slot(int64_t c) { return 3 * c + 1; }

/* The floats of scratch memory that cnn_norm_moments needs. */
int64_t cnn_norm_scratch(int64_t c);
/* Fills a slot from 1 … 2^24 - 1 rows of c channels. For the vector instruction sets only: the reference sums a
 * whole batch at once. */
void cnn_norm_moments(int64_t rows, int64_t c, const float *x, float *scratch, float *slot);
/* The mean of channels from … to-1, 64 at most, over all rows of these slots, and the sum of the squared differences
 * from it. */
void cnn_norm_combine(int64_t slots, int64_t c, const float *slot, int64_t from, int64_t to, double *mean,
                      double *square_sum);

#endif
