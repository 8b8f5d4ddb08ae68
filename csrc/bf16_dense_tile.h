/* One tile of rows x columns that lives in registers, as gemm_tile.h's, of products of units. Included by
 * bf16_dense_product_tmpl.c and bf16_dense_outer_tmpl.c for AVX-512; hence no include guard.
 *
 * Every element of a result is summed in the order of the depth, whatever tile it falls into. */

#include "bf16.h"
#include "gemm_lanes.h"

#undef STEP

typedef int32_t ISA(unit_t) __attribute__((may_alias));
typedef int32_t ISA(lanes_units_t) __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

struct ISA(tile) {
    vf whole[12][2];
    ISA(lanes_t) half[12];
};

CNN_INLINE void ISA(clear)(struct ISA(tile) *t, const int rows, const int vectors, const bool half) {
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < vectors; v++) t->whole[r][v] = vset(0);
        if (half) t->half[r] = ISA(lanes_set)(0);
    }
}

/* half_dot of half a vector. */
CNN_INLINE ISA(lanes_t) ISA(lanes_dot)(ISA(lanes_t) sum, ISA(lanes_mask_t) a, ISA(lanes_mask_t) b) {
#ifdef CNN_BF16
    return (ISA(lanes_t))_mm256_dpbf16_ps((__m256)sum, (__m256bh)a, (__m256bh)b);
#else
    const ISA(lanes_mask_t) upper = (ISA(lanes_mask_t)){0} + (int32_t)0xffff0000;
    __m256 high = _mm256_fmadd_ps((__m256)(a & upper), (__m256)(b & upper), (__m256)sum);
    return (ISA(lanes_t))_mm256_fmadd_ps((__m256)(a << 16), (__m256)(b << 16), high);
#endif
}

CNN_INLINE vi ISA(units_load)(const float *p) { return *(const ISA(vi_unaligned_t) *)p; }

/* One product for each value of a tile, as STEP of gemm_tile.h: a row's unit is spread once, for half vectors too: from
 * memory that takes no more than a load. */
#define STEP(row)                                                                                              \
    do {                                                                                                       \
        vi b0 = vectors > 0 ? ISA(units_load)(b) : (vi){0}, b1 = vectors > 1 ? ISA(units_load)(b + VLEN) : b0; \
        ISA(lanes_mask_t) last = {0};                                                                          \
        if (half) last = *(const ISA(lanes_units_t) *)(b + vectors * VLEN);                                    \
        UNROLL for (int r = 0; r < rows; r++) {                                                                \
            const int32_t unit = *(const ISA(unit_t) *)&(row);                                                 \
            if (vectors > 0) {                                                                                 \
                vi a = unit - (vi){0};                                                                         \
                vhold(a);                                                                                      \
                t->whole[r][0] = ISA(half_dot)(t->whole[r][0], a, b0);                                         \
                if (vectors > 1) t->whole[r][1] = ISA(half_dot)(t->whole[r][1], a, b1);                        \
                if (half) t->half[r] = ISA(lanes_dot)(t->half[r], ISA(lower)(a), last);                        \
            } else {                                                                                           \
                t->half[r] = ISA(lanes_dot)(t->half[r], unit - (ISA(lanes_mask_t)){0}, last);                  \
            }                                                                                                  \
        }                                                                                                      \
    } while (0)

CNN_INLINE ISA(lanes_mask_t) ISA(lower)(vi a) { return (ISA(lanes_mask_t))_mm512_castsi512_si256((__m512i)a); }

/* Half a vector as the lower half of one. */
CNN_INLINE vf ISA(widened)(ISA(lanes_t) a) { return (vf)_mm512_castps256_ps512((__m256)a); }
