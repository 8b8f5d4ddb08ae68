/* How many results conv_planar_tmpl.c and conv_planar_pairs_tmpl.c have in registers, and how those become pixels,
 * channels next to each other, eight at a time. Included by both again for every instruction set; hence no include
 * guard. */
#undef UNROLL
#undef BLOCK
#undef VECTORS
#define UNROLL CNN_UNROLL(16)

#define BLOCK 2 /* vectors of a row's results at once */

#if VLEN >= 8
/* The transpose of eight rows of eight. */
CNN_INLINE void ISA(turn)(__m256 r[8]) {
    __m256 t[8], s[8];
    UNROLL for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    UNROLL for (int i = 0; i < 8; i += 4) {
        s[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        s[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        s[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        s[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    UNROLL for (int i = 0; i < 4; i++) {
        r[i] = _mm256_permute2f128_ps(s[i], s[i + 4], 0x20);
        r[i + 4] = _mm256_permute2f128_ps(s[i], s[i + 4], 0x31);
    }
}

/* Stores the first `count` of eight pixels of k channels, of which r has a channel a vector; a whole vector a pixel
 * where there is room for it, whose surplus the next pixel overwrites. */
CNN_INLINE void ISA(put_eight)(const int k, int64_t count, __m256 r[8], float *out, int64_t room) {
    ISA(turn)(r);
    UNROLL for (int q = 0; q < 8; q++) {
        int64_t at = q * k;
        if (q < count && at + 8 <= room) {
            _mm256_storeu_ps(out + at, r[q]);
        } else if (q < count) {
            union {
                __m256 v;
                float f[8];
            } u = {.v = r[q]};
            for (int64_t i = 0; i < k; i++) out[at + i] = u.f[i];
        }
    }
}
#endif

/* As many as fit into the registers, beside what they are multiplied with. */
#if VLEN == 16 || defined(__aarch64__)
#define VECTORS(k) BLOCK
#else
#define VECTORS(k) ((k) < 7 ? BLOCK : 1)
#endif
