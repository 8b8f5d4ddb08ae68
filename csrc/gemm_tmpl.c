/* The matrix kernels that multiply rows: one tile of rows x columns after the other, what becomes of its results,
 * and the parts of one row. Compiled for each instruction set by a file of its own (gemm_avx2.c), on behalf of
 * gemm.c; gemm.h says what each function computes. */

#include "gemm_tile.h"

/* tile[row][column] += the sum over depth of a[row * stride + d] * b[d][column]. Three rows share a pointer, by what
 * addresses can express; the empty asm keeps the compiler from giving each row its own, which would not fit. */
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

/* The four parts of one row, each summed as a row of the tile: alone, a row would wait for each of its additions. */
CNN_INLINE void ISA(multiply_parts)(struct ISA(tile) *t, const int vectors, const bool half, int64_t depth,
                                    const float *a, const float *b) {
    const int width = vectors * VLEN + (half ? LANES : 0);
    const float *b0 = b, *b1 = b0 + depth * width, *b2 = b1 + depth * width, *b3 = b2 + depth * width;
    const float *a3 = a + 3 * depth;
    for (int64_t d = 0; d < depth; d++) {
        UNROLL for (int r = 0; r < 4; r++) {
            const float *from = r == 0 ? b0 : r == 1 ? b1 : r == 2 ? b2 : b3;
            float value = r == 3 ? *a3 : a[r * depth];
            UNROLL for (int v = 0; v < vectors; v++) t->whole[r][v] += vset(value) * vload(from + v * VLEN);
            if (half) t->half[r] += ISA(lanes_set)(value) * ISA(lanes_load)(from + vectors * VLEN);
        }
        a++, a3++, b0 += width, b1 += width, b2 += width, b3 += width;
        __asm__("" : "+r"(a), "+r"(a3), "+r"(b0), "+r"(b1), "+r"(b2), "+r"(b3));
    }
}

/* What becomes of a vector of sums: bounded by the activation's limits, or where there is a gate kept where it lies
 * between them. -0 and NaN stay what they are. */
#define FINISHED(name, type, mask, least, most, load, set)                                        \
    CNN_INLINE type ISA(name)(int activation, const float *gate, type low, type high, type sum) { \
        if (!gate || activation == CNN_IDENTITY) return least(high, most(low, sum));              \
        type output = load(gate);                                                                 \
        mask kept = output > set(0);                                                              \
        if (activation == CNN_RELU6) kept &= output < set(6);                                     \
        return (type)(kept & (mask)sum);                                                          \
    }
FINISHED(finished, vf, vi, vmin, vmax, vload, vset)
FINISHED(finished_half, ISA(lanes_t), ISA(lanes_mask_t), ISA(lanes_min), ISA(lanes_max), ISA(lanes_load),
         ISA(lanes_set))
#undef FINISHED

/* An activation's limits, for finished; without one, none. */
static inline float ISA(lowest)(int activation) { return activation == CNN_IDENTITY ? -INFINITY : 0; }
static inline float ISA(highest)(int activation) { return activation == CNN_RELU6 ? 6 : INFINITY; }

/* The end of a tile whose columns are not all real: from memory, one by one. */
static void ISA(store_part)(const struct gemm_product *p, int rows, const float *sums, int64_t width, int64_t row,
                            int64_t column, int64_t columns) {
    for (const float *end = sums + rows * width; sums < end; sums += width, row++) {
        for (int64_t i = 0; i < columns; i++) {
            float sum = p->onto ? sums[i] + p->onto[row * p->onto_stride + column + i] : sums[i];
            int64_t at = p->offsets[row] + column + i;
            p->out[at] = (float)cnn_finished(p->finish, at, column + i, sum);
        }
    }
}

/* With `plain`, what is usual: a bias or none, an activation or none. Everything is read from *p before the first
 * store, which the compiler must take for a change of *p. */
