/* The matrix kernels: one tile of ROWS x (1 or 2 vectors) that lives in registers, read in two ways. Compiled per
 * instruction set by foreach_isa.h on behalf of gemm.c; gemm.h says what each function computes.
 *
 * Every element of a result is summed in the order of the depth, one multiply-add at a time, whatever tile it falls
 * into: so a result does not depend on its neighbours, and an image gives the same bits alone and in a batch. */

/* Rows of the largest tile of two vectors: 12 with 32 vector registers, 8 where each row's value takes one of them, too,
 * 6 with 16 registers. A tile of one vector has up to 12 rows everywhere. */
#undef TILE
#undef UNROLL
#if VLEN == 16
#define TILE 12
#elif defined(__aarch64__)
#define TILE 8
#else
#define TILE 6
#endif
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 12")
#endif

/* acc[row][vector] += the sum over depth of a[row * row_step + d * depth_step] * b[d][vector]. */
CNN_INLINE void ISA(multiply)(const int rows, const int vectors, int64_t depth, const float *a, const int64_t row_step,
                              const int64_t depth_step, const float *b, vf acc[12][2]) {
    for (int64_t d = 0; d < depth; d++) {
        vf b0 = vload(b), b1 = vectors == 2 ? vload(b + VLEN) : b0;
        UNROLL for (int r = 0; r < rows; r++) {
            vf value = vset(a[r * row_step]);
            acc[r][0] += value * b0;
            if (vectors == 2) acc[r][1] += value * b1;
        }
        a += depth_step;
        b += vectors * VLEN;
    }
}

/* The end of a tile whose columns are not all real. */
static void ISA(store_part)(bool accumulate, int rows, int64_t columns, const float *whole, float *out,
                            const int64_t *offsets, const float *bias) {
    for (int r = 0; r < rows; r++) {
        const float *row = whole + r * 2 * VLEN;
        float *to = out + offsets[r];
        for (int64_t i = 0; i < columns; i++) {
            float sum = accumulate ? row[i] + to[i] : row[i];
            to[i] = bias ? sum + bias[i] : sum;
        }
    }
}

/* One tile of a product: `columns` of its vectors * VLEN columns are real. */
CNN_INLINE void ISA(product_tile)(const int rows, const int vectors, const struct gemm_product *p, const float *a,
                                  const float *b, float *out, const int64_t *offsets, const float *bias,
                                  int64_t columns) {
    vf acc[12][2];
    UNROLL for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = vset(0);
    ISA(multiply)(rows, vectors, p->depth, a, CNN_DEPTH_STRIDE, 1, b, acc);
    if (columns == vectors * VLEN) {
        vf bias0 = bias ? vload(bias) : vset(0), bias1 = bias && vectors == 2 ? vload(bias + VLEN) : vset(0);
        UNROLL for (int r = 0; r < rows; r++) {
            float *to = out + offsets[r];
            if (p->accumulate) acc[r][0] += vload(to);
            vstore(to, acc[r][0] + bias0);
            if (vectors == 2) {
                if (p->accumulate) acc[r][1] += vload(to + VLEN);
                vstore(to + VLEN, acc[r][1] + bias1);
            }
        }
        return;
    }
    float whole[12 * 2 * VLEN];
    UNROLL for (int r = 0; r < rows; r++) {
        vstore(whole + r * 2 * VLEN, acc[r][0]);
        vstore(whole + r * 2 * VLEN + VLEN, acc[r][1]);
    }
    ISA(store_part)(p->accumulate, rows, columns, whole, out, offsets, bias);
}

CNN_INLINE void ISA(product_panel)(const int vectors, const int most, const struct gemm_product *p, const float *b,
                                   float *out, const float *bias, int64_t columns) {
    int64_t row = 0;
#define TILES(count)                                                                                             \
    for (; row + count <= p->rows; row += count)                                                                 \
        ISA(product_tile)(count, vectors, p, p->a + row * CNN_DEPTH_STRIDE, b, out, p->offsets + row, bias, columns)
    if (most == 12) TILES(12);
    if (most == 8) TILES(8);
    TILES(6);
    TILES(4);
    TILES(2);
    TILES(1);
#undef TILES
}

