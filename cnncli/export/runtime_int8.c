/* What a quantised model computes on a device without floats, one image (h, w, c) at a time, in plain C99:
 * csource_int8.py copies the parts that a network needs into a classifier.c, each from its marker to the next. The bytes
 * are those of cnn's own kernels (csrc/int8*.c), which round as IEEE 754 says: so whole numbers stand for floats here. */

/* ---- start ---- */
#include <limits.h>
#include <stddef.h>
#include <stdint.h>

/* ---- nearest ---- */
/* How many bits a number has. */
static int32_t bits_of(uint32_t value) {
#if defined(__GNUC__) && UINT_MAX == 0xffffffff
    return value ? 32 - __builtin_clz(value) : 0;
#else
    int32_t bits = 0;
    for (; value; value >>= 1) bits++;
    return bits;
#endif
}

/* value / 2^bits, 1 to 31 bits, to the nearest whole number, and of two to the even one. */
static uint32_t halved(uint64_t value, int32_t bits) {
    uint32_t whole = (uint32_t)(value >> bits), half = (uint32_t)1 << (bits - 1);
    uint32_t rest = (uint32_t)value & (half - 1 + half);
    return whole + (rest > half || (rest == half && (whole & 1)));
}

/* sum * factor / 2^shift, as floats of 24 bits have it: the sum is rounded to 24 bits, then the product is, and then the
 * result to a whole number, within what an int32 holds. factor has 24 bits or is 0. */
static int32_t nearest(int32_t sum, int32_t factor, int32_t shift) {
    uint32_t size = sum < 0 ? 0 - (uint32_t)sum : (uint32_t)sum;
    int32_t more = bits_of(size) - 24;
    if (more > 0) {
        size = halved(size, more);
        shift -= more;
    }
    uint64_t product = (uint64_t)size * (uint32_t)factor;
    uint32_t upper = (uint32_t)(product >> 24);
    uint32_t result = (uint32_t)product;
    if (upper) {
        more = bits_of(upper);
        result = halved(product, more);
        shift -= more;
    }
    if (!result || shift > 31) return 0;
    if (shift > 0) result = halved(result, shift);
    else if (bits_of(result) - shift > 31) result = INT32_MAX;
    else result <<= -shift;
    return sum < 0 ? -(int32_t)result : (int32_t)result;
}

/* ---- clamp ---- */
static int32_t clamp(int32_t value, int32_t least, int32_t most) {
    return value < least ? least : value > most ? most : value;
}

/* ---- parts ---- */
/* A number of parts, each 1 / 4096, to the nearest whole number, halves upward. */
static int32_t whole_of(int32_t parts) {
    parts += 2048;
    return parts < 0 ? -1 - ((-1 - parts) >> 12) : parts >> 12;
}

/* ---- span ---- */
/* A window's rows or columns from `from` to before `to` are inside of the image. */
struct span {
    int32_t start, from, to;
};

/* ---- inside ---- */
static struct span span_of(int32_t start, int32_t size, int32_t window, int32_t dilation) {
    struct span s = {start, 0, window};
    if (start < 0) s.from = (dilation - 1 - start) / dilation;
    if (start + (window - 1) * dilation >= size) s.to = size > start ? (size - start + dilation - 1) / dilation : 0;
    return s;
}

/* ---- finish ---- */
/* What becomes of a channel's sum. */
struct finish {
    const int32_t *bias, *factor;
    const int8_t *shift;
    int32_t zero, least, most;
    const uint8_t *add; /* shaped as the result, or NULL */
    int32_t add_zero, add_factor;
};

static uint8_t finished(const struct finish *f, int32_t channel, int32_t place, int32_t sum) {
    const int32_t largest = (int32_t)1 << 29;
    int32_t result = nearest(sum + f->bias[channel], f->factor[channel], f->shift[channel]);
    if (f->add) {
        result = clamp(result, -largest, largest) + ((int32_t)f->add[place] - f->add_zero) * f->add_factor;
        result = whole_of(result);
    } else {
        result = clamp(result, -256, 256);
    }
    return (uint8_t)clamp(result + f->zero, f->least, f->most);
}