CNN_INLINE void ISA(store_tile)(struct ISA(tile) *t, const int rows, const int vectors, const bool half,
                                const bool plain, const struct gemm_product *p, int64_t row, int64_t column) {
    const cnn_finish f = p->finish ? *p->finish : (cnn_finish){.activation = CNN_IDENTITY};
    const float *onto = p->onto, *add = plain ? NULL : f.add, *gate = plain ? NULL : f.gate;
    const int64_t *offsets = p->offsets + row, onto_stride = p->onto_stride;
    const float lowest = ISA(lowest)(f.activation), highest = ISA(highest)(f.activation);
    const vf low = vset(lowest), high = vset(highest);
    const ISA(lanes_t) half_low = ISA(lanes_set)(lowest), half_high = ISA(lanes_set)(highest);
    float *out = p->out;
    if (!plain && onto) onto += row * onto_stride + column;
    vf bias[3];
    UNROLL for (int v = 0; v < vectors; v++) bias[v] = f.bias ? vload(f.bias + column + v * VLEN) : vset(0);
    ISA(lanes_t) last = ISA(lanes_set)(0);
    if (half && f.bias) last = ISA(lanes_load)(f.bias + column + vectors * VLEN);
    UNROLL for (int r = 0; r < rows; r++) {
        int64_t at = offsets[r] + column;
        UNROLL for (int v = 0; v < vectors; v++) {
            vf sum = t->whole[r][v];
            if (!plain && onto) sum += vload(onto + r * onto_stride + v * VLEN);
            sum += bias[v];
            if (add) sum += vload(add + at + v * VLEN);
            sum = ISA(finished)(f.activation, gate ? gate + at + v * VLEN : NULL, low, high, sum);
            vstore(out + at + v * VLEN, sum);
        }
        if (!half) continue;
        ISA(lanes_t) sum = t->half[r];
        if (!plain && onto) sum += ISA(lanes_load)(onto + r * onto_stride + vectors * VLEN);
        at += vectors * VLEN;
        sum += last;
        if (add) sum += ISA(lanes_load)(add + at);
        sum = ISA(finished_half)(f.activation, gate ? gate + at : NULL, half_low, half_high, sum);
        ISA(lanes_store)(out + at, sum);
    }
}

/* One tile of a product, from column `column` on, of which `columns` are real. */
CNN_INLINE void ISA(product_tile)(const int rows, const int vectors, const bool half, const struct gemm_product *p,
                                  const float *b, int64_t row, int64_t column, int64_t columns) {
    struct ISA(tile) t;
    const int width = vectors * VLEN + (half ? LANES : 0);
    ISA(clear)(&t, rows, vectors, half);
    ISA(multiply)(&t, rows, vectors, half, p->depth, p->a + row * p->stride, p->stride, b);
    if (columns < width) {
        float sums[12 * 3 * VLEN];
        UNROLL for (int r = 0; r < rows; r++) {
            UNROLL for (int v = 0; v < vectors; v++) vstore(sums + r * width + v * VLEN, t.whole[r][v]);
            if (half) ISA(lanes_store)(sums + r * width + vectors * VLEN, t.half[r]);
        }
        ISA(store_part)(p, rows, sums, width, row, column, columns);
    } else if (!p->onto && (!p->finish || (!p->finish->add && !p->finish->gate))) {
        ISA(store_tile)(&t, rows, vectors, half, true, p, row, column);
    } else {
        ISA(store_tile)(&t, rows, vectors, half, false, p, row, column);
    }
}

CNN_INLINE void ISA(product_panel)(const int most, const int vectors, const bool half, const struct gemm_product *p,
                                   const float *b, int64_t column, int64_t columns) {
    int64_t row = 0;
#define TILES(count) \
    for (; row + count <= p->rows; row += count) ISA(product_tile)(count, vectors, half, p, b, row, column, columns)
    if (most == 12) TILES(12);
    if (most == 8) TILES(8);
    if (most >= 6) TILES(6);
    TILES(4);
    TILES(2);
    TILES(1);
#undef TILES
}

