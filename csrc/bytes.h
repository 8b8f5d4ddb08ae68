/* Words for bytes, beside simd.h's for floats: bytes to vectors of int32 and back, and dot products. Included by the
 * int8 templates again for every instruction set; hence no include guard.
 *
 * A dot product goes over the DOT_UNITS numbers in each lane of 32 bits, and is added to the lane of a sum: four bytes
 * where the CPU has that word (the first unsigned, the second signed), else two int16. Both are exact. With
 * CNN_VNNI_PLAIN other instructions have the results of that word. */

#undef DOT_UNITS
#undef dot_t
#undef dot_weight_t
#undef UNROLL
#define UNROLL CNN_UNROLL(8)

#ifdef CNN_VNNI
#define DOT_UNITS 4
#define dot_t uint8_t
#define dot_weight_t int8_t
#else
#define DOT_UNITS 2
#define dot_t int16_t
#define dot_weight_t int16_t
#endif

CNN_INLINE vi ISA(dot)(vi sum, vi a, vi b) {
#if defined(CNN_VNNI_PLAIN)
    __m256i bytes = (__m256i)a, weights = (__m256i)b;
    __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(bytes, 8), _mm256_srai_epi16(weights, 8));
    __m256i even = _mm256_madd_epi16(_mm256_and_si256(bytes, _mm256_set1_epi16(255)),
                                     _mm256_srai_epi16(_mm256_slli_epi16(weights, 8), 8));
    return sum + (vi)odd + (vi)even;
#elif defined(CNN_VNNI) && VLEN == 16
    return (vi)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
#elif defined(CNN_VNNI)
    return (vi)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)a, (__m256i)b);
#elif VLEN == 16
    return sum + (vi)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif VLEN == 8
    return sum + (vi)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif CNN_X86
    return sum + (vi)_mm_madd_epi16((__m128i)a, (__m128i)b);
#elif defined(__aarch64__)
    int16x8_t u = (int16x8_t)a, v = (int16x8_t)b;
    return sum + (vi)vpaddq_s32(vmull_s16(vget_low_s16(u), vget_low_s16(v)), vmull_high_s16(u, v));
#else
    union {
        vi v;
        int16_t of[2 * VLEN];
    } u = {.v = a}, w = {.v = b};
    for (int i = 0; i < VLEN; i++) sum[i] += u.of[2 * i] * w.of[2 * i] + u.of[2 * i + 1] * w.of[2 * i + 1];
    return sum;
#endif
}

CNN_INLINE vi ISA(iset)(int32_t a) { return a - (vi){0}; }
CNN_INLINE vi ISA(iload)(const void *p) { return *(const ISA(vi_unaligned_t) *)p; }
/* The 32 bits at p in every lane. */
CNN_INLINE vi ISA(ispread)(const void *p) {
    int32_t a;
    memcpy(&a, p, sizeof a);
    return ISA(iset)(a);
}

/* Lanes of count < VLEN, or of VLEN where that is 0; others are 0. */
CNN_INLINE vi ISA(iload_lanes)(const int32_t *p, int64_t count) {
    return count ? (vi)vload_part((const float *)p, count) : ISA(iload)(p);
}
CNN_INLINE vi ISA(bytes_load)(const uint8_t *p, int64_t count) {
#if VLEN == 16
    if (!count) return (vi)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
    return (vi)_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8((__mmask16)((1u << count) - 1), p));
#else
    union {
        vi v;
        int32_t of[VLEN];
    } u = {.v = {0}};
#if VLEN == 8
    if (!count) return (vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
#endif
    for (int64_t i = 0; i < (count ? count : VLEN); i++) u.of[i] = p[i];
    return u.v;
#endif
}
/* Lanes are 0 … 255. */
CNN_INLINE void ISA(bytes_store)(uint8_t *p, vi a, int64_t count) {
#if VLEN == 16
    __m128i bytes = _mm512_cvtepi32_epi8((__m512i)a);
    if (count) _mm_mask_storeu_epi8(p, (__mmask16)((1u << count) - 1), bytes);
    else _mm_storeu_si128((__m128i *)p, bytes);
#else
    union {
        vi v;
        int32_t of[VLEN];
    } u = {.v = a};
#if VLEN == 8
    if (!count) {
        __m128i half = _mm_packus_epi32(_mm256_castsi256_si128((__m256i)a), _mm256_extracti128_si256((__m256i)a, 1));
        _mm_storel_epi64((__m128i *)p, _mm_packus_epi16(half, half));
        return;
    }
#endif
    for (int64_t i = 0; i < (count ? count : VLEN); i++) p[i] = (uint8_t)u.of[i];
#endif
}

/* To the nearest int32, and of two to the even one; |a| is below 2^31. */
CNN_INLINE vi ISA(nearest)(vf a) {
#if VLEN == 16
    return (vi)_mm512_cvtps_epi32((__m512)a);
#elif VLEN == 8
    return (vi)_mm256_cvtps_epi32((__m256)a);
#elif CNN_X86
    return (vi)_mm_cvtps_epi32((__m128)a);
#elif defined(__aarch64__)
    return (vi)vcvtnq_s32_f32((float32x4_t)a);
#else
    vi result;
    for (int i = 0; i < VLEN; i++) result[i] = (int32_t)__builtin_rintf(a[i]);
    return result;
#endif
}
CNN_INLINE vf ISA(real)(vi a) { return __builtin_convertvector(a, vf); }

#if VLEN == 16
CNN_INLINE vi ISA(imax)(vi a, vi b) { return (vi)_mm512_max_epi32((__m512i)a, (__m512i)b); }
CNN_INLINE vi ISA(imin)(vi a, vi b) { return (vi)_mm512_min_epi32((__m512i)a, (__m512i)b); }
#elif VLEN == 8
CNN_INLINE vi ISA(imax)(vi a, vi b) { return (vi)_mm256_max_epi32((__m256i)a, (__m256i)b); }
CNN_INLINE vi ISA(imin)(vi a, vi b) { return (vi)_mm256_min_epi32((__m256i)a, (__m256i)b); }
#else
CNN_INLINE vi ISA(imax)(vi a, vi b) {
    vi more = a > b;
    return (more & a) | (~more & b);
}
CNN_INLINE vi ISA(imin)(vi a, vi b) {
    vi less = a < b;
    return (less & a) | (~less & b);
}
#endif
