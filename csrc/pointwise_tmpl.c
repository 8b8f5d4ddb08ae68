/* Activations, the vector version: one pass over contiguous numbers. Compiled per instruction set by foreach_isa.h on
 * behalf of pointwise.c, whose reference says what each function computes, and again for maps of bfloat16 on behalf of
 * bf16_pointwise.c (stored.h). */

#include "stored.h"

CNN_INLINE vf ISA(activate)(int activation, vf slope, vf x) {
    const vf zero = vset(0), one = vset(1);
    switch (activation) {
        case CNN_RELU: return vselect(x < zero, zero, x);
        case CNN_RELU6: return vselect(x < zero, zero, vselect(x > 6 * one, 6 * one, x));
        case CNN_LEAKY_RELU: return vselect(x < zero, slope * x, x);
        case CNN_SILU: return x / (one + vexp(-x));
        case CNN_SIGMOID: return one / (one + vexp(-x));
        default: {
            /* tanh |x| = (1 - e^-2|x|) / (1 + e^-2|x|); near 0, where that cancels, the odd series instead. */
            vf a = vselect(x < zero, -x, x), e = vexp(-2 * a), square = x * x;
            vf series = x + x * square *
                                (-1.0f / 3 + square * (2.0f / 15 + square * (-17.0f / 315 + square * (62.0f / 2835))));
            vf far = (one - e) / (one + e);
            return vselect(a < 0.25f * one, series, vselect(x < zero, -far, far));
        }
    }
}

CNN_INLINE vf ISA(derivative)(int activation, vf slope, vf x, vf y) {
    const vf zero = vset(0), one = vset(1);
    switch (activation) {
        case CNN_RELU: return vselect(y > zero, one, zero);
        case CNN_RELU6: return vselect((y > zero) & (y < 6 * one), one, zero);
        case CNN_LEAKY_RELU: return vselect(y > zero, one, slope);
        case CNN_SILU: {
            vf s = one / (one + vexp(-x));
            return s * (one + x * (one - s));
        }
        case CNN_SIGMOID: return y * (one - y);
        default: return one - y * y;
    }
}

/* `activation` is a constant in each call below, so that the switch is gone from the loop. */
CNN_INLINE void ISA(forward_one)(int activation, float slope, int64_t count, const stored *x, stored *y) {
    vf s = vset(slope);
    int64_t i = 0;
    for (; i + VLEN <= count; i += VLEN) stored_store(y + i, ISA(activate)(activation, s, stored_load(x + i)));
    if (i < count)
        stored_store_part(y + i, ISA(activate)(activation, s, stored_load_part(x + i, count - i)), count - i);
}

CNN_INLINE void ISA(backward_one)(int activation, float slope, int64_t count, const stored *x, const stored *y,
                                  const stored *dy, stored *dx) {
    vf s = vset(slope), none = vset(0);
    int64_t i = 0;
    for (; i + VLEN <= count; i += VLEN) {
        vf d = ISA(derivative)(activation, s, activation == CNN_SILU ? stored_load(x + i) : none,
                               activation == CNN_SILU ? none : stored_load(y + i));
        stored_store(dx + i, d * stored_load(dy + i));
    }
    int64_t rest = count - i;
    if (rest > 0) {
        vf d = ISA(derivative)(activation, s, activation == CNN_SILU ? stored_load_part(x + i, rest) : none,
                               activation == CNN_SILU ? none : stored_load_part(y + i, rest));
        stored_store_part(dx + i, d * stored_load_part(dy + i, rest), rest);
    }
}

static void ISA(activation_forward)(int activation, float slope, int64_t count, const void *x, void *y) {
    switch (activation) {
        case CNN_RELU: ISA(forward_one)(CNN_RELU, slope, count, x, y); break;
        case CNN_RELU6: ISA(forward_one)(CNN_RELU6, slope, count, x, y); break;
        case CNN_LEAKY_RELU: ISA(forward_one)(CNN_LEAKY_RELU, slope, count, x, y); break;
        case CNN_SILU: ISA(forward_one)(CNN_SILU, slope, count, x, y); break;
        case CNN_SIGMOID: ISA(forward_one)(CNN_SIGMOID, slope, count, x, y); break;
        default: ISA(forward_one)(CNN_TANH, slope, count, x, y);
    }
}

static void ISA(activation_backward)(int activation, float slope, int64_t count, const void *x, const void *y,
                                     const void *dy, void *dx) {
    switch (activation) {
        case CNN_RELU: ISA(backward_one)(CNN_RELU, slope, count, x, y, dy, dx); break;
        case CNN_RELU6: ISA(backward_one)(CNN_RELU6, slope, count, x, y, dy, dx); break;
        case CNN_LEAKY_RELU: ISA(backward_one)(CNN_LEAKY_RELU, slope, count, x, y, dy, dx); break;
        case CNN_SILU: ISA(backward_one)(CNN_SILU, slope, count, x, y, dy, dx); break;
        case CNN_SIGMOID: ISA(backward_one)(CNN_SIGMOID, slope, count, x, y, dy, dx); break;
        default: ISA(backward_one)(CNN_TANH, slope, count, x, y, dy, dx);
    }
}

static const struct pointwise_kernels ISA(pointwise_kernels) = {ISA(activation_forward), ISA(activation_backward)};
