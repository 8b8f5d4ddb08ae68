/* Addition, a factor, dropout, softmax and transposition, the vector version. Compiled per instruction set by
 * foreach_isa.h on behalf of elementwise.c, whose reference says what each computes; what goes number by number again
 * for maps of bfloat16 on behalf of bf16_elementwise.c (stored.h). */

#include "stored.h"

typedef uint32_t ISA(random_t) __attribute__((vector_size(VLEN * 4)));

static void ISA(add)(int64_t count, const void *first, const void *second, void *sum) {
    const stored *a = first, *b = second;
    stored *out = sum;
    int64_t i = 0;
    for (; i + VLEN <= count; i += VLEN) stored_store(out + i, stored_load(a + i) + stored_load(b + i));
    for (; i < count; i++) stored_put(out + i, stored_one(a + i) + stored_one(b + i));
}

static void ISA(scale)(int64_t count, float factor, const void *from, void *to) {
    const stored *x = from;
    stored *y = to;
    vf by = vset(factor);
    int64_t i = 0;
    for (; i + VLEN <= count; i += VLEN) stored_store(y + i, by * stored_load(x + i));
    for (; i < count; i++) stored_put(y + i, factor * stored_one(x + i));
}

/* random_bits(), all but the lowest eight, for elements i … i + VLEN - 1. */
CNN_INLINE vi ISA(random_lanes)(uint32_t first_key, uint32_t second_key, ISA(random_t) i) {
    ISA(random_t) z = i + first_key;
    z = (z ^ (z >> 16)) * 0x85EBCA6Bu;
    z = (z ^ (z >> 13)) * 0xC2B2AE35u;
    z = z ^ (z >> 16) ^ second_key;
    z = (z ^ (z >> 16)) * 0x85EBCA6Bu;
    z = (z ^ (z >> 13)) * 0xC2B2AE35u;
    z = z ^ (z >> 16);
    return (vi)(z >> 8);
}

static void ISA(dropout)(uint32_t first_key, uint32_t second_key, int32_t threshold, float scale, int64_t count,
                         const void *from, void *to) {
    const stored *x = from;
    stored *y = to;
    ISA(random_t) lanes;
    for (int i = 0; i < VLEN; i++) lanes[i] = (uint32_t)i;
    vf factor = vset(scale);
    int64_t i = 0;
    for (; i + VLEN <= count; i += VLEN, lanes += VLEN) {
        vi kept = ISA(random_lanes)(first_key, second_key, lanes) >= threshold;
        stored_store(y + i, (vf)(kept & (vi)(stored_load(x + i) * factor)));
    }
    if (i < count) {
        vi kept = ISA(random_lanes)(first_key, second_key, lanes) >= threshold;
        stored_store_part(y + i, (vf)(kept & (vi)(stored_load_part(x + i, count - i) * factor)), count - i);
    }
}

static const struct value_kernels ISA(value_kernels) = {ISA(add), ISA(scale), ISA(dropout)};

#ifndef CNN_STORED_BF16

static void ISA(softmax)(int64_t c, const float *x, float *y) {
    int64_t whole = c / VLEN * VLEN, rest = c - whole;
    float top = x[0];
    vf most = vset(top);
    for (int64_t k = 0; k < whole; k += VLEN) most = vmax(vload(x + k), most);
    for (int i = 0; i < VLEN; i++) top = most[i] > top ? most[i] : top;
    for (int64_t k = whole; k < c; k++) top = x[k] > top ? x[k] : top;
    vf total = vset(0), shift = vset(top);
    for (int64_t k = 0; k < whole; k += VLEN) {
        vf e = vexp(vload(x + k) - shift);
        vstore(y + k, e);
        total += e;
    }
    float sum = vsum(total);
    if (rest) {
        vstore_part(y + whole, vexp(vload_part(x + whole, rest) - shift), rest);
        for (int64_t k = whole; k < c; k++) sum += y[k];
    }
    vf divisor = vset(sum);
    for (int64_t k = 0; k < whole; k += VLEN) vstore(y + k, vload(y + k) / divisor);
    for (int64_t k = whole; k < c; k++) y[k] /= sum;
}

static void ISA(softmax_back)(int64_t c, const float *y, const float *dy, float *dx) {
    int64_t whole = c / VLEN * VLEN;
    vf total = vset(0);
    for (int64_t k = 0; k < whole; k += VLEN) total += vload(y + k) * vload(dy + k);
    float dot = vsum(total);
    for (int64_t k = whole; k < c; k++) dot += y[k] * dy[k];
    vf shift = vset(dot);
    for (int64_t k = 0; k < whole; k += VLEN) vstore(dx + k, vload(y + k) * (vload(dy + k) - shift));
    for (int64_t k = whole; k < c; k++) dx[k] = y[k] * (dy[k] - dot);
}

/* 8 x 8 values to their transpose: pairs, then fours, are interleaved within each half of a vector, then halves change
 * places. Where there is no such vector, plain loops. */
#define TILE 8
#if CNN_X86 && VLEN >= 8
CNN_INLINE void ISA(transpose_tile)(const float *from, int64_t from_stride, float *to, int64_t to_stride) {
    __m256 row[TILE], pair[TILE], four[TILE];
    for (int i = 0; i < TILE; i++) row[i] = _mm256_loadu_ps(from + i * from_stride);
    for (int i = 0; i < TILE; i += 2) {
        pair[i] = _mm256_unpacklo_ps(row[i], row[i + 1]);
        pair[i + 1] = _mm256_unpackhi_ps(row[i], row[i + 1]);
    }
    for (int i = 0; i < TILE; i += 4)
        for (int j = 0; j < 2; j++) {
            four[i + 2 * j] = _mm256_shuffle_ps(pair[i + j], pair[i + 2 + j], _MM_SHUFFLE(1, 0, 1, 0));
            four[i + 2 * j + 1] = _mm256_shuffle_ps(pair[i + j], pair[i + 2 + j], _MM_SHUFFLE(3, 2, 3, 2));
        }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(to + i * to_stride, _mm256_permute2f128_ps(four[i], four[i + 4], 0x20));
        _mm256_storeu_ps(to + (i + 4) * to_stride, _mm256_permute2f128_ps(four[i], four[i + 4], 0x31));
    }
}
#else
CNN_INLINE void ISA(transpose_tile)(const float *from, int64_t from_stride, float *to, int64_t to_stride) {
    for (int i = 0; i < TILE; i++)
        for (int j = 0; j < TILE; j++) to[i * to_stride + j] = from[j * from_stride + i];
}
#endif

/* Two tiles, one above the other, at a time: a whole line of each row of `to`. */
static void ISA(transpose)(int64_t rows, int64_t columns, const float *from, float *to) {
    int64_t whole_rows = rows / TILE * TILE, whole_columns = columns / TILE * TILE;
    for (int64_t r = 0; r < whole_rows; r += 2 * TILE)
        for (int64_t k = 0; k < whole_columns; k += TILE) {
            ISA(transpose_tile)(from + r * columns + k, columns, to + k * rows + r, rows);
            int64_t next = r + TILE;
            if (next < whole_rows) ISA(transpose_tile)(from + next * columns + k, columns, to + k * rows + next, rows);
        }
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = r < whole_rows ? whole_columns : 0; k < columns; k++) to[k * rows + r] = from[r * columns + k];
}
#undef TILE

static const struct elementwise_kernels ISA(elementwise_kernels) = {ISA(softmax), ISA(softmax_back), ISA(transpose)};

#endif
