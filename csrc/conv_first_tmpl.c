/* First layers, the vector version: vectors over output channels, one value of the image for all of them. Compiled
 * for each instruction set by a file of its own (conv_first_avx2.c), on behalf of conv_first.c. As in
 * depthwise_tmpl.c each value of a row is loaded once and goes into every result that it meets. */

#undef UNROLL
#define UNROLL CNN_UNROLL(25)

#define MOST_RESULTS 8

/* Results of sums[0 … count) go to out + at and every k floats from there, `part` lanes each (0: all); the first `kept`
 * lanes are another vector's. */
static __attribute__((noinline)) void ISA(finish)(const cnn_finish *f, int64_t count, int64_t k, int64_t channel,
                                                  int64_t part, int64_t kept, float *out, int64_t at,
                                                  const vf sums[MOST_RESULTS]) {
    for (int64_t q = 0; q < count; q++, at += k) {
        union {
            vf v;
            float f[VLEN];
        } u = {.v = sums[q]};
        for (int64_t i = kept; i < (part ? part : VLEN); i++)
            out[at + i] = (float)cnn_finished(f, at + i, channel + i, u.f[i]);
    }
}

/* The same where there is nothing to add and no gate. A partial vector is stored whole where another result's follows
 * and puts right what it wrote too much. */
CNN_INLINE void ISA(finish_plain)(const int results, const bool some, const cnn_finish *f, int64_t count, int64_t k,
                                  int64_t channel, int64_t part, float *out, vf sums[MOST_RESULTS]) {
    if (f->bias) {
        vf bias = part ? vload_part(f->bias + channel, part) : vload(f->bias + channel);
        UNROLL for (int q = 0; q < results; q++) sums[q] += bias;
    }
    if (f->activation != CNN_IDENTITY) {
        const vf zero = vset(0), top = vset(f->activation == CNN_RELU6 ? 6 : INFINITY);
        UNROLL for (int q = 0; q < results; q++) sums[q] = vmin(top, vmax(zero, sums[q])); /* NaN stays NaN */
    }
    if (!part) {
        UNROLL for (int q = 0; q < results; q++) if (!some || q < count) vstore(out + q * k, sums[q]);
        return;
    }
    int64_t whole = cnn_ceil_div(VLEN, part); /* results that a whole vector at `part` floats a result touches */
    UNROLL for (int q = 0; q < results; q++) {
        if (q + whole <= count) vstore(out + q * k, sums[q]);
        else if (q < count) vstore_part(out + q * k, sums[q], part);
    }
}

/* sums += one row of taps of one channel times the source values under it, `step` floats apart; result q meets value
 * q * stride + t at tap t. `valid` says which values there are: any of them where `some`, otherwise all but the first
 * and last kernel / 2. */
CNN_INLINE void ISA(tap_row)(const int kernel, const int stride, const int results, const bool some, uint64_t valid,
                             const float *x, int64_t step, const float *weight, vf sums[MOST_RESULTS]) {
    const int sources = (results - 1) * stride + kernel;
    vf taps[7];
    UNROLL for (int t = 0; t < kernel; t++) taps[t] = vload(weight + t * VLEN);
    UNROLL for (int m = 0; m < sources; m++, x += step) {
        if ((!some && m >= kernel / 2 && m < sources - kernel / 2) || valid >> m & 1) {
            vf value = vset(*x);
            vhold(value);
            UNROLL for (int t = 0; t < kernel; t++) {
                const int q = (m - t) / stride;
                if (m >= t && (m - t) % stride == 0 && q < results) sums[q] += taps[t] * value;
            }
        }
    }
}

CNN_INLINE void ISA(tile)(const int kernel, const int stride, const int results, const bool some,
                          const struct first_tile *tile) {
    const cnn_finish f = *tile->finish;
    const bool plain = !f.add && (!f.gate || f.activation == CNN_IDENTITY);
    const int64_t k = tile->k, c = tile->c, rows = tile->rows, count = tile->count, part = k < VLEN ? k : 0;
    const float *weight = tile->weight;
    for (int64_t v = 0; v < k; v += VLEN, weight += tile->size * VLEN) {
        int64_t channel = part ? 0 : CNN_MIN(v, k - VLEN);
        vf sums[MOST_RESULTS];
        UNROLL for (int q = 0; q < results; q++) sums[q] = vset(0);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t i = 0; i < c; i++)
                ISA(tap_row)(kernel, stride, results, some, tile->valid, tile->x[r] + tile->left + i, c,
                             weight + (tile->tap_rows[r] * c + i) * kernel * VLEN, sums);
        if (plain) {
            ISA(finish_plain)(results, some, &f, count, k, channel, part, tile->out + tile->at + channel, sums);
        } else {
            vf copy[MOST_RESULTS];
            UNROLL for (int q = 0; q < results; q++) copy[q] = sums[q];
            ISA(finish)(&f, count, k, channel, part, v - channel, tile->out, tile->at + channel, copy);
        }
    }
}

#define TILE(name, kernel, stride, results, some) \
    static void ISA(name)(const struct first_tile *t) { ISA(tile)(kernel, stride, results, some, t); }
#define TILES(name, kernel, stride)                       \
    TILE(name##_some, kernel, stride, MOST_RESULTS, true) \
    TILE(name##_7, kernel, stride, 7, false)              \
    TILE(name##_8, kernel, stride, MOST_RESULTS, false)
TILES(tile_3, 3, 1)
TILES(tile_5, 5, 1)
TILES(tile_3_stride, 3, 2)
TILES(tile_7_stride, 7, 2)

const struct first_kernels ISA(cnn_first_kernels) = {
    .lanes = VLEN,
    .tiles = {{ISA(tile_3_some), ISA(tile_3_7), ISA(tile_3_8)},
              {ISA(tile_5_some), ISA(tile_5_7), ISA(tile_5_8)},
              {ISA(tile_3_stride_some), ISA(tile_3_stride_7), ISA(tile_3_stride_8)},
              {ISA(tile_7_stride_some), ISA(tile_7_stride_7), ISA(tile_7_stride_8)}},
};
#undef MOST_RESULTS
#undef TILE
#undef TILES
