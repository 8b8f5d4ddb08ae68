/* From bfloat16 to float32 and back, the vector version. Compiled per instruction set by foreach_isa.h on behalf of
 * bf16.c. */

#include "bf16.h"

static void ISA(expand)(int64_t count, const uint16_t *x, float *y) {
    int64_t i = 0;
    for (; i + VLEN <= count; i += VLEN) vstore(y + i, ISA(half_load)(x + i));
    if (i < count) vstore_part(y + i, ISA(half_load_part)(x + i, count - i), count - i);
}

static void ISA(round)(int64_t count, const float *x, uint16_t *y) {
    int64_t i = 0;
    for (; i + VLEN <= count; i += VLEN) ISA(half_store)(y + i, vload(x + i));
    if (i < count) ISA(half_store_part)(y + i, vload_part(x + i, count - i), count - i);
}

static const struct bf16_kernels ISA(bf16_kernels) = {ISA(expand), ISA(round)};
