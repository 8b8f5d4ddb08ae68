/* One bfloat16 at a time, for plain loops and the ends of vectors. bf16.h has the words for vectors. */
#ifndef CNN_BF16_NUMBERS_H
#define CNN_BF16_NUMBERS_H

#include "internal.h"

static inline float cnn_bf16_to_float(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float a;
    memcpy(&a, &bits, sizeof a);
    return a;
}

static inline uint16_t cnn_bf16_of(float a) {
    uint32_t u;
    memcpy(&u, &a, sizeof u);
    if (a != a) return (uint16_t)(u >> 16 | 0x40);
    if (!(u & 0x7f800000)) return (uint16_t)(u >> 16 & 0x8000);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

/* The bytes of a number that is stored so, and where number i of an array is. */
static inline int64_t cnn_bf16_bytes(int storage) { return storage == CNN_BFLOAT16 ? 2 : 4; }
static inline const void *cnn_bf16_at(const void *array, int storage, int64_t i) {
    return array ? (const char *)array + i * cnn_bf16_bytes(storage) : NULL;
}

/* Number i of an array that is stored so, and putting one there. */
static inline float cnn_stored_number(const void *array, int storage, int64_t i) {
    return storage == CNN_BFLOAT16 ? cnn_bf16_to_float(((const uint16_t *)array)[i]) : ((const float *)array)[i];
}
static inline void cnn_stored_put(void *array, int storage, int64_t i, float a) {
    if (storage == CNN_BFLOAT16) ((uint16_t *)array)[i] = cnn_bf16_of(a);
    else ((float *)array)[i] = a;
}

/* From one to the other for many, in the calling thread: what a chunk may do with a part of an array. */
void cnn_bf16_expand_some(int64_t count, const uint16_t *x, float *y);
void cnn_bf16_round_some(int64_t count, const float *x, uint16_t *y);

#endif
