/* Adding products to the pixels under a window, and finishing an image of sums: the vector version. Compiled per
 * instruction set by foreach_isa.h on behalf of conv_scatter.c, whose comments say what each does. */

/* to[i] += from[i] for i < count. Whole vectors are read and written, ROOM allowing; lanes beyond add nothing. */
CNN_INLINE void ISA(add_run)(float *to, const float *from, int64_t count) {
    int64_t i = 0;
    for (; i + VLEN <= count; i += VLEN) vstore(to + i, vload(to + i) + vload(from + i));
    if (i == count) return;
    vi kept = *(const ISA(vi_unaligned_t) *)(kept_lanes + ROOM - (count - i));
    vstore(to + i, vload(to + i) + (vf)(kept & (vi)vload(from + i)));
}

/* The window of one pixel of dy, whose first tap is at (top, left) of the image. */
CNN_INLINE void ISA(add_window)(const cnn_conv2d *p, const float *products, int64_t top, int64_t left, float *sums) {
    bool whole = p->dilation_w == 1; /* a row of taps is one run */
    int64_t runs = whole ? 1 : p->kw, length = whole ? p->kw : 1;
    for (int64_t s = 0; s < p->kh; s++) {
        int64_t y = top + s * p->dilation_h;
        if (y < 0 || y >= p->h) continue;
        for (int64_t t = 0; t < runs; t++) {
            int64_t x = left + t * p->dilation_w, low = CNN_MAX(0, -x), high = CNN_MIN(length, p->w - x);
            if (low >= high) continue;
            ISA(add_run)(sums + (y * p->w + x + low) * p->c, products + (s * p->kw + t + low) * p->c,
                         (high - low) * p->c);
        }
    }
}

/* A row's pixels are taken kw apart: loads would wait for the stores of a neighbour's window, which overlaps. */
static void ISA(add)(const cnn_conv2d *p, const float *products, int64_t stride, int64_t first, int64_t rows,
                     float *sums) {
    for (int64_t i = 0; i < rows; i++) {
        int64_t top = (first + i) * p->stride_h - p->pad_top;
        for (int64_t phase = 0; phase < CNN_MIN(p->kw, p->ow); phase++)
            for (int64_t j = phase; j < p->ow; j += p->kw)
                ISA(add_window)(p, products + (i * p->ow + j) * stride, top, j * p->stride_w - p->pad_left, sums);
    }
}

static void ISA(finish)(const cnn_finish *f, int64_t count, int64_t c, float *sums, int64_t at, float *out) {
    const cnn_finish finish = f ? *f : (cnn_finish){.activation = CNN_IDENTITY};
    const float *add = finish.add, *gate = finish.gate;
    bool bounded = finish.activation == CNN_RELU6;
    const vf top = vset(bounded ? 6 : INFINITY);
    if (finish.bias)
        for (int64_t i = 0; i < count; i += c)
            for (int64_t channel = 0; channel < c; channel++) sums[i + channel] += finish.bias[channel];
    for (int64_t i = 0; i < count; i += VLEN) {
        int64_t rest = CNN_MIN(count - i, VLEN);
        vf sum = vload(sums + i);
        if (add) sum += rest == VLEN ? vload(add + at + i) : vload_part(add + at + i, rest);
        if (finish.activation != CNN_IDENTITY && gate) {
            vf output = rest == VLEN ? vload(gate + at + i) : vload_part(gate + at + i, rest);
            sum = (vf)((output > vset(0)) & (output < top) & (vi)sum);
        } else if (finish.activation != CNN_IDENTITY) {
            sum = vselect(sum < vset(0), vset(0), vselect(sum > top, top, sum));
        }
        if (rest == VLEN) vstore(out + at + i, sum);
        else vstore_part(out + at + i, sum, rest);
    }
}

/* ---- strips ---- */

#undef UNROLL
#define UNROLL CNN_UNROLL(10)

/* Where a vector of the window goes, from the place of its pixel on, and which of its lanes do. */
struct ISA(strip_vector) {
    int64_t to;
    vi kept;
};

/* `results` pixels of dy below each other, `down` floats apart, times two vectors of the window. The sums of the first
 * `skip` are not wanted; others are added to places `next` floats apart. Nothing is loaded from `sums` before all is
 * multiplied, when the stores of the pixel before are through: the two overlap. */
CNN_INLINE void ISA(strip)(const int results, int64_t depth, const float *dy, int64_t down, const float *packed,
                           const struct ISA(strip_vector) pair[2], int64_t skip, int64_t next, float *sums) {
    vf first[10], second[10];
    UNROLL for (int r = 0; r < results; r++) first[r] = second[r] = vset(0);
    for (int64_t k = 0; k < depth; k++, packed += 2 * VLEN) {
        const vf a = vload(packed), b = vload(packed + VLEN);
        UNROLL for (int r = 0; r < results; r++) {
            const vf value = vset(dy[r * down + k]);
            first[r] += a * value;
            second[r] += b * value;
        }
    }
    UNROLL for (int r = 0; r < results; r++, sums += next) {
        if (r < skip) continue;
        vstore(sums + pair[0].to, vload(sums + pair[0].to) + (vf)(pair[0].kept & (vi)first[r]));
        vstore(sums + pair[1].to, vload(sums + pair[1].to) + (vf)(pair[1].kept & (vi)second[r]));
    }
}

CNN_INLINE void ISA(strip_rows)(const int results, const cnn_conv2d *p, const float *dy, const float *packed,
                                int64_t pitch, float *sums) {
    const int64_t run = p->kw * p->c, vectors = cnn_ceil_div(run, VLEN), all = p->kh * vectors, down = p->ow * p->k;
    const int64_t depth = p->k, columns = p->ow, right = p->stride_w * p->c, next = p->stride_h * pitch;
    for (int64_t u = 0; u < all; u += 2, packed += depth * 2 * VLEN) {
        struct ISA(strip_vector) pair[2] = {0};
        for (int64_t v = u; v < CNN_MIN(u + 2, all); v++) {
            int64_t from = v % vectors * VLEN, kept = CNN_MIN(VLEN, run - from);
            pair[v - u].to = v / vectors * p->dilation_h * pitch + from;
            pair[v - u].kept = *(const ISA(vi_unaligned_t) *)(kept_lanes + ROOM - kept);
        }
        for (int64_t i = 0; i < p->oh; i += results) {
            int64_t row = CNN_MIN(i, p->oh - results); /* the last strip overlaps the one before */
            const float *d = dy + row * down;
            float *to = sums + row * next;
            for (int64_t j = 0; j < columns; j++, d += depth, to += right)
                ISA(strip)(results, depth, d, down, packed, pair, i - row, next, to);
        }
    }
}

/* Two vectors of each result's sums stay in registers. */
static void ISA(strips)(const cnn_conv2d *p, const float *dy, const float *packed, int64_t pitch, float *sums) {
#if VLEN == 16 || defined(__aarch64__)
    if (p->oh >= 2 * FEWEST_ROWS) {
        ISA(strip_rows)(2 * FEWEST_ROWS, p, dy, packed, pitch, sums);
        return;
    }
#endif
    ISA(strip_rows)(FEWEST_ROWS, p, dy, packed, pitch, sums);
}

static const struct scatter_kernels ISA(scatter_kernels) = {ISA(add), ISA(finish), VLEN, ISA(strips)};
