/* What the int8 kernels share: what becomes of a sum, one by one, which the plain loops and the ends of vectors use. */
#ifndef CNN_INT8_H
#define CNN_INT8_H

#include "internal.h"

/* Versions of a template's table beyond those of CNN_TABLES: for words, by cnn_int8_version. */
#if CNN_X86
#define CNN_INT8_DECLARE(kernels, name) \
    CNN_DECLARE_TABLES(kernels, name);  \
    extern const struct kernels name##_vnni, name##_avx_vnni, name##_avx_vnni_plain
#if CNN_AVX_VNNI
#define CNN_INT8_VERSIONS(name) {&name##_vnni, &name##_avx_vnni, &name##_avx_vnni_plain}
#else
#define CNN_INT8_VERSIONS(name) {&name##_vnni, NULL, &name##_avx_vnni_plain}
#endif
#else
#define CNN_INT8_DECLARE(kernels, name) CNN_DECLARE_TABLES(kernels, name)
#define CNN_INT8_VERSIONS(name) {NULL}
#endif

/* Which of them the active words want; -1 for none. */
static inline int cnn_int8_version(void) {
    int words = CNN_X86 ? cnn_words_active() : 0;
    if (words & CNN_WORD_VNNI) return 0;
    return words & CNN_WORD_AVX_VNNI ? 1 : words & CNN_WORD_AVX_VNNI_PLAIN ? 2 : -1;
}

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