/* ---- products ---- */
/* Adds the products of a row of bytes with the weights of four channels, which lie `step` apart, to their sums. */
static void products(const uint8_t *x, int32_t count, int32_t zero, const int8_t *weights, int32_t step, int32_t *sums) {
    const int8_t *w0 = weights, *w1 = w0 + step, *w2 = w1 + step, *w3 = w2 + step;
    int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
    for (int32_t i = 0; i < count; i++) {
        int32_t value = (int32_t)x[i] - zero;
        a += value * w0[i];
        b += value * w1[i];
        c += value * w2[i];
        d += value * w3[i];
    }
    sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
}

/* The same for one channel. */
static int32_t product(const uint8_t *x, int32_t count, int32_t zero, const int8_t *weights) {
    int32_t sum = 0;
    for (int32_t i = 0; i < count; i++) sum += ((int32_t)x[i] - zero) * weights[i];
    return sum;
}

/* ---- conv ---- */
/* Weights lie by output channel, row and column of the window, input channel. f->add may be y. Taps of a row that lie side
 * by side are one row of numbers. */
static void conv(const uint8_t *x, int32_t h, int32_t w, int32_t c, const int8_t *weights, uint8_t *y, int32_t oh,
                 int32_t ow, int32_t k, int32_t kh, int32_t kw, int32_t sh, int32_t sw, int32_t top, int32_t left,
                 int32_t dh, int32_t dw, int32_t groups, int32_t zero, const struct finish *f) {
    int32_t inputs = c / groups, outputs = k / groups, each = kh * kw * inputs, place = 0;
    for (int32_t i = 0; i < oh; i++) {
        struct span rows = span_of(i * sh - top, h, kh, dh);
        for (int32_t j = 0; j < ow; j++, place += k) {
            struct span columns = span_of(j * sw - left, w, kw, dw);
            int32_t together = groups == 1 && dw == 1 ? columns.to - columns.from : 1, count = 0;
            for (int32_t channel = 0; channel < k; channel += count) {
                const uint8_t *image = x + channel / outputs * inputs;
                int32_t sums[4] = {0, 0, 0, 0};
                count = outputs - channel % outputs < 4 ? 1 : 4;
                for (int32_t s = rows.from; s < rows.to; s++)
                    for (int32_t t = columns.from; t < columns.to; t += together) {
                        const uint8_t *from = image + ((rows.start + s * dh) * w + columns.start + t * dw) * c;
                        const int8_t *at = weights + channel * each + (s * kw + t) * inputs;
                        if (count == 4) products(from, together * inputs, zero, at, each, sums);
                        else sums[0] += product(from, together * inputs, zero, at);
                    }
                for (int32_t r = 0; r < count; r++)
                    y[place + channel + r] = finished(f, channel + r, place + channel + r, sums[r]);
            }
        }
    }
}

/* ---- depthwise ---- */
/* As conv, where each output channel sees one input channel. */
static void depthwise(const uint8_t *x, int32_t h, int32_t w, int32_t c, const int8_t *weights, uint8_t *y, int32_t oh,
                      int32_t ow, int32_t k, int32_t kh, int32_t kw, int32_t sh, int32_t sw, int32_t top, int32_t left,
                      int32_t dh, int32_t dw, int32_t groups, int32_t zero, const struct finish *f) {
    int32_t outputs = k / groups, place = 0;
    for (int32_t i = 0; i < oh; i++) {
        struct span rows = span_of(i * sh - top, h, kh, dh);
        for (int32_t j = 0; j < ow; j++, place += k) {
            struct span columns = span_of(j * sw - left, w, kw, dw);
            for (int32_t channel = 0; channel < k; channel++) {
                int32_t sum = 0;
                for (int32_t s = rows.from; s < rows.to; s++) {
                    const uint8_t *from = x + ((rows.start + s * dh) * w + columns.start) * c + channel / outputs;
                    const int8_t *at = weights + (channel * kh + s) * kw;
                    for (int32_t t = columns.from; t < columns.to; t++) sum += ((int32_t)from[t * dw * c] - zero) * at[t];
                }
                y[place + channel] = finished(f, channel, place + channel, sum);
            }
        }
    }
}

