/* Rows of results with vectors along the row: the vector version. Compiled for each instruction set by a file of its
 * own (conv_planar_avx2.c), on behalf of conv_planar.c. Each weight is spread over a vector and multiplied with two
 * of the row. */

#include "conv_planar_put.h"

/* Stores the first `count` of VLEN results of k channels. */
CNN_INLINE void ISA(put)(const int k, int64_t count, const vf *sums, int64_t step, float *out, int64_t room) {
#if VLEN >= 8
    UNROLL for (int half = 0; half < VLEN / 8; half++) {
        __m256 r[8];
        UNROLL for (int i = 0; i < 8; i++) {
            if (i >= k) r[i] = _mm256_setzero_ps();
#if VLEN == 16
            else
                r[i] = half ? _mm512_extractf32x8_ps((__m512)sums[i * step], 1)
                            : _mm512_castps512_ps256((__m512)sums[i * step]);
#else
            else r[i] = (__m256)sums[i * step];
#endif
        }
        ISA(put_eight)(k, count - half * 8, r, out + half * 8 * k, room - half * 8 * k);
    }
#else
    (void)room;
    for (int i = 0; i < k; i++) {
        union {
            vf v;
            float f[VLEN];
        } u = {.v = sums[i * step]};
        for (int64_t q = 0; q < CNN_MIN(count, VLEN); q++) out[q * k + i] = u.f[q];
    }
#endif
}

/* The same with something to add, or a gate. */
static __attribute__((noinline)) void ISA(put_finished)(const cnn_finish *f, int k, int64_t count, const vf *sums,
                                                        int64_t step, float *out, int64_t at) {
    for (int i = 0; i < k; i++) {
        union {
            vf v;
            float f[VLEN];
        } u = {.v = sums[i * step]};
        for (int64_t q = 0; q < CNN_MIN(count, VLEN); q++)
            out[at + q * k + i] = (float)cnn_finished(f, at + q * k + i, i, u.f[q]);
    }
}

/* `vectors` vectors of results from column j on. */
CNN_INLINE void ISA(block)(const int k, const int vectors, const struct planar_row *row, const cnn_finish *f,
                           int64_t j) {
    const bool plain = !f->add && (!f->gate || f->activation == CNN_IDENTITY);
    const int64_t kw = row->kw, pitch = row->pitch, planes = row->planes;
    const float *weight = row->weight, *x = row->x + j;
    vf sums[MOST_OUTPUTS * BLOCK];
    UNROLL for (int i = 0; i < k * vectors; i++) sums[i] = vset(0);
    for (int64_t plane = 0; plane < planes; plane++, x += pitch) {
        for (int64_t t = 0; t < kw; t++, weight += k) {
            vf value[BLOCK];
            UNROLL for (int v = 0; v < vectors; v++) {
                value[v] = vload(x + t + v * VLEN);
                vhold(value[v]);
            }
            UNROLL for (int i = 0; i < k; i++) {
                const vf w = vset(weight[i]);
                UNROLL for (int v = 0; v < vectors; v++) sums[i * vectors + v] += w * value[v];
            }
        }
    }
    const int64_t at = row->at + j * k, count = row->columns - j;
    if (!plain) {
        vf copy[MOST_OUTPUTS * BLOCK];
        UNROLL for (int i = 0; i < k * vectors; i++) copy[i] = sums[i];
        for (int v = 0; v < vectors; v++)
            ISA(put_finished)(f, k, count - v * VLEN, copy + v, vectors, row->out, at + v * VLEN * k);
        return;
    }
    const vf zero = vset(0), top = vset(f->activation == CNN_RELU6 ? 6 : INFINITY);
    UNROLL for (int i = 0; i < k; i++) {
        const vf bias = vset(f->bias ? f->bias[i] : 0);
        UNROLL for (int v = 0; v < vectors; v++) {
            sums[i * vectors + v] += bias;
            if (f->activation != CNN_IDENTITY)
                sums[i * vectors + v] = vmin(top, vmax(zero, sums[i * vectors + v])); /* NaN stays NaN */
        }
    }
    UNROLL for (int v = 0; v < vectors; v++)
        ISA(put)(k, count - v * VLEN, sums + v, vectors, row->out + at + v * VLEN * k, row->room - (j + v * VLEN) * k);
}

#define ROW(k)                                                                                                \
    static void ISA(row_##k)(const struct planar_row *row) {                                                  \
        const cnn_finish f = *row->finish;                                                                    \
        const int64_t rest = (VECTORS(k) - 1) * VLEN; /* columns that are left to a single vector, at most */ \
        int64_t j = 0;                                                                                        \
        for (; j + rest < row->columns; j += VECTORS(k) * VLEN) ISA(block)(k, VECTORS(k), row, &f, j);        \
        if (j < row->columns) ISA(block)(k, 1, row, &f, j);                                                   \
    }

ROW(1)
ROW(2)
ROW(3)
ROW(4)
ROW(5)
ROW(6)
ROW(7)

const struct planar_kernels ISA(cnn_planar_kernels) = {
    .rows = {ISA(row_1), ISA(row_2), ISA(row_3), ISA(row_4), ISA(row_5), ISA(row_6), ISA(row_7)},
};
#undef ROW
