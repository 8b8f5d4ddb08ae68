/* Normalising, the vector version: bytes to floats and one multiply-add each. Compiled per instruction set by
 * foreach_isa.h on behalf of image.c. */

typedef uint8_t ISA(bytes_t) __attribute__((vector_size(VLEN)));

CNN_INLINE vf ISA(load_bytes)(const uint8_t *p) {
    ISA(bytes_t) bytes;
    __builtin_memcpy(&bytes, p, VLEN);
    return __builtin_convertvector(bytes, vf);
}

/* The channels come round again after c vectors; `c` is a constant in the calls below. */
CNN_INLINE void ISA(normalise_channels)(int64_t count, int64_t c, const uint8_t *x, const float *scale,
                                        const float *shift, float *y) {
    int64_t i = 0;
    for (; i + c * VLEN <= count; i += c * VLEN)
        for (int64_t j = 0; j < c * VLEN; j += VLEN)
            vstore(y + i + j, ISA(load_bytes)(x + i + j) * vload(scale + j) + vload(shift + j));
    for (int64_t j = 0; i + j < count; j++) y[i + j] = x[i + j] * scale[j] + shift[j];
}

static void ISA(normalise)(int64_t count, int64_t c, const uint8_t *x, const float *scale, const float *shift,
                           float *y) {
    switch (c) {
        case 1: ISA(normalise_channels)(count, 1, x, scale, shift, y); break;
        case 3: ISA(normalise_channels)(count, 3, x, scale, shift, y); break;
        default: ISA(normalise_channels)(count, c, x, scale, shift, y);
    }
}

static const struct image_kernels ISA(image_kernels) = {ISA(normalise)};