/* ---- prepare ---- */
/* Bytes of pixels as the network's first bytes: 256 for each channel. */
static void prepare(const uint8_t *pixels, int32_t count, int32_t c, const uint8_t *tables, uint8_t *y) {
    for (int32_t i = 0; i < count; i += c)
        for (int32_t k = 0; k < c; k++) y[i + k] = tables[k * 256 + pixels[i + k]];
}

/* ---- add ---- */
/* y may be a or b. */
static void add(const uint8_t *a, int32_t a_zero, int32_t a_factor, const uint8_t *b, int32_t b_zero, int32_t b_factor,
                int32_t count, int32_t zero, int32_t least, int32_t most, uint8_t *y) {
    for (int32_t i = 0; i < count; i++) {
        int32_t parts = ((int32_t)a[i] - a_zero) * a_factor + ((int32_t)b[i] - b_zero) * b_factor;
        y[i] = (uint8_t)clamp(whole_of(parts) + zero, least, most);
    }
}

/* ---- lookup ---- */
/* A function of single bytes, by its table; y may be x. */
static void lookup(const uint8_t *x, int32_t count, const uint8_t *table, uint8_t *y) {
    for (int32_t i = 0; i < count; i++) y[i] = table[x[i]];
}

/* ---- copy ---- */
static void copy(const uint8_t *x, int32_t count, uint8_t *y) {
    for (int32_t i = 0; i < count; i++) y[i] = x[i];
}

/* ---- concat ---- */
/* Puts c channels behind the first ones of y, which has k, each byte looked up in a table, or as it is without one. */
static void put_channels(const uint8_t *x, int32_t pixels, int32_t c, const uint8_t *table, uint8_t *y, int32_t first,
                         int32_t k) {
    y += first;
    for (int32_t i = 0; i < pixels; i++, y += k)
        for (int32_t j = 0; j < c; j++, x++) y[j] = table ? table[*x] : *x;
}

/* ---- maximum ---- */
static void max_pool(const uint8_t *x, int32_t h, int32_t w, int32_t c, uint8_t *y, int32_t oh, int32_t ow, int32_t kh,
                     int32_t kw, int32_t sh, int32_t sw, int32_t top, int32_t left, int32_t dh, int32_t dw,
                     int32_t least, int32_t most) {
    for (int32_t i = 0; i < oh; i++) {
        struct span rows = span_of(i * sh - top, h, kh, dh);
        for (int32_t j = 0; j < ow; j++) {
            struct span columns = span_of(j * sw - left, w, kw, dw);
            for (int32_t k = 0; k < c; k++) {
                int32_t best = 0;
                for (int32_t s = rows.from; s < rows.to; s++)
                    for (int32_t t = columns.from; t < columns.to; t++) {
                        int32_t value = x[((rows.start + s * dh) * w + columns.start + t * dw) * c + k];
                        if (value > best) best = value;
                    }
                *y++ = (uint8_t)clamp(best, least, most);
            }
        }
    }
}

/* ---- window ---- */
/* What the sum over a window is multiplied by, for each divisor that there is, up to the one sought. */
struct mean {
    int32_t divisor, factor, shift;
};

