/* What int8 inference does to whole arrays, the vector version. Compiled per instruction set by foreach_isa.h on behalf
 * of int8.c. */

#include "bytes.h"

static void ISA(quantise)(int64_t count, float per_step, int64_t zero, const float *x, uint8_t *y) {
    const vf low = vset((float)-zero), high = vset((float)(255 - zero)), factor = vset(per_step);
    const vi shift = ISA(iset)((int32_t)zero);
    for (int64_t i = 0; i < count; i += VLEN) {
        int64_t part = count - i < VLEN ? count - i : 0;
        vf steps = vmin(vmax(vload_lanes(x + i, part) * factor, low), high); /* NaN is low */
        ISA(bytes_store)(y + i, ISA(nearest)(steps) + shift, part);
    }
}

static void ISA(dequantise)(int64_t count, float step, int64_t zero, const uint8_t *x, float *y) {
    const vi shift = ISA(iset)((int32_t)zero);
    for (int64_t i = 0; i < count; i += VLEN) {
        int64_t part = count - i < VLEN ? count - i : 0;
        vstore_lanes(y + i, ISA(real)(ISA(bytes_load)(x + i, part) - shift) * vset(step), part);
    }
}

static void ISA(add)(int64_t count, const cnn_int8_sum *sum, const uint8_t *a, const uint8_t *b, uint8_t *y) {
    const cnn_int8_sum p = *sum;
    const vi least = ISA(iset)((int32_t)p.least), most = ISA(iset)((int32_t)p.most), zero = ISA(iset)((int32_t)p.zero);
    const vi a_zero = ISA(iset)((int32_t)p.a_zero), b_zero = ISA(iset)((int32_t)p.b_zero);
    for (int64_t i = 0; i < count; i += VLEN) {
        int64_t part = count - i < VLEN ? count - i : 0;
        vi parts = (ISA(bytes_load)(a + i, part) - a_zero) * ISA(iset)((int32_t)p.a_multiplier);
        parts += (ISA(bytes_load)(b + i, part) - b_zero) * ISA(iset)((int32_t)p.b_multiplier);
        vi result = ((parts + ISA(iset)(CNN_INT8_PARTS / 2)) >> 12) + zero;
        ISA(bytes_store)(y + i, ISA(imin)(ISA(imax)(result, least), most), part);
    }
}

static const struct int8_kernels ISA(int8_kernels) = {ISA(quantise), ISA(dequantise), ISA(add)};
