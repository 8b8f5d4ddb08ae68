/* Normalising, the vector version: bytes to floats and one multiply-add each. Compiled per instruction set by
 * foreach_isa.h on behalf of image.c. Plain loops, which the compilers turn into vectors here: of their own vector
 * types gcc 12 converts bytes one at a time. */

/* The channels come round again after c * LANES values; `c` is a constant in the calls below. */
CNN_INLINE void ISA(normalise_channels)(int64_t count, int64_t c, const uint8_t *restrict x,
                                        const float *restrict scale, const float *restrict shift, float *restrict y) {
    int64_t i = 0;
    for (; i + c * LANES <= count; i += c * LANES)
        for (int64_t j = 0; j < c * LANES; j++) y[i + j] = (float)(int32_t)x[i + j] * scale[j] + shift[j];
    for (int64_t j = 0; i + j < count; j++) y[i + j] = (float)(int32_t)x[i + j] * scale[j] + shift[j];
}

/* One channel: the same factors everywhere. */
CNN_INLINE void ISA(normalise_grey)(int64_t count, const uint8_t *restrict x, float scale, float shift,
                                    float *restrict y) {
    for (int64_t i = 0; i < count; i++) y[i] = (float)(int32_t)x[i] * scale + shift;
}

static void ISA(normalise)(int64_t count, int64_t c, const uint8_t *x, const float *scale, const float *shift,
                           float *y) {
    switch (c) {
        case 1: ISA(normalise_grey)(count, x, *scale, *shift, y); break;
        case 3: ISA(normalise_channels)(count, 3, x, scale, shift, y); break;
        default: ISA(normalise_channels)(count, c, x, scale, shift, y);
    }
}

static const struct image_kernels ISA(image_kernels) = {ISA(normalise)};
