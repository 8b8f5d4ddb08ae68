/* The matrix kernel that multiplies columns, out = A' B, tile by tile. Compiled for each instruction set by a file
 * of its own (gemm_outer_avx2.c), on behalf of gemm_outer.c; gemm.h says what it computes. */

#include "gemm_tile.h"

/* tile[row][column] += the sum over depth of a[d * stride + row] * b[d * b_stride + column]. The next tile's columns of
 * A are asked for: their lines lie too far apart for the CPU to guess. */
CNN_INLINE void ISA(multiply_outer)(struct ISA(tile) *t, const int rows, const int vectors, const bool half,
                                    int64_t depth, const float *a, int64_t stride, const float *b, int64_t b_stride) {
    for (int64_t d = 0; d < depth; d++) {
        __builtin_prefetch(a + 24);
        STEP(a[r]);
        a += stride;
        b += b_stride;
    }
}

/* The end of an outer tile whose columns are not all real. */
static void ISA(store_outer_part)(const struct gemm_outer *p, int rows, const float *sums, int64_t width, float *out,
                                  int64_t columns) {
    for (int r = 0; r < rows; r++, sums += width, out += p->out_stride)
        for (int64_t i = 0; i < columns; i++) out[i] = p->accumulate ? sums[i] + out[i] : sums[i];
}

CNN_INLINE void ISA(outer_tile)(const int rows, const int vectors, const bool half, const struct gemm_outer *p,
                                const float *b, int64_t row, int64_t column) {
    struct ISA(tile) t;
    const int width = vectors * VLEN + (half ? LANES : 0);
    const bool accumulate = p->accumulate;
    int64_t out_stride = p->out_stride, columns = p->columns - column;
    float *out = p->out + row * out_stride + column;
    ISA(clear)(&t, rows, vectors, half);
    ISA(multiply_outer)(&t, rows, vectors, half, p->depth, p->a + row, p->stride, b, p->b_stride ? p->b_stride : width);
    if (columns < width) {
        float sums[12 * 3 * VLEN];
        UNROLL for (int r = 0; r < rows; r++) {
            UNROLL for (int v = 0; v < vectors; v++) vstore(sums + r * width + v * VLEN, t.whole[r][v]);
            if (half) ISA(lanes_store)(sums + r * width + vectors * VLEN, t.half[r]);
        }
        ISA(store_outer_part)(p, rows, sums, width, out, columns);
        return;
    }
    UNROLL for (int r = 0; r < rows; r++, out += out_stride) {
        UNROLL for (int v = 0; v < vectors; v++)
            vstore(out + v * VLEN, accumulate ? vload(out + v * VLEN) + t.whole[r][v] : t.whole[r][v]);
        if (!half) continue;
        float *to = out + vectors * VLEN;
        ISA(lanes_store)(to, accumulate ? ISA(lanes_load)(to) + t.half[r] : t.half[r]);
    }
}

/* `count` rows, which are 12 or what is left, of one panel: in tiles of at most `most`. */
CNN_INLINE void ISA(outer_rows)(const int most, const int vectors, const bool half, const struct gemm_outer *p,
                                const float *b, int64_t row, int64_t count, int64_t column) {
    int64_t end = row + count;
#define TILES(count) \
    for (; row + count <= end; row += count) ISA(outer_tile)(count, vectors, half, p, b, row, column)
    if (most == 12) TILES(12);
    if (most >= 6) TILES(6);
    TILES(4);
    TILES(2);
    TILES(1);
#undef TILES
}

/* The columns of A that a tile reads stay in L1 while the panels stream by. */
static void ISA(outer)(const struct gemm_outer *p) {
    int64_t panels = cnn_panel_count(&ISA(width), p->columns);
    for (int64_t row = 0; row < p->rows; row += 12) {
        int64_t count = CNN_MIN(p->rows - row, 12);
        for (int64_t panel = 0; panel < panels; panel++) {
            int64_t column = cnn_panel_begin(&ISA(width), p->columns, panel);
            int64_t width = cnn_panel_begin(&ISA(width), p->columns, panel + 1) - column;
            const float *b = p->b + (p->b_stride ? column : column * p->depth);
#if VLEN == 16
            if (width == 32) ISA(outer_rows)(12, 2, false, p, b, row, count, column);
            else if (width == 24) ISA(outer_rows)(12, 1, true, p, b, row, count, column);
            else if (width == 16) ISA(outer_rows)(12, 1, false, p, b, row, count, column);
            else ISA(outer_rows)(12, 0, true, p, b, row, count, column);
#else
#if VLEN == 8
            if (width == 24) ISA(outer_rows)(4, 3, false, p, b, row, count, column);
#endif
            if (width == 2 * VLEN) ISA(outer_rows)(6, 2, false, p, b, row, count, column);
            else if (width == VLEN) ISA(outer_rows)(12, 1, false, p, b, row, count, column);
#endif
        }
    }
}

const struct gemm_outer_kernels ISA(cnn_gemm_outer_kernels) = {ISA(outer)};
