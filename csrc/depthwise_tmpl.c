/* Depthwise convolutions, the vector version: vectors over channels. Compiled per instruction set by foreach_isa.h on
 * behalf of depthwise.c. Where the channels are no whole number of vectors the last vector overlaps the one before,
 * which computes some results twice; below one vector `part` says how many lanes are real. */

CNN_INLINE vf ISA(load_lanes)(const float *p, int64_t part) { return part ? vload_part(p, part) : vload(p); }
CNN_INLINE void ISA(store_lanes)(float *p, vf a, int64_t part) {
    if (part) vstore_part(p, a, part);
    else vstore(p, a);
}

/* Where vector `block` of the channels begins. */
CNN_INLINE int64_t ISA(block_start)(int64_t block, int64_t channels) {
    return channels < VLEN ? 0 : CNN_MIN(block * VLEN, channels - VLEN);
}

/* `results` neighbours of a row, under taps [from, to) of each of `taps_h` rows; source is the first of those pixels
 * under tap (0, 0), weight that tap's. All channels. */
CNN_INLINE void ISA(depthwise_tile)(const int results, const struct conv_view *v, int64_t channels, int64_t part,
                                    const float *source, const float *weight, int64_t taps_h, int64_t from, int64_t to,
                                    const float *bias, float *out) {
    const int64_t tap_step = v->step_w * v->pixel, row_step = v->step_h * v->w * v->pixel;
    const int64_t next = v->stride_w * v->pixel, next_out = v->out_step * v->out_pixel;
    for (int64_t block = 0; block * VLEN < channels; block++) {
        int64_t c = ISA(block_start)(block, channels);
        vf acc[8];
        UNROLL for (int r = 0; r < results; r++) acc[r] = vset(0);
        for (int64_t s = 0; s < taps_h; s++) {
            for (int64_t t = from; t < to; t++) {
                vf w = ISA(load_lanes)(weight + (s * v->taps_w + t) * channels + c, part);
                const float *x = source + s * row_step + t * tap_step + c;
                UNROLL for (int r = 0; r < results; r++) acc[r] += w * ISA(load_lanes)(x + r * next, part);
            }
        }
        vf last = bias ? ISA(load_lanes)(bias + c, part) : vset(0);
        UNROLL for (int r = 0; r < results; r++) ISA(store_lanes)(out + r * next_out + c, acc[r] + last, part);
    }
}

/* Taps [*from, *to) of `taps` that meet one of `size` pixels, tap 0 at `start`. */
CNN_INLINE void ISA(taps_inside)(int64_t start, int64_t step, int64_t taps, int64_t size, int64_t *from, int64_t *to) {
    *from = start < 0 ? CNN_MIN(cnn_ceil_div(-start, step), taps) : 0;
    *to = start >= size ? *from : CNN_MAX(*from, CNN_MIN(taps, (size - 1 - start) / step + 1));
}

CNN_INLINE void ISA(depthwise_row)(const struct conv_view *v, int64_t part, const float *source, const float *weight,
                                   const float *bias, float *out, int64_t image, int64_t i) {
    int64_t channels = v->pixel, top = v->start_h + i * v->stride_h, first, last;
    ISA(taps_inside)(top, v->step_h, v->taps_h, v->h, &first, &last);
    const float *row = source + (image * v->h + top + first * v->step_h) * v->w * v->pixel;
    weight += first * v->taps_w * channels;
    for (int64_t j = 0; j < v->columns;) {
        int64_t left = v->start_w + j * v->stride_w, from, to;
        int64_t inside = left < 0 ? 0 : (v->w - 1 - left - (v->taps_w - 1) * v->step_w) / v->stride_w + 1;
        int64_t results = CNN_MIN(v->columns - j, left + (v->taps_w - 1) * v->step_w >= v->w ? 0 : inside);
        const float *x = row + left * v->pixel;
        float *to_out = out + cnn_view_offset(v, image, i, j);
        if (results >= 8 && !part) {
            ISA(depthwise_tile)(8, v, channels, 0, x, weight, last - first, 0, v->taps_w, bias, to_out);
            j += 8;
        } else if (results >= 4 && !part) {
            ISA(depthwise_tile)(4, v, channels, 0, x, weight, last - first, 0, v->taps_w, bias, to_out);
            j += 4;
        } else {
            ISA(taps_inside)(left, v->step_w, v->taps_w, v->w, &from, &to);
            ISA(depthwise_tile)(1, v, channels, part, x, weight, last - first, from, to, bias, to_out);
            j++;
        }
    }
}

