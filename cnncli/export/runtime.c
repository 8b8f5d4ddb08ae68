/* What a model computes outside of this program, one image (h, w, c) at a time, in plain C99: csource.py copies the parts
 * that a network needs into a classifier.c, each from its marker to the next, and page/engine.c makes WebAssembly of all.
 * Only what IEEE 754 rounds in one way is asked of the machine, so that the same bits come out everywhere. */

/* ---- start ---- */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef PART
#define PART static
#endif
#ifdef __GNUC__
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static inline
#endif

/* ---- resize ---- */
/* Cubic convolution (Keys 1981, a = -1/2), widened where the image gets smaller, with coefficients of 22 bits and bytes
 * between the two passes: the very steps of Pillow 13, box in floats and products in their order, so that the same bytes
 * come out. */
static double cubic(double x) {
    x = fabs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
}

/* One pass: `lines` lines of `from` pixels, pixel step `step` and line step `stride`, each pixel of `c` bytes. Output
 * pixels get the same meaning with out_step and out_stride. The part from begin to end of a line becomes `to` pixels. */
static int resize_lines(const uint8_t *x, int lines, int from, long step, long stride, float begin, float end, uint8_t *y,
                        int to, long out_step, long out_stride, int c) {
    double scale = (double)(end - begin) / to, wide = scale < 1 ? 1 : scale, reach = 2 * wide, shrink = 1 / wide;
    int most = (int)ceil(reach) * 2 + 1;
    double *exact = malloc((size_t)most * sizeof(double));
    int32_t *weights = malloc((size_t)most * sizeof(int32_t));
    if (!exact || !weights) {
        free(exact), free(weights);
        return 0;
    }
    for (int at = 0; at < to; at++) {
        double centre = begin + (at + 0.5) * scale, total = 0;
        int first = (int)(centre - reach + 0.5), last = (int)(centre + reach + 0.5);
        if (first < 0) first = 0;
        if (last > from) last = from;
        for (int i = first; i < last; i++) total += exact[i - first] = cubic((i - centre + 0.5) * shrink);
        for (int i = 0; i < last - first; i++) {
            double weight = (total != 0 ? exact[i] / total : exact[i]) * (1 << 22);
            weights[i] = (int32_t)(weight < 0 ? weight - 0.5 : weight + 0.5);
        }
        for (int line = 0; line < lines; line++)
            for (int k = 0; k < c; k++) {
                int32_t sum = 1 << 21;
                for (int i = first; i < last; i++) sum += weights[i - first] * x[line * stride + i * step + k];
                sum >>= 22;
                y[line * out_stride + at * out_step + k] = (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
            }
    }
    free(exact), free(weights);
    return 1;
}

/* A box of an image, as oh x ow pixels: lines first, but columns where many more rows go than half as many columns. */
static int resize(const uint8_t *x, int h, int w, int c, float top, float bottom, float left, float right, uint8_t *y,
                  int oh, int ow) {
    int columns_first = h > oh && (long)h - oh > 2 * ((long)w - ow), done;
    uint8_t *between = malloc((columns_first ? (size_t)oh * (size_t)w : (size_t)h * (size_t)ow) * (size_t)c);
    if (columns_first)
        done = between && resize_lines(x, w, h, (long)w * c, c, top, bottom, between, oh, (long)w * c, c, c) &&
               resize_lines(between, oh, w, c, (long)w * c, left, right, y, ow, c, (long)ow * c, c);
    else
        done = between && resize_lines(x, h, w, c, (long)w * c, left, right, between, ow, c, (long)ow * c, c) &&
               resize_lines(between, ow, h, (long)ow * c, c, top, bottom, y, oh, (long)ow * c, c, c);
    free(between);
    return done;
}

/* ---- prepare ---- */
/* Bytes as the network gets them. */
PART void normalise(const uint8_t *pixels, long count, int c, const double *mean, const double *std, float *y) {
    for (long i = 0; i < count; i++) y[i] = (float)((pixels[i] / 255.0 - mean[i % c]) / std[i % c]);
}

/* An image of any size, three bytes a pixel, as the network's: oh x ow, c channels. crop is what part of the largest box
 * of that shape is looked at, 0 where the whole image is squashed. Returns 0 where there is no memory. */
PART int prepare(const uint8_t *rgb, int h, int w, double crop, const double *mean, const double *std, float *y, int oh,
                 int ow, int c) {
    double top = 0, bottom = h, left = 0, right = w;
    uint8_t *pixels = malloc((size_t)oh * (size_t)ow * (size_t)c), *grey = c == 1 ? malloc((size_t)h * (size_t)w) : NULL;
    if (grey)
        for (long i = 0; i < (long)h * w; i++)
            grey[i] = (uint8_t)((rgb[3 * i] * 19595 + rgb[3 * i + 1] * 38470 + rgb[3 * i + 2] * 7471 + 32768) >> 16);
    if (crop > 0 && (h != oh || w != ow)) {
        double wide = w / (double)ow, high = h / (double)oh, scale = (wide < high ? wide : high) * crop;
        left = (w - ow * scale) / 2, right = left + ow * scale;
        top = (h - oh * scale) / 2, bottom = top + oh * scale;
    }
    int done = pixels && (c != 1 || grey) &&
               resize(grey ? grey : rgb, h, w, c, (float)top, (float)bottom, (float)left, (float)right, pixels, oh, ow);
    if (done) normalise(pixels, (long)oh * ow * c, c, mean, std, y);
    free(grey), free(pixels);
    return done;
}

/* ---- exponential ---- */
/* 2 to the power of n, from -1022 to 1023. */
static double two_to(int n) {
    uint64_t bits = (uint64_t)(n + 1023) << 52;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* e to the power of x: of what is left beside a power of 2, Taylor's series. Much finer than a float. */
static double exponential(double x) {
    static const double parts[] = {1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
                                   1.0 / 720,       1.0 / 120,      1.0 / 24,      1.0 / 6,      1.0 / 2,     1.0,
                                   1.0};
    if (x > 700) return INFINITY;
    if (x < -700) return 0;
    if (x != x) return x;
    int n = (int)(x * 1.4426950408889634 + (x < 0 ? -0.5 : 0.5));
    double rest = x - n * 0.6931471805599453, sum = 0;
    for (int i = 0; i < 13; i++) sum = sum * rest + parts[i];
    return sum * two_to(n);
}

/* ---- hyperbolic ---- */
/* The hyperbolic tangent, near 0 by its series, where a difference from 1 would say little. */
static float hyperbolic(float x) {
    double v = x, square = v * v;
    if (square < 1e-4) return (float)(v * (1 - square / 3 * (1 - 0.4 * square)));
    return (float)(1 - 2 / (exponential(2 * v) + 1));
}

/* ---- power ---- */
/* The natural logarithm of a positive number. */
static double logarithm(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int n = (int)(bits >> 52) - 1022;
    double m = x * two_to(-n), sum = 0; /* 1/2 to 1 */
    if (m < 0.7071067811865476) m *= 2, n--;
    double t = (m - 1) / (m + 1); /* log m = 2 (t + t^3/3 + t^5/5 ...) */
    for (int i = 21; i > 0; i -= 2) sum = sum * t * t + 2.0 / i;
    return n * 0.6931471805599453 + sum * t;
}

/* x to the power of p, as powf has it: below 0 a number only where p is whole. */
static double power(double x, double p) {
    double size = fabs(x);
    if (!(size > 0) || size == INFINITY) return x != x ? x : size;
    double value = exponential(p * logarithm(size));
    if (x > 0) return value;
    long whole = (long)p;
    return (double)whole != p ? NAN : whole % 2 ? -value : value;
}

/* ---- conv ---- */
/* Each sum is added up tap by tap, channel by channel. Up to four positions of a row and eight channels are added up side
 * by side, which fills a processor's vectors and changes no sum. */
#if defined(__GNUC__) && !defined(__clang__) /* which else would fill vectors with positions: a third of the speed */
#pragma GCC push_options
#pragma GCC optimize("O3", "no-tree-loop-vectorize")
#endif
typedef struct {
    int h, w, ci, oh, ow, co, kh, kw, sh, sw, top, left, dh, dw;
    int inputs; /* channels that a group reads */
} Conv;

/* Sums over the taps (first to last, from to to): `pixels` positions, `width` channels. x[at] is the first position's
 * first tap. each: every channel reads its own input. */
INLINE void conv_sums(const Conv *l, const float *x, long at, const float *weights, const float *bias, float *y,
                      int first, int last, int from, int to, int pixels, int width, int each) {
    float sums[4][8];
    for (int p = 0; p < pixels; p++)
        for (int o = 0; o < width; o++) sums[p][o] = bias ? bias[o] : 0;
    for (int i = first; i < last; i++)
        for (int j = from; j < to; j++) {
            const float *pixel = x + (at + ((long)i * l->dh * l->w + j * l->dw) * l->ci);
            const float *tap = weights + (long)(i * l->kw + j) * l->inputs * l->co;
            for (int k = 0; k < l->inputs; k++, tap += l->co)
                for (int p = 0; p < pixels; p++)
                    for (int o = 0; o < width; o++)
                        sums[p][o] += pixel[(long)p * l->sw * l->ci + k + (each ? o : 0)] * tap[o];
        }
    for (int p = 0; p < pixels; p++)
        for (int o = 0; o < width; o++) y[(long)p * l->co + o] = sums[p][o];
}

/* `width` channels at all positions. */
INLINE void conv_channels(const Conv *l, const float *x, const float *weights, const float *bias, float *y, int width,
                          int each) {
    for (int r = 0; r < l->oh; r++) {
        int row = r * l->sh - l->top, first = 0, last = l->kh;
        while (first < last && row + first * l->dh < 0) first++;
        while (last > first && row + (last - 1) * l->dh >= l->h) last--;
        for (int s = 0; s < l->ow;) {
            int column = s * l->sw - l->left, from = 0, to = l->kw;
            long at = ((long)row * l->w + column) * l->ci;
            float *out = y + ((long)r * l->ow + s) * l->co;
            if (s + 4 <= l->ow && column >= 0 && column + 3 * l->sw + (to - 1) * l->dw < l->w) {
                conv_sums(l, x, at, weights, bias, out, first, last, from, to, 4, width, each);
                s += 4;
                continue;
            }
            while (from < to && column + from * l->dw < 0) from++;
            while (to > from && column + (to - 1) * l->dw >= l->w) to--;
            conv_sums(l, x, at, weights, bias, out, first, last, from, to, 1, width, each);
            s++;
        }
    }
}

INLINE void conv_group(const Conv *l, const float *x, const float *weights, const float *bias, float *y, int outputs,
                       int each) {
    int o = 0;
    for (; o + 8 <= outputs; o += 8)
        conv_channels(l, x + (each ? o : 0), weights + o, bias ? bias + o : NULL, y + o, 8, each);
    for (; o + 4 <= outputs; o += 4)
        conv_channels(l, x + (each ? o : 0), weights + o, bias ? bias + o : NULL, y + o, 4, each);
    for (; o < outputs; o++)
        conv_channels(l, x + (each ? o : 0), weights + o, bias ? bias + o : NULL, y + o, 1, each);
}

/* weights (kh, kw, ci / groups, co) */
PART void conv(const float *x, int h, int w, int ci, const float *weights, const float *bias, float *y, int oh, int ow,
               int co, int kh, int kw, int sh, int sw, int top, int left, int dh, int dw, int groups) {
    Conv l = {h, w, ci, oh, ow, co, kh, kw, sh, sw, top, left, dh, dw, ci / groups};
    int outputs = co / groups;
    if (kh == 1 && kw == 1 && sh == 1 && sw == 1 && h == oh && w == ow) l.h = l.oh = 1, l.w = l.ow = h * w;
    if (l.inputs == 1 && outputs == 1) {
        conv_group(&l, x, weights, bias, y, co, 1);
        return;
    }
    for (int g = 0; g < groups; g++)
        conv_group(&l, x + g * l.inputs, weights + g * outputs, bias ? bias + g * outputs : NULL, y + g * outputs,
                   outputs, 0);
}
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif

/* ---- linear ---- */
/* weights (in, out) */
PART void linear(const float *x, int in, const float *weights, const float *bias, float *y, int out) {
    for (int o = 0; o < out; o++) y[o] = bias ? bias[o] : 0;
    for (int i = 0; i < in; i++, weights += out)
        for (int o = 0; o < out; o++) y[o] += x[i] * weights[o];
}

/* ---- affine ---- */
/* A batch norm, whose statistics are known: y = x * scale + shift, a channel each. */
PART void affine(const float *x, long pixels, int c, const float *scale, const float *shift, float *y) {
    for (long i = 0; i < pixels; i++, x += c, y += c)
        for (int k = 0; k < c; k++) y[k] = x[k] * scale[k] + shift[k];
}

/* ---- maximum ---- */
PART void max_pool(const float *x, int h, int w, int c, float *y, int oh, int ow, int kh, int kw, int sh, int sw, int top,
                     int left, int dh, int dw) {
    for (int r = 0; r < oh; r++)
        for (int s = 0; s < ow; s++, y += c) {
            for (int k = 0; k < c; k++) y[k] = -INFINITY;
            for (int i = 0; i < kh; i++)
                for (int j = 0; j < kw; j++) {
                    int row = r * sh - top + i * dh, column = s * sw - left + j * dw;
                    if (row < 0 || row >= h || column < 0 || column >= w) continue;
                    const float *pixel = x + ((long)row * w + column) * c;
                    for (int k = 0; k < c; k++)
                        if (pixel[k] > y[k]) y[k] = pixel[k];
                }
        }
}

/* ---- mean ---- */
/* The sums of x to the power of `norm` over windows, times a factor for each window, and the root of that. */
PART void mean_pool(const float *x, int h, int w, int c, float *y, int oh, int ow, int kh, int kw, int sh, int sw, int top,
                      int left, const float *factors, float norm) {
    for (int r = 0; r < oh; r++)
        for (int s = 0; s < ow; s++, y += c, factors++) {
            for (int k = 0; k < c; k++) y[k] = 0;
            for (int i = 0; i < kh; i++)
                for (int j = 0; j < kw; j++) {
                    int row = r * sh - top + i, column = s * sw - left + j;
                    if (row < 0 || row >= h || column < 0 || column >= w) continue;
                    const float *pixel = x + ((long)row * w + column) * c;
                    for (int k = 0; k < c; k++)
                        y[k] += norm == 1 ? pixel[k] : norm == 2 ? pixel[k] * pixel[k] : (float)power(pixel[k], norm);
                }
            for (int k = 0; k < c; k++) {
                y[k] *= *factors;
                if (norm != 1) y[k] = norm == 2 ? sqrtf(y[k]) : (float)power(y[k], 1 / norm);
            }
        }
}

/* ---- adaptive ---- */
PART void adaptive_pool(const float *x, int h, int w, int c, float *y, int oh, int ow) {
    for (int r = 0; r < oh; r++)
        for (int s = 0; s < ow; s++, y += c) {
            int top = r * h / oh, bottom = ((r + 1) * h + oh - 1) / oh;
            int left = s * w / ow, right = ((s + 1) * w + ow - 1) / ow;
            for (int k = 0; k < c; k++) y[k] = 0;
            for (int i = top; i < bottom; i++)
                for (int j = left; j < right; j++)
                    for (int k = 0; k < c; k++) y[k] += x[((long)i * w + j) * c + k];
            for (int k = 0; k < c; k++) y[k] /= (float)((bottom - top) * (right - left));
        }
}

/* ---- pointwise ---- */
enum { RELU, RELU6, LEAKY_RELU, SILU, SIGMOID, TANH, SCALE };
PART void pointwise(const float *x, long count, int function, float number, float *y) {
    for (long i = 0; i < count; i++) {
        float v = x[i];
        switch (function) {
            case RELU: y[i] = v > 0 ? v : 0; break;
            case RELU6: y[i] = v > 0 ? v < 6 ? v : 6 : 0; break;
            case LEAKY_RELU: y[i] = v > 0 ? v : v * number; break;
            case SILU: y[i] = (float)(v / (1 + exponential(-v))); break;
            case SIGMOID: y[i] = (float)(1 / (1 + exponential(-v))); break;
            case TANH: y[i] = hyperbolic(v); break;
            default: y[i] = v * number;
        }
    }
}

/* ---- copy ---- */
PART void copy(const float *x, long count, float *y) { memcpy(y, x, (size_t)count * sizeof(float)); }

/* ---- add ---- */
PART void add(const float *x, long count, float *y) {
    for (long i = 0; i < count; i++) y[i] += x[i];
}

/* ---- concat ---- */
/* c channels of each pixel to the channels from `first` of y's cy. */
PART void put_channels(const float *x, long pixels, int c, float *y, int first, int cy) {
    for (long i = 0; i < pixels; i++) memcpy(y + i * cy + first, x + i * c, (size_t)c * sizeof(float));
}

/* ---- flatten ---- */
/* (pixels, c) to (c, pixels), PyTorch's order */
PART void flatten(const float *x, long pixels, int c, float *y) {
    for (int k = 0; k < c; k++)
        for (long i = 0; i < pixels; i++) y[k * pixels + i] = x[i * c + k];
}

/* ---- softmax ---- */
PART void softmax(const float *x, long pixels, int c, float divisor, float *y) {
    for (long i = 0; i < pixels; i++, x += c, y += c) {
        float top = x[0];
        double sum = 0;
        for (int k = 1; k < c; k++) top = x[k] > top ? x[k] : top;
        for (int k = 0; k < c; k++) sum += y[k] = (float)exponential((x[k] - top) / divisor);
        for (int k = 0; k < c; k++) y[k] = (float)(y[k] / sum);
    }
}
