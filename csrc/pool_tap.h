/* The largest of some values and which of them it was, in vectors, for the templates that pool: pool_max_tmpl.c, and
 * those of convolutions that pool their own results (cnn_finish, winograd_transform_tmpl.c,
 * conv_planar_pairs_tmpl.c). Included once for each instruction set, so that it has no guard. */

typedef uint8_t ISA(max_bytes) __attribute__((vector_size(VLEN)));
typedef uint8_t ISA(max_bytes_unaligned) __attribute__((vector_size(VLEN), aligned(1), may_alias));

/* Places as bytes and as the lanes of a vector. GCC 12 takes them apart one by one where x86 has instructions. */
#if CNN_X86 && VLEN == 16
CNN_INLINE ISA(max_bytes) ISA(max_narrow)(vi taps) { return (ISA(max_bytes))_mm512_cvtepi32_epi8((__m512i)taps); }
CNN_INLINE vi ISA(max_widen)(ISA(max_bytes) bytes) { return (vi)_mm512_cvtepu8_epi32((__m128i)bytes); }
#elif CNN_X86 && VLEN == 8
CNN_INLINE ISA(max_bytes) ISA(max_narrow)(vi taps) {
    __m256i all = (__m256i)taps, pairs = _mm256_packus_epi32(all, _mm256_permute4x64_epi64(all, 0x4e));
    __m128i low = _mm256_castsi256_si128(pairs), bytes = _mm_packus_epi16(low, low);
    return (ISA(max_bytes))_mm_cvtsi128_si64(bytes);
}
CNN_INLINE vi ISA(max_widen)(ISA(max_bytes) bytes) {
    return (vi)_mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)bytes));
}
#else
CNN_INLINE ISA(max_bytes) ISA(max_narrow)(vi taps) { return __builtin_convertvector(taps, ISA(max_bytes)); }
CNN_INLINE vi ISA(max_widen)(ISA(max_bytes) bytes) { return __builtin_convertvector(bytes, vi); }
#endif

CNN_INLINE void ISA(max_store_taps)(uint8_t *p, vi taps, int64_t lanes) {
    union {
        ISA(max_bytes) v;
        uint8_t b[VLEN];
    } u = {.v = ISA(max_narrow)(taps)};
    if (lanes == VLEN) *(ISA(max_bytes_unaligned) *)p = u.v;
    else
        for (int64_t i = 0; i < lanes; i++) p[i] = u.b[i];
}

/* Takes in one more value, number `tap`; *best begins as the first value, *place as its number. The first of equals
 * stays, and NaN beats everything. */
CNN_INLINE void ISA(max_tap)(bool kept, vf v, int64_t tap, vf *best, vi *place) {
    vi better = (v > *best) | (v != v), here = (vi){0} + (int32_t)tap;
    *best = vselect(better, v, *best);
    if (kept) *place = (better & here) | (~better & *place);
}