static void ISA(depthwise_rows)(const struct conv_view *v, const float *source, const float *weight,
                                const float *bias, float *out, int64_t row, int64_t count) {
    int64_t channels = v->pixel, part = channels < VLEN ? channels : 0;
    for (int64_t r = row; r < row + count; r++) {
        int64_t image = r / v->rows, i = r % v->rows;
        if (part) ISA(depthwise_row)(v, part, source, weight, bias, out, image, i);
        else ISA(depthwise_row)(v, 0, source, weight, bias, out, image, i);
    }
}

/* sums[t] += the products of one row of dy with the row of x under it, for taps t of a group: dy[j] meets
 * x[left + j * stride_w + t * step_w]. */
CNN_INLINE void ISA(weights_row)(const int taps, const struct conv_view *v, int64_t part, const float *x, int64_t left,
                                 const float *dy, vf sums[4]) {
    const int64_t step = v->step_w, next = v->stride_w * v->pixel;
    int64_t low = left < 0 ? CNN_MIN(cnn_ceil_div(-left, v->stride_w), v->columns) : 0; /* all taps inside … */
    int64_t end = v->w - 1 - left - (taps - 1) * step;                                  /* … in [low, high) */
    int64_t high = end < 0 ? low : CNN_MAX(low, CNN_MIN(v->columns, end / v->stride_w + 1));
    for (int64_t j = 0; j < v->columns; j++) {
        if (j == low && low < high) {
            const float *source = x + left * v->pixel + j * next, *gradient = dy + j * v->out_pixel;
            for (; j < high; j++, source += next, gradient += v->out_pixel) {
                vf d = ISA(load_lanes)(gradient, part);
                UNROLL for (int t = 0; t < taps; t++)
                    sums[t] += d * ISA(load_lanes)(source + t * step * v->pixel, part);
            }
            if (j == v->columns) break;
        }
        vf d = ISA(load_lanes)(dy + j * v->out_pixel, part);
        UNROLL for (int t = 0; t < taps; t++) {
            int64_t at = left + j * v->stride_w + t * step;
            if (at >= 0 && at < v->w) sums[t] += d * ISA(load_lanes)(x + at * v->pixel, part);
        }
    }
}

/* Taps (s, t … t + taps - 1) of one vector of channels, over rows of dy. */
CNN_INLINE void ISA(weights_taps)(const int taps, const struct conv_view *v, int64_t part, const float *x,
                                  const float *dy, int64_t row, int64_t count, int64_t s, int64_t t, float *to) {
    vf sums[4];
    UNROLL for (int q = 0; q < taps; q++) sums[q] = vload(to + q * VLEN);
    for (int64_t r = row; r < row + count; r++) {
        int64_t image = r / v->rows, y = v->start_h + r % v->rows * v->stride_h + s * v->step_h;
        if (y < 0 || y >= v->h) continue;
        ISA(weights_row)(taps, v, part, x + (image * v->h + y) * v->w * v->pixel, v->start_w + t * v->step_w,
                         dy + r * v->columns * v->out_pixel, sums);
    }
    UNROLL for (int q = 0; q < taps; q++) vstore(to + q * VLEN, sums[q]);
}

CNN_INLINE void ISA(weights_block)(const struct conv_view *v, int64_t part, const float *x, const float *dy,
                                   int64_t row, int64_t count, float *to) {
    for (int64_t s = 0; s < v->taps_h; s++) {
        int64_t t = 0;
        for (; t + 3 <= v->taps_w; t += 3, to += 3 * VLEN) ISA(weights_taps)(3, v, part, x, dy, row, count, s, t, to);
        for (; t < v->taps_w; t++, to += VLEN) ISA(weights_taps)(1, v, part, x, dy, row, count, s, t, to);
    }
    vf bias = vload(to);
    for (int64_t p = row * v->columns; p < (row + count) * v->columns; p++)
        bias += ISA(load_lanes)(dy + p * v->out_pixel, part);
    vstore(to, bias);
}

static void ISA(depthwise_weights)(const struct conv_view *v, const float *x, const float *dy, int64_t row,
                                   int64_t count, float *partial) {
    int64_t channels = v->pixel, size = (v->taps_h * v->taps_w + 1) * VLEN;
    if (channels < VLEN) {
        ISA(weights_block)(v, channels, x, dy, row, count, partial);
        return;
    }
    for (int64_t block = 0; block * VLEN < channels; block++) {
        int64_t c = ISA(block_start)(block, channels);
        ISA(weights_block)(v, 0, x + c, dy + c, row, count, partial + block * size);
    }
}

static const struct depthwise_kernels ISA(depthwise_kernels) = {VLEN, ISA(depthwise_rows), ISA(depthwise_weights)};
