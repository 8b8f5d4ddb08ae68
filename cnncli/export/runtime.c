/* What an exported classifier.c is made of: csource.py copies the parts that a network needs, each from its marker to the
 * next, and puts the weights and the calls behind them. Plain C99, images (h, w, c), one image at a time. */

/* ---- start ---- */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- conv ---- */
/* weights (kh, kw, ci / groups, co) */
static void conv(const float *x, int h, int w, int ci, const float *weights, const float *bias, float *y, int oh, int ow,
                 int co, int kh, int kw, int sh, int sw, int top, int left, int dh, int dw, int groups) {
    int gi = ci / groups, go = co / groups;
    for (int r = 0; r < oh; r++)
        for (int s = 0; s < ow; s++, y += co) {
            for (int k = 0; k < co; k++) y[k] = bias ? bias[k] : 0;
            for (int i = 0; i < kh; i++)
                for (int j = 0; j < kw; j++) {
                    int row = r * sh - top + i * dh, column = s * sw - left + j * dw;
                    if (row < 0 || row >= h || column < 0 || column >= w) continue;
                    const float *pixel = x + ((long)row * w + column) * ci, *tap = weights + (long)(i * kw + j) * gi * co;
                    if (gi == 1 && go == 1) {
                        for (int k = 0; k < co; k++) y[k] += pixel[k] * tap[k];
                        continue;
                    }
                    for (int g = 0; g < groups; g++)
                        for (int k = 0; k < gi; k++) {
                            float v = pixel[g * gi + k];
                            const float *row_of = tap + (long)k * co + g * go;
                            for (int o = 0; o < go; o++) y[g * go + o] += v * row_of[o];
                        }
                }
        }
}

/* ---- linear ---- */
/* weights (in, out) */
static void linear(const float *x, int in, const float *weights, const float *bias, float *y, int out) {
    for (int o = 0; o < out; o++) y[o] = bias ? bias[o] : 0;
    for (int i = 0; i < in; i++, weights += out)
        for (int o = 0; o < out; o++) y[o] += x[i] * weights[o];
}

/* ---- affine ---- */
/* A batch norm, whose statistics are known: y = x * scale + shift, a channel each. */
static void affine(const float *x, long pixels, int c, const float *scale, const float *shift, float *y) {
    for (long i = 0; i < pixels; i++, x += c, y += c)
        for (int k = 0; k < c; k++) y[k] = x[k] * scale[k] + shift[k];
}

/* ---- maximum ---- */
static void max_pool(const float *x, int h, int w, int c, float *y, int oh, int ow, int kh, int kw, int sh, int sw, int top,
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
static void mean_pool(const float *x, int h, int w, int c, float *y, int oh, int ow, int kh, int kw, int sh, int sw, int top,
                      int left, const float *factors, float norm) {
    for (int r = 0; r < oh; r++)
        for (int s = 0; s < ow; s++, y += c, factors++) {
            for (int k = 0; k < c; k++) y[k] = 0;
            for (int i = 0; i < kh; i++)
                for (int j = 0; j < kw; j++) {
                    int row = r * sh - top + i, column = s * sw - left + j;
                    if (row < 0 || row >= h || column < 0 || column >= w) continue;
                    const float *pixel = x + ((long)row * w + column) * c;
                    for (int k = 0; k < c; k++) y[k] += norm == 1 ? pixel[k] : norm == 2 ? pixel[k] * pixel[k] : powf(pixel[k], norm);
                }
            for (int k = 0; k < c; k++) {
                y[k] *= *factors;
                if (norm != 1) y[k] = norm == 2 ? sqrtf(y[k]) : powf(y[k], 1 / norm);
            }
        }
}

/* ---- adaptive ---- */
static void adaptive_pool(const float *x, int h, int w, int c, float *y, int oh, int ow) {
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
static void pointwise(const float *x, long count, int function, float number, float *y) {
    for (long i = 0; i < count; i++) {
        float v = x[i];
        switch (function) {
            case RELU: y[i] = v > 0 ? v : 0; break;
            case RELU6: y[i] = v > 0 ? v < 6 ? v : 6 : 0; break;
            case LEAKY_RELU: y[i] = v > 0 ? v : v * number; break;
            case SILU: y[i] = v / (1 + expf(-v)); break;
            case SIGMOID: y[i] = 1 / (1 + expf(-v)); break;
            case TANH: y[i] = tanhf(v); break;
            default: y[i] = v * number;
        }
    }
}

/* ---- add ---- */
static void add(const float *x, long count, float *y) {
    for (long i = 0; i < count; i++) y[i] += x[i];
}

/* ---- concat ---- */
/* c channels of each pixel to the channels from `first` of y's cy. */
static void put_channels(const float *x, long pixels, int c, float *y, int first, int cy) {
    for (long i = 0; i < pixels; i++) memcpy(y + i * cy + first, x + i * c, (size_t)c * sizeof(float));
}

/* ---- flatten ---- */
/* (pixels, c) to (c, pixels), PyTorch's order */
static void flatten(const float *x, long pixels, int c, float *y) {
    for (int k = 0; k < c; k++)
        for (long i = 0; i < pixels; i++) y[k * pixels + i] = x[i * c + k];
}

/* ---- softmax ---- */
static void softmax(const float *x, long pixels, int c, float divisor, float *y) {
    for (long i = 0; i < pixels; i++, x += c, y += c) {
        float top = x[0];
        double sum = 0;
        for (int k = 1; k < c; k++) top = x[k] > top ? x[k] : top;
        for (int k = 0; k < c; k++) sum += y[k] = expf((x[k] - top) / divisor);
        for (int k = 0; k < c; k++) y[k] = (float)(y[k] / sum);
    }
}
