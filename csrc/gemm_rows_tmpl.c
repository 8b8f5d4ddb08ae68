/* What the matrix kernels want done to rows of columns beforehand, the vector version. Compiled per instruction set by
 * foreach_isa.h on behalf of gemm_rows.c; gemm.h says what each function computes. */

#include "gemm_lanes.h"

static void ISA(sum)(int64_t rows, int64_t columns, const float *source, int64_t stride, float *sums) {
    int64_t column = 0;
    for (; column + LANES <= columns; column += LANES) {
        ISA(lanes_t) sum = ISA(lanes_load)(sums + column);
        for (int64_t row = 0; row < rows; row++) sum += ISA(lanes_load)(source + row * stride + column);
        ISA(lanes_store)(sums + column, sum);
    }
    for (; column < columns; column++)
        for (int64_t row = 0; row < rows; row++) sums[column] += source[row * stride + column];
}

/* `steps` vectors of LANES from each of the rows, the last one with only `part` real lanes if `partial`. */
CNN_INLINE void ISA(pack_panel)(const int steps, const bool partial, int64_t part, int64_t rows, const float *source,
                                int64_t stride, float *panel) {
    for (int64_t row = 0; row < rows; row++, source += stride, panel += steps * LANES) {
        UNROLL for (int i = 0; i < steps - partial; i++)
            ISA(lanes_store)(panel + i * LANES, ISA(lanes_load)(source + i * LANES));
        if (!partial) continue;
        union {
            ISA(lanes_t) v;
            float f[LANES];
        } u = {.v = ISA(lanes_set)(0)};
        for (int64_t i = 0; i < part; i++) u.f[i] = source[(steps - 1) * LANES + i];
        ISA(lanes_store)(panel + (steps - 1) * LANES, u.v);
    }
}

static void ISA(pack)(int64_t rows, int64_t columns, const float *source, int64_t stride, float *packed) {
    for (int64_t panel = 0; panel < cnn_panel_count(&ISA(width), columns); panel++) {
        int64_t column = cnn_panel_begin(&ISA(width), columns, panel);
        int64_t steps = (cnn_panel_begin(&ISA(width), columns, panel + 1) - column) / LANES;
        int64_t left = columns - column - (steps - 1) * LANES, part = left < LANES ? left : 0;
        const float *from = source + column;
        float *to = packed + column * rows;
#define PACK(count)                                                                         \
    if (steps == count && part) ISA(pack_panel)(count, true, part, rows, from, stride, to); \
    else if (steps == count) ISA(pack_panel)(count, false, 0, rows, from, stride, to)
        PACK(1);
        PACK(2);
        PACK(3);
        PACK(4);
#undef PACK
    }
}

static const struct gemm_rows ISA(gemm_rows) = {ISA(pack), ISA(sum)};
