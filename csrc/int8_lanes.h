/* Words for vectors of bytes in lanes of 16, which int8_depthwise_tmpl.c uses; included again for every instruction set,
 * hence no include guard. A lane is one of 128 bits: these words work within each, as the CPUs' own do. */

#undef vb
#define vb ISA(vb_t)
typedef uint8_t ISA(vb_t) __attribute__((vector_size(VLEN * 4)));
typedef uint8_t ISA(vb_unaligned_t) __attribute__((vector_size(VLEN * 4), aligned(1), may_alias));

CNN_INLINE vb ISA(bload)(const uint8_t *p) { return *(const ISA(vb_unaligned_t) *)p; }
CNN_INLINE void ISA(bstore)(uint8_t *p, vb a) { *(ISA(vb_unaligned_t) *)p = a; }
CNN_INLINE vb ISA(bset)(uint8_t a) { return a - (vb){0}; }

/* a0 b0 a1 b1 … of the lower or the higher half of each lane. */
#if VLEN == 16
#define LANES_WORD(of, word) \
    CNN_INLINE vb of(vb a, vb b) { return (vb)_mm512_##word((__m512i)a, (__m512i)b); }
#elif VLEN == 8
#define LANES_WORD(of, word) \
    CNN_INLINE vb of(vb a, vb b) { return (vb)_mm256_##word((__m256i)a, (__m256i)b); }
#elif CNN_X86
#define LANES_WORD(of, word) \
    CNN_INLINE vb of(vb a, vb b) { return (vb)_mm_##word((__m128i)a, (__m128i)b); }
#endif
#ifdef LANES_WORD
LANES_WORD(ISA(zip_low), unpacklo_epi8)
LANES_WORD(ISA(zip_high), unpackhi_epi8)
LANES_WORD(ISA(zip_low_pairs), unpacklo_epi16)
LANES_WORD(ISA(zip_high_pairs), unpackhi_epi16)
LANES_WORD(ISA(halve_to_int16), packs_epi32)
LANES_WORD(ISA(halve_to_bytes), packus_epi16)
LANES_WORD(ISA(plus_int16), adds_epi16)
#undef LANES_WORD
#else
CNN_INLINE vb ISA(zip_low)(vb a, vb b) {
    vb r;
    for (int i = 0; i < 8; i++) r[2 * i] = a[i], r[2 * i + 1] = b[i];
    return r;
}
CNN_INLINE vb ISA(zip_high)(vb a, vb b) {
    vb r;
    for (int i = 0; i < 8; i++) r[2 * i] = a[8 + i], r[2 * i + 1] = b[8 + i];
    return r;
}
#endif

/* Four vectors of whole numbers, as bytes: the numbers plus `zero`, brought into least … 255. They lie as if
 * zip_low and zip_high had made the four of one, twice over. */
CNN_INLINE vb ISA(bytes_of)(vi a, vi b, vi c, vi d, int32_t zero, uint8_t least) {
#if CNN_X86
    vb shift = (vb)ISA(iset)(zero * 65537), low = ISA(bset)(least);
    vb ab = ISA(plus_int16)(ISA(halve_to_int16)((vb)a, (vb)b), shift);
    vb r = ISA(halve_to_bytes)(ab, ISA(plus_int16)(ISA(halve_to_int16)((vb)c, (vb)d), shift));
#elif defined(__aarch64__)
    int16x8_t shift = vdupq_n_s16((int16_t)zero);
    vb low = ISA(bset)(least);
    int16x8_t ab = vcombine_s16(vqmovn_s32((int32x4_t)a), vqmovn_s32((int32x4_t)b));
    int16x8_t cd = vcombine_s16(vqmovn_s32((int32x4_t)c), vqmovn_s32((int32x4_t)d));
    vb r = (vb)vcombine_u8(vqmovun_s16(vqaddq_s16(ab, shift)), vqmovun_s16(vqaddq_s16(cd, shift)));
#else
    vb r, low = ISA(bset)(least);
    for (int i = 0; i < 4; i++) {
        r[i] = (uint8_t)cnn_int8_clamp((int64_t)a[i] + zero, 0, 255);
        r[4 + i] = (uint8_t)cnn_int8_clamp((int64_t)b[i] + zero, 0, 255);
        r[8 + i] = (uint8_t)cnn_int8_clamp((int64_t)c[i] + zero, 0, 255);
        r[12 + i] = (uint8_t)cnn_int8_clamp((int64_t)d[i] + zero, 0, 255);
    }
#endif
#if VLEN == 16
    return (vb)_mm512_max_epu8((__m512i)r, (__m512i)low);
#elif VLEN == 8
    return (vb)_mm256_max_epu8((__m256i)r, (__m256i)low);
#elif CNN_X86
    return (vb)_mm_max_epu8((__m128i)r, (__m128i)low);
#else
    vb more = (vb)(r > low);
    return (r & more) | (low & ~more);
#endif
}

/* Bytes in order, to the order in which zips make of them four vectors that are in order; and from where bytes_of leaves
 * four vectors, to one after the other: the units of 32 bits are exchanged. */
CNN_INLINE vb ISA(order_to_zip)(vb a) {
#if VLEN == 16
    const __m512i from = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return (vb)_mm512_permutexvar_epi32(from, (__m512i)a);
#elif VLEN == 8
    return (vb)_mm256_permutevar8x32_epi32((__m256i)a, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
#else
    return a;
#endif
}
CNN_INLINE vb ISA(order_of_bytes)(vb a) {
#if VLEN == 8
    return (vb)_mm256_permutevar8x32_epi32((__m256i)a, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
#else
    return ISA(order_to_zip)(a);
#endif
}

/* The first `count` bytes, all where that is 0; others are 0, and their memory is not touched. */
CNN_INLINE vb ISA(bload_part)(const uint8_t *p, int64_t count) {
    if (!count) return ISA(bload)(p);
#if VLEN == 16
    return (vb)_mm512_maskz_loadu_epi8(((__mmask64)1 << count) - 1, p);
#else
    uint8_t some[4 * VLEN] = {0};
    memcpy(some, p, (size_t)count);
    return ISA(bload)(some);
#endif
}

/* Four times VLEN bytes, of which `part` are wanted (all where that is 0), to the first `count` places, `step` apart. */
CNN_INLINE void ISA(bstore_four)(uint8_t *p, int64_t step, vb a, int64_t count, int64_t part) {
#if VLEN == 16
    const __mmask16 mask = (__mmask16)(part ? (1u << part) - 1 : 0xffff);
    const __m128i of[4] = {_mm512_castsi512_si128((__m512i)a), _mm512_extracti32x4_epi32((__m512i)a, 1),
                           _mm512_extracti32x4_epi32((__m512i)a, 2), _mm512_extracti32x4_epi32((__m512i)a, 3)};
    if (!part && count == 4) {
        UNROLL for (int i = 0; i < 4; i++) _mm_storeu_si128((__m128i *)(p + i * step), of[i]);
    } else {
        UNROLL for (int i = 0; i < 4; i++) {
            if (i < count) _mm_mask_storeu_epi8(p + i * step, mask, of[i]);
        }
    }
#else
    uint8_t some[4 * VLEN];
    ISA(bstore)(some, a);
    if (!part && count == 4) {
        UNROLL for (int i = 0; i < 4; i++) memcpy(p + i * step, some + i * VLEN, VLEN);
    } else {
        for (int i = 0; i < count; i++) memcpy(p + i * step, some + i * VLEN, (size_t)(part ? part : VLEN));
    }
#endif
}
