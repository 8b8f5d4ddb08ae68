/* What the files of elementwise kernels share: those that go number by number, over numbers as they are stored, and the
 * random bits of dropout. Read elementwise.c next. */
#ifndef CNN_ELEMENTWISE_H
#define CNN_ELEMENTWISE_H

#include "bf16_numbers.h"

struct value_kernels {
    void (*add)(int64_t count, const void *a, const void *b, void *out);
    void (*scale)(int64_t count, float factor, const void *x, void *y);
    void (*dropout)(uint32_t first_key, uint32_t second_key, int32_t threshold, float scale, int64_t count,
                    const void *x, void *y);
};

/* Random bits for element i of a piece: MurmurHash3's finaliser (Appleby 2011) twice, with a key before each. The
 * vector version computes the same in every lane. */
static inline uint32_t elementwise_scramble(uint32_t z) {
    z = (z ^ (z >> 16)) * 0x85EBCA6Bu;
    z = (z ^ (z >> 13)) * 0xC2B2AE35u;
    return z ^ (z >> 16);
}
static inline uint32_t elementwise_bits(uint32_t first_key, uint32_t second_key, uint32_t i) {
    return elementwise_scramble(elementwise_scramble(i + first_key) ^ second_key);
}

/* bf16_elementwise.c: over maps of bfloat16, for the active instruction set and words; the reference, too. */
const struct value_kernels *cnn_bf16_values(void);

#endif
