/* Rows of results with vectors along the row: the vector version. Compiled per instruction set by foreach_isa.h on
 * behalf of conv_planar.c. Each weight is spread over a vector and multiplied with two of the row; results are turned
 * into pixels, channels next to each other, eight at a time. */

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
#endif

/* Stores the first `count` of VLEN results of k channels; a whole vector a pixel where there is room for it, whose
 * surplus the next pixel overwrites. */
CNN_INLINE void ISA(put)(const int k, int64_t count, const vf *sums, int64_t step, float *out, int64_t room) {
#if VLEN >= 8
    UNROLL for (int half = 0; half < VLEN / 8; half++) {
        __m256 r[8];
        UNROLL for (int i = 0; i < 8; i++) {
            if (i >= k) r[i] = _mm256_setzero_ps();
#if VLEN == 16
            else r[i] = half ? _mm512_extractf32x8_ps((__m512)sums[i * step], 1)
                             : _mm512_castps512_ps256((__m512)sums[i * step]);
#else
            else r[i] = (__m256)sums[i * step];
#endif
        }
        ISA(turn)(r);
        UNROLL for (int q = 0; q < 8; q++) {
            int64_t at = (half * 8 + q) * k;
            if (half * 8 + q < count && at + 8 <= room) {
                _mm256_storeu_ps(out + at, r[q]);
            } else if (half * 8 + q < count) {
                union { __m256 v; float f[8]; } u = {.v = r[q]};
                for (int64_t i = 0; i < k; i++) out[at + i] = u.f[i];
            }
        }
    }
#else
    (void)room;
    for (int i = 0; i < k; i++) {
        union { vf v; float f[VLEN]; } u = {.v = sums[i * step]};
        for (int64_t q = 0; q < CNN_MIN(count, VLEN); q++) out[q * k + i] = u.f[q];
    }
#endif
}

/* The same with something to add, or a gate. */
static __attribute__((noinline)) void ISA(put_finished)(const cnn_finish *f, int k, int64_t count, const vf *sums,
                                                        int64_t step, float *out, int64_t at) {
    for (int i = 0; i < k; i++) {
        union { vf v; float f[VLEN]; } u = {.v = sums[i * step]};
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
        ISA(put)(k, count - v * VLEN, sums + v, vectors, row->out + at + v * VLEN * k,
                 row->room - (j + v * VLEN) * k);
}

/* As many as fit into the registers, beside what they are multiplied with. */
#if VLEN == 16 || defined(__aarch64__)
#define VECTORS(k) BLOCK
#else
#define VECTORS(k) ((k) < 7 ? BLOCK : 1)
#endif
#define ROW(k)                                                                                                       \
    static void ISA(row_##k)(const struct planar_row *row) {                                                         \
        const cnn_finish f = *row->finish;                                                                           \
        const int64_t rest = (VECTORS(k) - 1) * VLEN; /* columns that are left to a single vector, at most */        \
        int64_t j = 0;                                                                                               \
        for (; j + rest < row->columns; j += VECTORS(k) * VLEN) ISA(block)(k, VECTORS(k), row, &f, j);               \
        if (j < row->columns) ISA(block)(k, 1, row, &f, j);                                                          \
    }
ROW(1)
ROW(2)
ROW(3)
ROW(4)
ROW(5)
ROW(6)
ROW(7)

static const struct planar_kernels ISA(planar_kernels) = {
    .rows = {ISA(row_1), ISA(row_2), ISA(row_3), ISA(row_4), ISA(row_5), ISA(row_6), ISA(row_7)},
};
#undef BLOCK
#undef ROW
#undef VECTORS
