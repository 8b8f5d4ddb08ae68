/* Products of rows of bfloat16 with packed weights: one tile of rows x columns after the other, and what becomes of its
 * results. Compiled with and without the instruction for it by files of their own (bf16_dense_product_bf16.c), on
 * behalf of bf16_dense_product.c; bf16_dense.h says what each function computes. */

#include "bf16_dense_tile.h"
#include "bf16_ending.h"

/* As multiply of gemm_tmpl.c. */
CNN_INLINE void ISA(multiply)(struct ISA(tile) *t, const int rows, const int vectors, const bool half, int64_t depth,
                              const float *a, int64_t stride, const float *b) {
    const float *a0 = a, *a3 = rows > 3 ? a + 3 * stride : a, *a6 = rows > 6 ? a + 6 * stride : a;
    const float *a9 = rows > 9 ? a + 9 * stride : a;
    for (int64_t d = 0; d < depth; d++) {
        STEP((r < 3 ? a0 : r < 6 ? a3 : r < 9 ? a6 : a9)[r % 3 * stride]);
        a0++, a3++, a6++, a9++;
        b += vectors * VLEN + (half ? LANES : 0);
        __asm__("" : "+r"(a0), "+r"(a3), "+r"(a6), "+r"(a9));
    }
}

/* The sums of a tile, `tail` lanes of whose last vector are real. With `plain`, nothing is added and there is no gate.
 * Everything is read from *p before the first store. */
CNN_INLINE void ISA(end_tile)(struct ISA(tile) *t, const int rows, const int vectors, const bool half, const bool plain,
                              const struct gemm_product *p, int64_t row, int64_t column, int64_t tail) {
    const cnn_finish f = *p->finish;
    const struct ISA(ending) e = ISA(ending_of)(f.activation, f.add, f.gate, p->out);
    const float *onto = p->onto ? p->onto + row * p->onto_stride + column : NULL;
    const int64_t *offsets = p->offsets + row, onto_stride = p->onto_stride;
    const int whole = half ? LANES : VLEN, pieces = vectors + half;
    vf bias[3];
    UNROLL for (int v = 0; v < pieces; v++) {
        int64_t lanes = v == pieces - 1 ? tail : VLEN;
        bias[v] = f.bias ? vload_lanes(f.bias + column + v * VLEN, lanes % VLEN) : vset(0);
    }
    UNROLL for (int r = 0; r < rows; r++) {
        int64_t at = offsets[r] + column;
        UNROLL for (int v = 0; v < pieces; v++) {
            bool last = v == pieces - 1;
            vf sum = v < vectors ? t->whole[r][v] : ISA(widened)(t->half[r]);
            if (onto) {
                const float *from = onto + r * onto_stride + v * VLEN;
                sum += v < vectors ? vload(from) : ISA(widened)(ISA(lanes_load)(from));
            }
            if (!last || tail == whole) ISA(end_vector)(&e, plain, sum, bias[v], at + v * VLEN, last ? whole : VLEN);
            else ISA(end_vector)(&e, false, sum, bias[v], at + v * VLEN, tail);
        }
    }
}

/* A part of sums that others follow: kept as floats. There is room for whole tiles. */
CNN_INLINE void ISA(keep_tile)(struct ISA(tile) *t, const int rows, const int vectors, const bool half,
                               const struct gemm_product *p, int64_t row, int64_t column) {
    UNROLL for (int r = 0; r < rows; r++) {
        float *to = p->out + p->offsets[row + r] + column;
        const float *onto = p->onto ? p->onto + (row + r) * p->onto_stride + column : NULL;
        UNROLL for (int v = 0; v < vectors; v++)
            vstore(to + v * VLEN, onto ? t->whole[r][v] + vload(onto + v * VLEN) : t->whole[r][v]);
        if (!half) continue;
        ISA(lanes_t) sum = t->half[r];
        if (onto) sum += ISA(lanes_load)(onto + vectors * VLEN);
        ISA(lanes_store)(to + vectors * VLEN, sum);
    }
}

/* One tile of a product, from column `column` on, of which `columns` are real. */
CNN_INLINE void ISA(product_tile)(const int rows, const int vectors, const bool half, const struct gemm_product *p,
                                  const float *b, int64_t row, int64_t column, int64_t columns) {
    struct ISA(tile) t;
    ISA(clear)(&t, rows, vectors, half);
    ISA(multiply)(&t, rows, vectors, half, p->depth, p->a + row * p->stride, p->stride, b);
    int64_t tail = columns - (vectors + half - 1) * VLEN;
    if (!p->half) ISA(keep_tile)(&t, rows, vectors, half, p, row, column);
    else if (!p->finish->add && !p->finish->gate) ISA(end_tile)(&t, rows, vectors, half, true, p, row, column, tail);
    else ISA(end_tile)(&t, rows, vectors, half, false, p, row, column, tail);
}

CNN_INLINE void ISA(product_panel)(const int vectors, const bool half, const struct gemm_product *p, const float *b,
                                   int64_t column, int64_t columns) {
    int64_t row = 0;
#define TILES(count) \
    for (; row + count <= p->rows; row += count) ISA(product_tile)(count, vectors, half, p, b, row, column, columns)
    TILES(12);
    TILES(8);
    TILES(4);
    TILES(2);
    TILES(1);
#undef TILES
}

static void ISA(half_product)(const struct gemm_product *p) {
    for (int64_t panel = p->panel; panel < p->panel + p->panels; panel++) {
        int64_t column = cnn_panel_begin(&ISA(width), p->columns, panel);
        int64_t width = cnn_panel_begin(&ISA(width), p->columns, panel + 1) - column;
        int64_t real = CNN_MIN(width, p->columns - column);
        const float *b = p->packed + column * p->whole_depth + p->first_depth * width;
        if (width == 32) ISA(product_panel)(2, false, p, b, column, real);
        else if (width == 24) ISA(product_panel)(1, true, p, b, column, real);
        else if (width == 16) ISA(product_panel)(1, false, p, b, column, real);
        else ISA(product_panel)(0, true, p, b, column, real);
    }
}

/* Steps of LANES columns, which panels consist of. */
static void ISA(join)(int64_t depth, int64_t width, const float *panel, float *units) {
    for (int64_t d = 0; d < depth; d++, panel += 2 * width, units += width) {
        for (int64_t column = 0; column < width; column += VLEN) {
            int64_t part = width - column < VLEN ? width - column : 0;
            ISA(vu_t) low = ISA(half_bits)(vload_lanes(panel + column, part));
            ISA(vu_t) high = ISA(half_bits)(vload_lanes(panel + width + column, part));
            vstore_lanes(units + column, (vf)(low | high << 16), part);
        }
    }
}

const struct half_kernels ISA(cnn_half_kernels) = {ISA(half_product), ISA(join)};