static void ISA(product)(const struct gemm_product *p) {
    for (int64_t column = 0; column < p->columns; column += 2 * VLEN) {
        int64_t left = CNN_MIN(p->columns - column, 2 * VLEN);
        const float *b = p->panels + column * p->whole_depth, *bias = p->bias ? p->bias + column : NULL;
        if (left > VLEN) ISA(product_panel)(2, TILE, p, b + p->first_depth * 2 * VLEN, p->out + column, bias, left);
        else ISA(product_panel)(1, 12, p, b + p->first_depth * VLEN, p->out + column, bias, left);
    }
}

CNN_INLINE void ISA(outer_tile)(const int rows, const int vectors, const struct gemm_outer *p, const float *a,
                                const float *b, float *out) {
    vf acc[12][2];
    UNROLL for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = vset(0);
    ISA(multiply)(rows, vectors, p->depth, a, 1, CNN_DEPTH_STRIDE, b, acc);
    UNROLL for (int r = 0; r < rows; r++) {
        for (int v = 0; v < vectors; v++) {
            float *to = out + (r * vectors + v) * VLEN;
            vstore(to, p->accumulate ? vload(to) + acc[r][v] : acc[r][v]);
        }
    }
}

CNN_INLINE void ISA(outer_rows)(const int rows, const int most, const struct gemm_outer *p, int64_t row) {
    for (int64_t column = 0; column < p->columns; column += 2 * VLEN) {
        const float *a = p->a + row, *b = p->panels + column * p->depth;
        float *out = p->out + column * p->whole_rows;
        if (p->columns - column > VLEN) {
            out += (p->first_row + row) * 2 * VLEN;
            if (rows <= most) {
                ISA(outer_tile)(rows, 2, p, a, b, out);
            } else {
                ISA(outer_tile)(rows / 2, 2, p, a, b, out);
                ISA(outer_tile)(rows / 2, 2, p, a + rows / 2, b, out + rows / 2 * 2 * VLEN);
            }
        } else {
            ISA(outer_tile)(rows, 1, p, a, b, out + (p->first_row + row) * VLEN);
        }
    }
}

/* The columns of A that a tile reads stay in L1 while the panels stream by. */
static void ISA(outer)(const struct gemm_outer *p) {
    int64_t row = 0;
    for (; row + 12 <= p->rows; row += 12) ISA(outer_rows)(12, TILE, p, row);
    for (; row + 6 <= p->rows; row += 6) ISA(outer_rows)(6, TILE, p, row);
    for (; row + 4 <= p->rows; row += 4) ISA(outer_rows)(4, TILE, p, row);
    for (; row + 2 <= p->rows; row += 2) ISA(outer_rows)(2, TILE, p, row);
    for (; row < p->rows; row++) ISA(outer_rows)(1, TILE, p, row);
}

/* One panel of pack_rows; `part` lanes of its last vector are real, 0 for all. */
CNN_INLINE void ISA(pack_panel)(const int vectors, const bool partial, int64_t part, int64_t rows, const float *source,
                                int64_t stride, float *panel, float *sums) {
    vf sum0 = vset(0), sum1 = vset(0);
    for (int64_t row = 0; row < rows; row++, source += stride, panel += vectors * VLEN) {
        const float *from = source + (vectors - 1) * VLEN;
        vf last = partial ? vload_part(from, part) : vload(from);
        if (vectors == 2) {
            vf first = vload(source);
            vstore(panel, first);
            sum0 += first;
        }
        vstore(panel + (vectors - 1) * VLEN, last);
        sum1 += last;
    }
    if (!sums) return;
    if (vectors == 2) vstore(sums, vload(sums) + sum0);
    sums += (vectors - 1) * VLEN;
    vstore(sums, vload(sums) + sum1);
}

static void ISA(pack_rows)(int64_t rows, int64_t columns, const float *source, int64_t stride, float *panels,
                           float *sums) {
    for (int64_t column = 0; column < columns; column += 2 * VLEN) {
        int64_t left = CNN_MIN(columns - column, 2 * VLEN);
        const float *from = source + column;
        float *panel = panels + column * rows, *sum = sums ? sums + column : NULL;
        int64_t part = left % VLEN;
        if (left == 2 * VLEN) ISA(pack_panel)(2, false, 0, rows, from, stride, panel, sum);
        else if (left > VLEN) ISA(pack_panel)(2, true, part, rows, from, stride, panel, sum);
        else if (left == VLEN) ISA(pack_panel)(1, false, 0, rows, from, stride, panel, sum);
        else ISA(pack_panel)(1, true, part, rows, from, stride, panel, sum);
    }
}

static const struct gemm_kernels ISA(gemm_kernels) = {2 * VLEN, ISA(product), ISA(outer), ISA(pack_rows)};
