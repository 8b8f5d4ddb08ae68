/* How wide the matrix kernels' tiles and panels are, and half vectors: what gemm_tmpl.c and gemm_rows_tmpl.c share.
 * Included by both again for every instruction set; hence no include guard.
 *
 * A tile is `vectors` vectors wide, or with `half` half a vector wider: half vectors lose nothing where a CPU runs a
 * wide multiply-add in halves, and half of one where it does not. LANES is the step in which widths grow. Its rows are
 * the most that leave registers for a step's columns and, where multiply-adds cannot broadcast, for one row's value. */
#undef LANES
#undef PANEL
#undef ODD
#undef ROWS
#undef UNROLL
#if VLEN == 16
#define LANES 8
#define PANEL 32
#define ODD 24
#define ROWS(vectors) 12
#elif VLEN == 8
#define LANES 8
#define PANEL 16
#define ODD 24
#define ROWS(vectors) (12 / (vectors))
#else
#define LANES 4
#define PANEL 8
#define ODD 8
#if defined(__aarch64__)
#define ROWS(vectors) ((vectors) == 1 ? 12 : 8)
#else
#define ROWS(vectors) (12 / (vectors))
#endif
#endif
#define UNROLL CNN_UNROLL(12)

/* A vector of LANES floats: half a vf with AVX-512, elsewhere the same. */
typedef float ISA(lanes_t) __attribute__((vector_size(LANES * 4)));
typedef float ISA(lanes_unaligned_t) __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int32_t ISA(lanes_mask_t) __attribute__((vector_size(LANES * 4)));

CNN_INLINE ISA(lanes_t) ISA(lanes_load)(const float *p) { return *(const ISA(lanes_unaligned_t) *)p; }
CNN_INLINE void ISA(lanes_store)(float *p, ISA(lanes_t) a) { *(ISA(lanes_unaligned_t) *)p = a; }
CNN_INLINE ISA(lanes_t) ISA(lanes_set)(float a) { return a - (ISA(lanes_t)){0}; }
/* As vmin and vmax of simd.h. */
#if VLEN == 16
CNN_INLINE ISA(lanes_t) ISA(lanes_min)(ISA(lanes_t) a, ISA(lanes_t) b) {
    return (ISA(lanes_t))_mm256_min_ps((__m256)a, (__m256)b);
}
CNN_INLINE ISA(lanes_t) ISA(lanes_max)(ISA(lanes_t) a, ISA(lanes_t) b) {
    return (ISA(lanes_t))_mm256_max_ps((__m256)a, (__m256)b);
}
#else
CNN_INLINE ISA(lanes_t) ISA(lanes_min)(ISA(lanes_t) a, ISA(lanes_t) b) { return vmin(a, b); }
CNN_INLINE ISA(lanes_t) ISA(lanes_max)(ISA(lanes_t) a, ISA(lanes_t) b) { return vmax(a, b); }
#endif

static const struct gemm_width ISA(width) = {PANEL, LANES, ODD};
