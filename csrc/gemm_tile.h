/* One tile of rows x columns that lives in registers, which gemm_tmpl.c and gemm_outer_tmpl.c fill in two ways.
 * Included by both again for every instruction set; hence no include guard.
 *
 * Every element of a result is summed in the order of the depth, one multiply-add at a time, whatever tile it falls
 * into: so a result does not depend on its neighbours, and an image gives the same bits alone and in a batch. */

#include "gemm_lanes.h"

#undef STEP

struct ISA(tile) {
    vf whole[12][3];
    ISA(lanes_t) half[12];
};

CNN_INLINE void ISA(clear)(struct ISA(tile) *t, const int rows, const int vectors, const bool half) {
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < vectors; v++) t->whole[r][v] = vset(0);
        if (half) t->half[r] = ISA(lanes_set)(0);
    }
}

/* One multiply-add for each value of a tile: column vectors from b, row r's value from *row(r). */
#define STEP(row)                                                                           \
    do {                                                                                    \
        vf b0 = vectors > 0 ? vload(b) : vset(0), b1 = vectors > 1 ? vload(b + VLEN) : b0;  \
        vf b2 = vectors > 2 ? vload(b + 2 * VLEN) : b0;                                     \
        ISA(lanes_t) last = half ? ISA(lanes_load)(b + vectors * VLEN) : ISA(lanes_set)(0); \
        UNROLL for (int r = 0; r < rows; r++) {                                             \
            float value = (row);                                                            \
            if (vectors > 0) t->whole[r][0] += vset(value) * b0;                            \
            if (vectors > 1) t->whole[r][1] += vset(value) * b1;                            \
            if (vectors > 2) t->whole[r][2] += vset(value) * b2;                            \
            if (half) t->half[r] += ISA(lanes_set)(value) * last;                           \
        }                                                                                   \
    } while (0)