/* The mean over one window of one channel, x being its pixel 0, from which zero_x is taken away, as a byte. */
static uint8_t mean_of(const uint8_t *x, int32_t w, int32_t c, struct span rows, struct span columns, int32_t zero_x,
                       const struct mean *mean, int32_t zero) {
    int32_t sum = 0;
    for (int32_t s = rows.from; s < rows.to; s++)
        for (int32_t t = columns.from; t < columns.to; t++)
            sum += (int32_t)x[((rows.start + s) * w + columns.start + t) * c] - zero_x;
    return (uint8_t)clamp(clamp(nearest(sum, mean->factor, mean->shift), -256, 256) + zero, 0, 255);
}

/* ---- mean ---- */
/* A divisor counts padding, if padded, but nothing beyond it. */
static void mean_pool(const uint8_t *x, int32_t h, int32_t w, int32_t c, uint8_t *y, int32_t oh, int32_t ow, int32_t kh,
                      int32_t kw, int32_t sh, int32_t sw, int32_t top, int32_t left, int32_t padded,
                      const struct mean *means, int32_t zero_x, int32_t zero) {
    for (int32_t i = 0; i < oh; i++) {
        struct span rows = span_of(i * sh - top, h, kh, 1);
        int32_t high = rows.start + kh < h + top ? kh : h + top - rows.start;
        for (int32_t j = 0; j < ow; j++) {
            struct span columns = span_of(j * sw - left, w, kw, 1);
            int32_t wide = columns.start + kw < w + left ? kw : w + left - columns.start;
            int32_t divisor = padded ? high * wide : (rows.to - rows.from) * (columns.to - columns.from);
            const struct mean *mean = means;
            while (mean->divisor != divisor) mean++;
            for (int32_t k = 0; k < c; k++) *y++ = mean_of(x + k, w, c, rows, columns, zero_x, mean, zero);
        }
    }
}

/* ---- adaptive ---- */
static struct span share_of(int32_t index, int32_t size, int32_t windows) {
    struct span s = {index * size / windows, 0, 0};
    s.to = ((index + 1) * size + windows - 1) / windows - s.start;
    return s;
}

static void adaptive_pool(const uint8_t *x, int32_t h, int32_t w, int32_t c, uint8_t *y, int32_t oh, int32_t ow,
                          const struct mean *means, int32_t zero_x, int32_t zero) {
    for (int32_t i = 0; i < oh; i++) {
        struct span rows = share_of(i, h, oh);
        for (int32_t j = 0; j < ow; j++) {
            struct span columns = share_of(j, w, ow);
            const struct mean *mean = means;
            while (mean->divisor != rows.to * columns.to) mean++;
            for (int32_t k = 0; k < c; k++) *y++ = mean_of(x + k, w, c, rows, columns, zero_x, mean, zero);
        }
    }
}

/* ---- flatten ---- */
/* (pixels, c) to (c, pixels). */
static void flatten(const uint8_t *x, int32_t pixels, int32_t c, uint8_t *y) {
    for (int32_t k = 0; k < c; k++)
        for (int32_t i = 0; i < pixels; i++) *y++ = x[i * c + k];
}

/* ---- logits ---- */
/* A dense layer's sums as logits. */
static void logits_of_sums(const uint8_t *x, int32_t count, const int8_t *weights, const int32_t *bias,
                           const int32_t *factor, const int8_t *shift, int32_t zero, int32_t classes, int32_t *logits) {
    for (int32_t k = 0; k < classes; k++) {
        int32_t sum = 0;
        for (int32_t i = 0; i < count; i++) sum += ((int32_t)x[i] - zero) * weights[k * count + i];
        logits[k] = nearest(sum + bias[k], factor[k], shift[k]);
    }
}

/* ---- logits_of_means ---- */
/* The means of all pixels as logits; of one pixel, its bytes. */
static void logits_of_means(const uint8_t *x, int32_t pixels, int32_t zero, int32_t factor, int32_t shift, int32_t classes,
                            int32_t *logits) {
    for (int32_t k = 0; k < classes; k++) {
        int32_t sum = 0;
        for (int32_t i = 0; i < pixels; i++) sum += (int32_t)x[i * classes + k] - zero;
        logits[k] = nearest(sum, factor, shift);
    }
}
