/* Words for bfloat16, beside simd.h's for floats: numbers in memory to vectors of float32 and back, and dot products.
 * Included by the bf16 templates again for every instruction set; hence no include guard.
 *
 * A dot product goes over the two numbers in each lane of 32 bits and is added to the lane of a sum: sum + a1 b1,
 * rounded, then that + a0 b0, rounded, a1 and b1 being the upper halves; denormals are 0 before and after. That is what
 * vdpbf16ps does, to the bit; what stands here for other CPUs is the same where vfma rounds once. Chunks run with
 * denormals flushed (internal.h), so that no word here needs to. */

typedef uint16_t ISA(vh_t) __attribute__((vector_size(VLEN * 2)));
typedef uint16_t ISA(vh_unaligned_t) __attribute__((vector_size(VLEN * 2), aligned(2), may_alias));
typedef uint32_t ISA(vu_t) __attribute__((vector_size(VLEN * 4)));

#if VLEN == 16
/* Numbers to the upper halves of lanes, by an instruction that compilers do not find. */
CNN_INLINE vf ISA(half_widen)(__m256i numbers) {
    const __m512i places = _mm512_set_epi16(15, 15, 14, 14, 13, 13, 12, 12, 11, 11, 10, 10, 9, 9, 8, 8, 7, 7, 6, 6, 5,
                                            5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
    return (vf)_mm512_maskz_permutexvar_epi16(0xaaaaaaaa, places, _mm512_castsi256_si512(numbers));
}
#endif

/* VLEN numbers as floats. GCC 12 takes the conversion of a vector apart where the CPU has an instruction for it. */
CNN_INLINE vf ISA(half_load)(const uint16_t *p) {
#if VLEN == 16
    return ISA(half_widen)(_mm256_loadu_si256((const __m256i *)p));
#elif VLEN == 8
    return (vf)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16);
#elif CNN_X86
    return (vf)_mm_unpacklo_epi16(_mm_setzero_si128(), _mm_loadl_epi64((const __m128i *)p));
#elif defined(__aarch64__)
    return (vf)vshll_n_u16(vld1_u16(p), 16);
#else
    ISA(vh_t) h = *(const ISA(vh_unaligned_t) *)p;
    return (vf)(__builtin_convertvector(h, ISA(vu_t)) << 16);
#endif
}

/* The same without a vector of places, which is a register: for loops that need all of them. */
CNN_INLINE vf ISA(half_load_spare)(const uint16_t *p) {
#if VLEN == 16
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16);
#else
    return ISA(half_load)(p);
#endif
}

/* Floats, rounded, in the lower halves of lanes. NaN stays NaN: its upper bits, with one set that keeps it one. */
CNN_INLINE ISA(vu_t) ISA(half_bits)(vf a) {
    ISA(vu_t) u = (ISA(vu_t))a, rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
    vi number = a == a, normal = (vi)((u & 0x7f800000) != 0);
    rounded = (rounded & (ISA(vu_t))normal) | ((u >> 16) & 0x8000);
    return (rounded & (ISA(vu_t))number) | (((u >> 16) | 0x40) & ~(ISA(vu_t))number);
}

/* The same as numbers that lie side by side. */
CNN_INLINE ISA(vh_t) ISA(half_of)(vf a) {
#ifdef CNN_BF16
    return (ISA(vh_t))_mm512_cvtneps_pbh((__m512)a);
#elif VLEN == 16
    return (ISA(vh_t))_mm512_cvtepi32_epi16((__m512i)ISA(half_bits)(a));
#elif defined(__aarch64__)
    return (ISA(vh_t))vmovn_u32((uint32x4_t)ISA(half_bits)(a));
#else
    return __builtin_convertvector(ISA(half_bits)(a), ISA(vh_t));
#endif
}

CNN_INLINE void ISA(half_store)(uint16_t *p, vf a) { *(ISA(vh_unaligned_t) *)p = ISA(half_of)(a); }

/* The first count < VLEN numbers; other lanes are 0, and their memory is not touched. */
CNN_INLINE vf ISA(half_load_part)(const uint16_t *p, int64_t count) {
#if VLEN == 16
    return ISA(half_widen)(_mm256_maskz_loadu_epi16((__mmask16)((1u << count) - 1), p));
#else
    uint16_t lanes[VLEN] = {0};
    memcpy(lanes, p, (size_t)count * sizeof *p);
    return ISA(half_load)(lanes);
#endif
}
CNN_INLINE void ISA(half_store_part)(uint16_t *p, vf a, int64_t count) {
#if VLEN == 16
    __m256i h = (__m256i)ISA(half_of)(a);
    if (count == 8) _mm_storeu_si128((__m128i *)p, _mm256_castsi256_si128(h));
    else _mm256_mask_storeu_epi16(p, (__mmask16)((1u << count) - 1), h);
#else
    uint16_t lanes[VLEN];
    ISA(half_store)(lanes, a);
    memcpy(p, lanes, (size_t)count * sizeof *p);
#endif
}

/* The same of whole vectors, too, for which count is 0. */
CNN_INLINE vf ISA(half_load_lanes)(const uint16_t *p, int64_t count) {
    return count ? ISA(half_load_part)(p, count) : ISA(half_load)(p);
}
CNN_INLINE void ISA(half_store_lanes)(uint16_t *p, vf a, int64_t count) {
    if (count) ISA(half_store_part)(p, a, count);
    else ISA(half_store)(p, a);
}

/* Pairs of numbers, one in each lane of 32 bits: a's in the lower halves, b's in the upper ones. */
CNN_INLINE vi ISA(half_pairs)(vf a, vf b) {
#ifdef CNN_BF16
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return (vi)_mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh((__m512)b, (__m512)a));
#else
    return (vi)(ISA(half_bits)(a) | ISA(half_bits)(b) << 16);
#endif
}

/* The pair at p in every lane. */
CNN_INLINE vi ISA(half_pair_set)(const float *p) {
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return (vi){0} + pair;
}

CNN_INLINE vf ISA(half_dot)(vf sum, vi a, vi b) {
#ifdef CNN_BF16
    return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#else
    const vi upper = (vi){0} + (int32_t)0xffff0000;
    return vfma((vf)(a << 16), (vf)(b << 16), vfma((vf)(a & upper), (vf)(b & upper), sum));
#endif
}
