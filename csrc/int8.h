/* What the int8 kernels share: what becomes of a sum, one by one, which the plain loops and the ends of vectors use. */
#ifndef CNN_INT8_H
#define CNN_INT8_H

#include "internal.h"

/* Steps of a sum of two activations: results are counted in 1 / 4096 before they are rounded. */
#define CNN_INT8_PARTS 4096
#define CNN_INT8_LARGEST 536870912.0f /* 2^29: what a sum of parts is kept below */

static inline int64_t cnn_int8_clamp(int64_t a, int64_t least, int64_t most) {
    return CNN_MIN(CNN_MAX(a, least), most);
}

/* The nearest whole number, and of two the even one, within low … high. NaN is low. */
static inline int64_t cnn_int8_nearest(float a, float low, float high) {
    a = a > low ? a : low;
    return (int64_t)__builtin_rintf(a < high ? a : high);
}

/* What finish makes of the sum that belongs to result `i`, of `channel`. */
static inline uint8_t cnn_int8_finished(const cnn_requantise *f, int64_t i, int64_t channel, int32_t sum) {
    float real = (float)(sum + f->bias[channel]), multiplier = f->multiplier[channel];
    if (!f->add) {
        float low = (float)(f->least - f->zero), high = (float)(f->most - f->zero);
        return (uint8_t)(cnn_int8_nearest(real * multiplier, low, high) + f->zero);
    }
    int64_t parts = cnn_int8_nearest(real * (multiplier * CNN_INT8_PARTS), -CNN_INT8_LARGEST, CNN_INT8_LARGEST);
    parts += (f->add[i] - f->add_zero) * f->add_multiplier + CNN_INT8_PARTS / 2;
    return (uint8_t)cnn_int8_clamp((parts >> 12) + f->zero, f->least, f->most);
}

#endif
