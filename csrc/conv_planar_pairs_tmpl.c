/* Two rows of results with vectors along the row, of which every 2 x 2 become one: the vector version. Compiled for
 * each instruction set by a file of its own (conv_planar_pairs_avx2.c), on behalf of conv_planar.c. */

#include "conv_planar_put.h"
#include "pool_tap.h"

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

const struct planar_pair_kernels ISA(cnn_planar_pair_kernels) = {
    .pairs = {ISA(pair_1), ISA(pair_2), ISA(pair_3), ISA(pair_4), ISA(pair_5), ISA(pair_6), ISA(pair_7)},
};
#undef PAIR