static void ISA(product)(const struct gemm_product *p) {
    for (int64_t panel = p->panel; panel < p->panel + p->panels; panel++) {
        int64_t column = cnn_panel_begin(&ISA(width), p->columns, panel);
        int64_t width = cnn_panel_begin(&ISA(width), p->columns, panel + 1) - column;
        int64_t real = CNN_MIN(width, p->columns - column);
        const float *b = p->packed + column * p->whole_depth + p->first_depth * width;
#if VLEN == 16
        if (width == 32) ISA(product_panel)(ROWS(2), 2, false, p, b, column, real);
        else if (width == 24) ISA(product_panel)(ROWS(2), 1, true, p, b, column, real);
        else if (width == 16) ISA(product_panel)(ROWS(1), 1, false, p, b, column, real);
        else ISA(product_panel)(ROWS(1), 0, true, p, b, column, real);
#else
#if VLEN == 8
        if (width == 24) ISA(product_panel)(ROWS(3), 3, false, p, b, column, real);
#endif
        if (width == 2 * VLEN) ISA(product_panel)(ROWS(2), 2, false, p, b, column, real);
        else if (width == VLEN) ISA(product_panel)(ROWS(1), 1, false, p, b, column, real);
#endif
    }
}

CNN_INLINE void ISA(parts_panel)(const int vectors, const bool half, const struct gemm_parts *p, const float *b,
                                 float *out) {
    struct ISA(tile) t;
    ISA(clear)(&t, 4, vectors, half);
    ISA(multiply_parts)(&t, vectors, half, p->depth, p->a, b);
    UNROLL for (int r = 0; r < 4; r++) {
        UNROLL for (int v = 0; v < vectors; v++) vstore(out + r * p->out_stride + v * VLEN, t.whole[r][v]);
        if (half) ISA(lanes_store)(out + r * p->out_stride + vectors * VLEN, t.half[r]);
    }
}

static void ISA(four_parts)(const struct gemm_parts *p) {
    for (int64_t panel = 0; panel < cnn_panel_count(&ISA(width), p->columns); panel++) {
        int64_t column = cnn_panel_begin(&ISA(width), p->columns, panel);
        int64_t width = cnn_panel_begin(&ISA(width), p->columns, panel + 1) - column;
        const float *b = p->packed + column * p->whole_depth + p->first_depth * width;
        float *out = p->out + column;
#if VLEN == 16
        if (width == 32) ISA(parts_panel)(2, false, p, b, out);
        else if (width == 24) ISA(parts_panel)(1, true, p, b, out);
        else if (width == 16) ISA(parts_panel)(1, false, p, b, out);
        else ISA(parts_panel)(0, true, p, b, out);
#else
#if VLEN == 8
        if (width == 24) ISA(parts_panel)(3, false, p, b, out);
#endif
        if (width == 2 * VLEN) ISA(parts_panel)(2, false, p, b, out);
        else if (width == VLEN) ISA(parts_panel)(1, false, p, b, out);
#endif
    }
}

static void ISA(add_parts)(int64_t parts, const float *sums, int64_t stride, int64_t columns, const cnn_finish *f,
                           int64_t at, float *out) {
    const cnn_finish finish = f ? *f : (cnn_finish){.activation = CNN_IDENTITY};
    const ISA(lanes_t) low = ISA(lanes_set)(ISA(lowest)(finish.activation));
    const ISA(lanes_t) high = ISA(lanes_set)(ISA(highest)(finish.activation));
    for (int64_t column = 0; column < columns; column += LANES) {
        ISA(lanes_t) sum = ISA(lanes_load)(sums + column);
        for (int64_t part = 1; part < parts; part++) sum += ISA(lanes_load)(sums + part * stride + column);
        if (column + LANES <= columns) {
            if (finish.bias) sum += ISA(lanes_load)(finish.bias + column);
            if (finish.add) sum += ISA(lanes_load)(finish.add + at + column);
            const float *gate = finish.gate ? finish.gate + at + column : NULL;
            sum = ISA(finished_half)(finish.activation, gate, low, high, sum);
            ISA(lanes_store)(out + at + column, sum);
        } else {
            float rest[LANES];
            ISA(lanes_store)(rest, sum);
            for (int64_t i = 0; column + i < columns; i++)
                out[at + column + i] = (float)cnn_finished(&finish, at + column + i, column + i, rest[i]);
        }
    }
}

const struct gemm_kernels ISA(cnn_gemm_kernels) = {{PANEL, LANES, ODD}, ISA(product), ISA(four_parts), ISA(add_parts)};
