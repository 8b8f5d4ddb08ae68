/* Adaptive average pooling, the vector version. Compiled per instruction set by foreach_isa.h on behalf of
 * pool_adaptive.c, which walks the windows. */

static void ISA(adaptive_add)(int64_t c, float factor, const float *x, float *y) {
    vf by = vset(factor);
    int64_t k = 0;
    for (; k + VLEN <= c; k += VLEN) vstore(y + k, vload(y + k) + by * vload(x + k));
    if (k < c) vstore_part(y + k, vload_part(y + k, c - k) + by * vload_part(x + k, c - k), c - k);
}

static const struct adaptive_kernels ISA(adaptive_kernels) = {ISA(adaptive_add)};
