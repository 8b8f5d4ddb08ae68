/* What the files of activations share: the functions as plain numbers, and a table of their versions, over numbers as they
 * are stored. Read pointwise.c next. */
#ifndef CNN_POINTWISE_H
#define CNN_POINTWISE_H

#include "bf16_numbers.h"

struct pointwise_kernels {
    void (*forward)(int activation, float slope, int64_t count, const void *x, void *y);
    void (*backward)(int activation, float slope, int64_t count, const void *x, const void *y, const void *dy,
                     void *dx);
};

static inline float pointwise_activate(int activation, float slope, float x) {
    switch (activation) {
        case CNN_RELU: return x < 0 ? 0 : x; /* NaN stays NaN */
        case CNN_RELU6: return x < 0 ? 0 : x > 6 ? 6 : x;
        case CNN_LEAKY_RELU: return x < 0 ? slope * x : x;
        case CNN_SILU: return x / (1 + expf(-x));
        case CNN_SIGMOID: return 1 / (1 + expf(-x));
        default: return tanhf(x);
    }
}

/* The slope of `activation` at x, where y = activate(x) is known. */
static inline float pointwise_slope(int activation, float slope, float x, float y) {
    switch (activation) {
        case CNN_RELU: return y > 0 ? 1 : 0;
        case CNN_RELU6: return y > 0 && y < 6 ? 1 : 0;
        case CNN_LEAKY_RELU: return y > 0 ? 1 : slope;
        case CNN_SILU: {
            float s = 1 / (1 + expf(-x));
            return s * (1 + x * (1 - s));
        }
        case CNN_SIGMOID: return y * (1 - y);
        default: return 1 - y * y;
    }
}

/* bf16_pointwise.c: over maps of bfloat16, for the active instruction set and words; the reference, too. */
const struct pointwise_kernels *cnn_bf16_pointwise(void);

#endif
