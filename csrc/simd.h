/* Vector words for one instruction set, in the compiler's own vector types (GCC and clang), so that each kernel
 * is written once. Included by foreach_isa.h again for every instruction set; hence no include guard and every
 * name goes through ISA(). vf is a vector of VLEN floats, vi of VLEN int32. Masks are vi: all bits or none.
 *
 * Wide vectors cross function borders only where the function is always inlined: passing them by value follows
 * another ABI on each instruction set. */

typedef float ISA(vf_t) __attribute__((vector_size(VLEN * 4)));
typedef float ISA(vf_unaligned_t) __attribute__((vector_size(VLEN * 4), aligned(4), may_alias));
typedef int32_t ISA(vi_t) __attribute__((vector_size(VLEN * 4)));
typedef int32_t ISA(vi_unaligned_t) __attribute__((vector_size(VLEN * 4), aligned(4), may_alias));

#ifndef CNN_INLINE
#define CNN_INLINE static inline __attribute__((always_inline, unused))
#define vf ISA(vf_t)
#define vi ISA(vi_t)
#define vload ISA(vload_)
#define vstore ISA(vstore_)
#define vload_part ISA(vload_part_)
#define vstore_part ISA(vstore_part_)
#define vload_lanes ISA(vload_lanes_)
#define vstore_lanes ISA(vstore_lanes_)
#define vset ISA(vset_)
#define vselect ISA(vselect_)
#define vmax ISA(vmax_)
#define vmin ISA(vmin_)
#define vfma ISA(vfma_)
#define vsum ISA(vsum_)
#define vsqrt ISA(vsqrt_)
#define vexp ISA(vexp_)

/* Before a loop of at most n rounds, a constant: there is no loop left. */
#define CNN_PRAGMA(words) _Pragma(#words)
#if defined(__clang__)
#define CNN_UNROLL(n) CNN_PRAGMA(clang loop unroll(full))
#else
#define CNN_UNROLL(n) CNN_PRAGMA(GCC unroll n)
#endif
#endif

/* Keeps a vector that has been loaded: compilers would rather load it again for each multiply-add. */
#undef vhold
#if defined(__aarch64__)
#define vhold(a) __asm__("" : "+w"(a))
#elif VLEN == 16
#define vhold(a) __asm__("" : "+v"(a))
#elif CNN_X86
#define vhold(a) __asm__("" : "+x"(a))
#else
#define vhold(a)
#endif

CNN_INLINE vf vset(float a) { return a - (vf){0}; }
CNN_INLINE vf vload(const float *p) { return *(const ISA(vf_unaligned_t) *)p; }
CNN_INLINE void vstore(float *p, vf a) { *(ISA(vf_unaligned_t) *)p = a; }

/* a * b + c, rounded once wherever the CPU can; a * b + c as written may be rounded once or twice, as the compiler likes. */
#if VLEN == 16
CNN_INLINE vf vfma(vf a, vf b, vf c) { return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
#elif VLEN == 8
CNN_INLINE vf vfma(vf a, vf b, vf c) { return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
#elif defined(__aarch64__)
CNN_INLINE vf vfma(vf a, vf b, vf c) { return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
#else
CNN_INLINE vf vfma(vf a, vf b, vf c) { return a * b + c; }
#endif

/* The first `count` < VLEN floats; the other lanes are zero and their memory is not touched. Wide vectors have masks
 * for that; elsewhere the lanes go through memory, and so do those of AVX2 on their way out, whose masked stores are
 * microcode on some CPUs. */
CNN_INLINE vf vload_part(const float *p, int64_t count) {
#if VLEN == 16
    return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), p);
#elif VLEN == 8
    const vi lane = {0, 1, 2, 3, 4, 5, 6, 7};
    return (vf)_mm256_maskload_ps(p, (__m256i)(lane < (int32_t)count));
#else
    union {
        vf v;
        float f[VLEN];
    } u = {.v = {0}};
    for (int64_t i = 0; i < count; i++) u.f[i] = p[i];
    return u.v;
#endif
}
CNN_INLINE void vstore_part(float *p, vf a, int64_t count) {
#if VLEN == 16
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1), (__m512)a);
#else
    union {
        vf v;
        float f[VLEN];
    } u = {.v = a};
    for (int64_t i = 0; i < count; i++) p[i] = u.f[i];
#endif
}

/* The same of whole vectors, too, for which count is 0. */
CNN_INLINE vf vload_lanes(const float *p, int64_t count) { return count ? vload_part(p, count) : vload(p); }
CNN_INLINE void vstore_lanes(float *p, vf a, int64_t count) {
    if (count) vstore_part(p, a, count);
    else vstore(p, a);
}

/* mask ? a : b, lane by lane. */
CNN_INLINE vf vselect(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }
/* As the C expressions a > b ? a : b and a < b ? a : b do: where either is NaN, the second. */
#if VLEN == 16
CNN_INLINE vf vmax(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
CNN_INLINE vf vmin(vf a, vf b) { return (vf)_mm512_min_ps((__m512)a, (__m512)b); }
#elif VLEN == 8
CNN_INLINE vf vmax(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
CNN_INLINE vf vmin(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
#elif CNN_X86
CNN_INLINE vf vmax(vf a, vf b) { return (vf)_mm_max_ps((__m128)a, (__m128)b); }
CNN_INLINE vf vmin(vf a, vf b) { return (vf)_mm_min_ps((__m128)a, (__m128)b); }
#else
CNN_INLINE vf vmax(vf a, vf b) { return vselect(a > b, a, b); }
CNN_INLINE vf vmin(vf a, vf b) { return vselect(a < b, a, b); }
#endif

CNN_INLINE float vsum(vf a) {
    union {
        vf v;
        float f[VLEN];
    } u = {.v = a};
    for (int step = VLEN / 2; step > 0; step /= 2)
        for (int i = 0; i < step; i++) u.f[i] += u.f[i + step];
    return u.f[0];
}

CNN_INLINE vf vsqrt(vf a) {
    union {
        vf v;
        float f[VLEN];
    } u = {.v = a};
    for (int i = 0; i < VLEN; i++) u.f[i] = __builtin_sqrtf(u.f[i]);
    return u.v;
}

/* e^x to about 1 ulp: x = k ln 2 + r with |r| <= ln 2 / 2, a Taylor polynomial of degree 7 in r, then 2^k
 * straight into the exponent bits, in two factors so that neither overflows. NaN passes through. */
CNN_INLINE vf vexp(vf x) {
    const vf top = vset(88.8f), bottom = vset(-104.0f), magic = vset(12582912.0f); /* 1.5 * 2^23 rounds */
    vf clamped = vselect(x > top, top, vselect(x < bottom, bottom, x));
    vf shifted = clamped * 1.44269504088896341f + magic;
    vf k = shifted - magic;
    vf r = clamped - k * 0.693359375f;
    r = r + k * 2.12194440e-4f;
    vf p = vset(1.0f / 5040);
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    vi whole = (vi)shifted - (vi)magic;
    vi half = whole >> 1;
    vf scale = (vf)((half + 127) << 23);
    vf rest = (vf)((whole - half + 127) << 23);
    vf result = p * scale * rest;
    return vselect(x == x, result, x);
}
