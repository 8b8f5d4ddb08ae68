/* Rows of results with vectors along the row: the vector version. Compiled for each instruction set by a file of its
 * own (conv_planar_avx2.c), on behalf of conv_planar.c. Each weight is spread over a vector and multiplied with two
 * of the row; results are turned into pixels, channels next to each other, eight at a time. */

#include "pool_tap.h"

#undef UNROLL
#define UNROLL CNN_UNROLL(16)

#define BLOCK 2 /* vectors of a row's results at once */

#if VLEN >= 8
/* The transpose of eight rows of eight. */
CNN_INLINE void ISA(turn)(__m256 r[8]) {
    __m256 t[8], s[8];
    UNROLL for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    UNROLL for (int i = 0; i < 8; i += 4) {
        s[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        s[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        s[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        s[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    UNROLL for (int i = 0; i < 4; i++) {
        r[i] = _mm256_permute2f128_ps(s[i], s[i + 4], 0x20);
        r[i + 4] = _mm256_permute2f128_ps(s[i], s[i + 4], 0x31);
    }
}

/* Stores the first `count` of eight pixels of k channels, of which r has a channel a vector; a whole vector a pixel
 * where there is room for it, whose surplus the next pixel overwrites. */
CNN_INLINE void ISA(put_eight)(const int k, int64_t count, __m256 r[8], float *out, int64_t room) {
    ISA(turn)(r);
    UNROLL for (int q = 0; q < 8; q++) {
        int64_t at = q * k;
        if (q < count && at + 8 <= room) {
            _mm256_storeu_ps(out + at, r[q]);
        } else if (q < count) {
            union {
                __m256 v;
                float f[8];
            } u = {.v = r[q]};
            for (int64_t i = 0; i < k; i++) out[at + i] = u.f[i];
        }
    }
}
#endif

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

/* As many as fit into the registers, beside what they are multiplied with. */
#if VLEN == 16 || defined(__aarch64__)
#define VECTORS(k) BLOCK
#else
#define VECTORS(k) ((k) < 7 ? BLOCK : 1)
#endif
#define ROW(k)                                                                                                \
    static void ISA(row_##k)(const struct planar_row *row) {                                                  \
        const cnn_finish f = *row->finish;                                                                    \
        const int64_t rest = (VECTORS(k) - 1) * VLEN; /* columns that are left to a single vector, at most */ \
        int64_t j = 0;                                                                                        \
        for (; j + rest < row->columns; j += VECTORS(k) * VLEN) ISA(block)(k, VECTORS(k), row, &f, j);        \
        if (j < row->columns) ISA(block)(k, 1, row, &f, j);                                                   \
    }

/* ---- two rows, of which every 2 x 2 results become one ---- */

/* Each lane's neighbour: of lane 0 lane 1, of lane 1 lane 0, … */
CNN_INLINE vf ISA(neighbours)(vf a) {
#if VLEN == 16
    return (vf)_mm512_permute_ps((__m512)a, 0xb1);
#elif VLEN == 8
    return (vf)_mm256_permute_ps((__m256)a, 0xb1);
#else
    return CNN_MIX(a, a, 1, 0, 3, 2);
#endif
}

/* Stores lanes 0, 2, 4, …, and perhaps some more behind them. */
CNN_INLINE void ISA(put_even)(float *to, vf a) {
#if VLEN == 16
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 0, 2, 4, 6, 8, 10, 12, 14);
    _mm256_storeu_ps(to, _mm512_castps512_ps256(_mm512_permutexvar_ps(even, (__m512)a)));
#elif VLEN == 8
    __m256 pairs = _mm256_shuffle_ps((__m256)a, (__m256)a, 0x88);
    _mm_storeu_ps(to, _mm256_castps256_ps128(_mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(pairs), 0xd8))));
#else
    vstore(to, CNN_MIX(a, a, 0, 2, 0, 2));
#endif
}

/* Adds a vector of columns from j on of `rows` of the two rows, from row `first` on: sums[i][row] of channel i. */
CNN_INLINE void ISA(pair_sums)(const int k, const int first, const int rows, const struct planar_row *row, int64_t j,
                               vf *sums) {
    const int64_t kw = row->kw, pitch = row->pitch, planes = row->planes, line = row->line;
    const float *weight = row->weight, *x = row->x + first * line + j;
    for (int64_t plane = 0; plane < planes; plane++, x += pitch) {
        for (int64_t t = 0; t < kw; t++, weight += k) {
            vf value[BLOCK];
            UNROLL for (int r = 0; r < rows; r++) {
                value[r] = vload(x + t + r * line);
                vhold(value[r]);
            }
            UNROLL for (int i = 0; i < k; i++) {
                const vf w = vset(weight[i]);
                UNROLL for (int r = 0; r < rows; r++) sums[i * 2 + first + r] += w * value[r];
            }
        }
    }
}

/* The largest of each 2 x 2 of VLEN columns from j on. */
CNN_INLINE void ISA(pair_block)(const int k, const bool together, const bool kept, const struct planar_row *row,
                                const cnn_finish *f, int64_t pitch, int64_t j) {
    vf sums[MOST_OUTPUTS * 2];
    UNROLL for (int i = 0; i < k * 2; i++) sums[i] = vset(0);
    if (together) {
        ISA(pair_sums)(k, 0, 2, row, j, sums);
    } else {
        ISA(pair_sums)(k, 0, 1, row, j, sums);
        ISA(pair_sums)(k, 1, 1, row, j, sums);
    }
    const vf lowest = vset(f->activation == CNN_IDENTITY ? -INFINITY : 0);
    const vf limit = vset(f->activation == CNN_RELU6 ? 6 : INFINITY);
    UNROLL for (int i = 0; i < k; i++) {
        const vf bias = vset(f->bias ? f->bias[i] : 0), upper = sums[i * 2] + bias, lower = sums[i * 2 + 1] + bias;
        vf best = upper;
        vi place = {0};
        ISA(max_tap)(kept, ISA(neighbours)(upper), 1, &best, &place);
        ISA(max_tap)(kept, lower, 2, &best, &place);
        ISA(max_tap)(kept, ISA(neighbours)(lower), 3, &best, &place);
        ISA(put_even)(row->pooled + i * pitch + j / 2, vmin(limit, vmax(lowest, best)));
        if (kept) ISA(put_even)((float *)row->taps + i * pitch + j / 2, (vf)place);
    }
}

CNN_INLINE void ISA(pair)(const int k, const bool together, const bool kept, const struct planar_row *row) {
    const cnn_finish f = *row->finish;
    const int64_t columns = row->columns / 2, pitch = pooled_pitch(row->columns);
    for (int64_t j = 0; j < 2 * columns; j += VLEN) ISA(pair_block)(k, together, kept, row, &f, pitch, j);
#if VLEN >= 8
    for (int64_t q = 0; q < columns; q += 8) {
        __m256 r[8];
        UNROLL for (int i = 0; i < 8; i++) r[i] = i < k ? _mm256_loadu_ps(row->pooled + i * pitch + q)
                                                        : _mm256_setzero_ps();
        ISA(put_eight)(k, columns - q, r, row->out + row->at + q * k, row->room - q * k);
    }
#else
    for (int64_t q = 0; q < columns; q++)
        for (int i = 0; i < k; i++) row->out[row->at + q * k + i] = row->pooled[i * pitch + q];
#endif
    if (!kept) return;
    for (int64_t q = 0; q < columns; q++)
        for (int i = 0; i < k; i++) f.taps[row->at + q * k + i] = (uint8_t)row->taps[i * pitch + q];
}

#define PAIR(k)                                                              \
    static void ISA(pair_##k)(const struct planar_row *row) {                \
        if (row->finish->taps) ISA(pair)(k, VECTORS(k) == BLOCK, true, row); \
        else ISA(pair)(k, VECTORS(k) == BLOCK, false, row);                  \
    }
PAIR(1)
PAIR(2)
PAIR(3)
PAIR(4)
PAIR(5)
PAIR(6)
PAIR(7)

ROW(1)
ROW(2)
ROW(3)
ROW(4)
ROW(5)
ROW(6)
ROW(7)

const struct planar_kernels ISA(cnn_planar_kernels) = {
    .rows = {ISA(row_1), ISA(row_2), ISA(row_3), ISA(row_4), ISA(row_5), ISA(row_6), ISA(row_7)},
    .pairs = {ISA(pair_1), ISA(pair_2), ISA(pair_3), ISA(pair_4), ISA(pair_5), ISA(pair_6), ISA(pair_7)},
};
#undef BLOCK
#undef PAIR
#undef ROW
#undef VECTORS
