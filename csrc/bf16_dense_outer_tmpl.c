/* Gradients of weights from bfloat16: out = A' B, tile by tile, and what makes units of two pixels beforehand. Compiled
 * with and without the instruction for it by files of their own (bf16_dense_outer_bf16.c), on behalf of
 * bf16_dense_outer.c; bf16_dense.h says what each function computes. */

#include "bf16_dense_tile.h"

/* tile[row][column] += the sum over depth of a[d * stride + row] * b[d * b_stride + column]. */
CNN_INLINE void ISA(multiply_outer)(struct ISA(tile) *t, const int rows, const int vectors, const bool half,
                                    int64_t depth, const float *a, int64_t stride, const float *b, int64_t b_stride) {
    for (int64_t d = 0; d < depth; d++) {
        STEP(a[r]);
        a += stride;
        b += b_stride;
    }
}

/* One vector of sums, of which `part` are real, all where that is 0. */
CNN_INLINE void ISA(put)(float *to, vf sum, bool accumulate, int64_t part) {
    vstore_lanes(to, accumulate ? sum + vload_lanes(to, part) : sum, part);
}

CNN_INLINE void ISA(outer_tile)(const int rows, const int vectors, const bool half, const struct gemm_outer *p,
                                int64_t row, int64_t column, int64_t columns) {
    struct ISA(tile) t;
    const bool accumulate = p->accumulate;
    const int pieces = vectors + half, whole = half ? LANES : VLEN;
    int64_t out_stride = p->out_stride, tail = columns - (pieces - 1) * VLEN;
    float *out = p->out + row * out_stride + column;
    ISA(clear)(&t, rows, vectors, half);
    ISA(multiply_outer)(&t, rows, vectors, half, p->depth, p->a + row, p->stride, p->b + column, p->b_stride);
    UNROLL for (int r = 0; r < rows; r++, out += out_stride) {
        UNROLL for (int v = 0; v < pieces; v++) {
            vf sum = v < vectors ? t.whole[r][v] : ISA(widened)(t.half[r]);
            if (v < pieces - 1 || tail == whole) ISA(put)(out + v * VLEN, sum, accumulate, v < vectors ? 0 : LANES);
            else ISA(put)(out + v * VLEN, sum, accumulate, tail);
        }
    }
}

/* `count` rows, which are 12 or what is left, of one panel. */
CNN_INLINE void ISA(outer_rows)(const int vectors, const bool half, const struct gemm_outer *p, int64_t row,
                                int64_t count, int64_t column, int64_t columns) {
    int64_t end = row + count;
#define TILES(count) \
    for (; row + count <= end; row += count) ISA(outer_tile)(count, vectors, half, p, row, column, columns)
    TILES(12);
    TILES(8);
    TILES(4);
    TILES(2);
    TILES(1);
#undef TILES
}

/* The columns of A that a tile reads stay in L1 while the panels stream by. */
static void ISA(half_outer)(const struct gemm_outer *p) {
    int64_t panels = cnn_panel_count(&ISA(width), p->columns);
    for (int64_t row = 0; row < p->rows; row += 12) {
        int64_t count = CNN_MIN(p->rows - row, 12);
        for (int64_t panel = 0; panel < panels; panel++) {
            int64_t column = cnn_panel_begin(&ISA(width), p->columns, panel);
            int64_t width = cnn_panel_begin(&ISA(width), p->columns, panel + 1) - column;
            int64_t real = CNN_MIN(width, p->columns - column);
            if (width == 32) ISA(outer_rows)(2, false, p, row, count, column, real);
            else if (width == 24) ISA(outer_rows)(1, true, p, row, count, column, real);
            else if (width == 16) ISA(outer_rows)(1, false, p, row, count, column, real);
            else ISA(outer_rows)(0, true, p, row, count, column, real);
        }
    }
}

/* Two rows as one of units, without `high` with zeros. */
CNN_INLINE void ISA(pair_rows)(int64_t columns, const uint16_t *low, const uint16_t *high, float *to) {
    const __m512i odd = _mm512_set1_epi32(0x00200000); /* the numbers of `high` are 32 … 63 */
    const __m512i first = _mm512_cvtepu16_epi32(
        _mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)); /* lane i: i */
    const __m512i begin = _mm512_or_si512(odd, _mm512_or_si512(first, _mm512_slli_epi32(first, 16)));
    const __m512i end = _mm512_or_si512(begin, _mm512_set1_epi32(0x00100010));
    for (int64_t i = 0; i < columns; i += 2 * VLEN) {
        int64_t lanes = columns - i;
        __mmask32 mask = lanes < 2 * VLEN ? (1u << lanes) - 1 : ~0u;
        __m512i a = _mm512_maskz_loadu_epi16(mask, low + i);
        __m512i b = high ? _mm512_maskz_loadu_epi16(mask, high + i) : _mm512_setzero_si512();
        vstore(to + i, (vf)_mm512_permutex2var_epi16(a, begin, b));
        if (lanes > VLEN) vstore(to + i + VLEN, (vf)_mm512_permutex2var_epi16(a, end, b));
    }
}

static void ISA(pair)(int64_t rows, int64_t columns, const uint16_t *source, int64_t stride, float *to,
                      int64_t to_stride) {
    for (; rows >= 2; rows -= 2, source += 2 * stride, to += to_stride)
        ISA(pair_rows)(columns, source, source + stride, to);
    if (rows) ISA(pair_rows)(columns, source, NULL, to);
}

/* Sums of `vectors` columns of vectors, side by side. */
CNN_INLINE void ISA(sum_vectors)(const int vectors, int64_t rows, const float *units, int64_t stride, float *sums,
                                 int64_t part) {
    const vi ones = (vi){0} + 0x3f803f80; /* two times 1 */
    vf sum[4];
    UNROLL for (int v = 0; v < vectors; v++) sum[v] = vload_lanes(sums + v * VLEN, part);
    for (int64_t row = 0; row < rows; row++, units += stride)
        UNROLL for (int v = 0; v < vectors; v++)
            sum[v] = ISA(half_dot)(sum[v], ISA(units_load)(units + v * VLEN), ones);
    UNROLL for (int v = 0; v < vectors; v++) vstore_lanes(sums + v * VLEN, sum[v], part);
}

static void ISA(sum)(int64_t rows, int64_t columns, const float *units, int64_t stride, float *sums) {
    int64_t column = 0;
    for (; column + 4 * VLEN <= columns; column += 4 * VLEN)
        ISA(sum_vectors)(4, rows, units + column, stride, sums + column, 0);
    for (; column < columns; column += VLEN)
        ISA(sum_vectors)(1, rows, units + column, stride, sums + column,
                         columns - column < VLEN ? columns - column : 0);
}

const struct half_outer_kernels ISA(cnn_half_outer_kernels) = {ISA(half_outer), ISA(pair), ISA(sum)};
