/* What becomes of a result of a convolution or dense layer before it is stored (cnn_finish in cnn.h), one by one. */
#ifndef CNN_FINISH_H
#define CNN_FINISH_H

#include "internal.h"

/* What finish makes of the sum that belongs to result `i`, of `channel`: the definition, for the reference and for
 * the ends of vectors. What is added is added to a float, as if the sum had been stored before. */
static inline double cnn_finished(const cnn_finish *f, int64_t i, int64_t channel, double sum) {
    if (!f) return sum;
    if (f->bias) sum += f->bias[channel];
    if (f->add) sum = (float)sum + f->add[i];
    if (f->activation == CNN_IDENTITY) return sum;
    double top = f->activation == CNN_RELU6 ? 6 : INFINITY;
    if (f->gate) return f->gate[i] > 0 && f->gate[i] < top ? sum : 0;
    return sum > 0 ? CNN_MIN(sum, top) : sum == sum ? 0 : sum;
}

#endif
