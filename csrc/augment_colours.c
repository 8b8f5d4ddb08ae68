/* Colours of an image's list, on planes of floats: neighbouring operations that are linear in a pixel's channels become
 * one matrix, which is applied before the next that is not, and the last of them on the way into the batch. Called by
 * augment.c. */
#include "augment.h"

static const double luma[3] = {0.299, 0.587, 0.114}; /* ITU-R BT.601, as Pillow has it */

void cnn_paint_nothing(struct painting *p) {
    for (int k = 0; k < 3; k++)
        for (int from = 0; from < 4; from++) p->m[k][from] = k == from;
    p->pending = false;
}

struct colours cnn_paint_rest(const struct painting *p) {
    struct colours colours;
    for (int k = 0; k < 3; k++)
        for (int from = 0; from < 4; from++) colours.m[k][from] = (float)p->m[k][from];
    return colours;
}

/* Lets what follows see the pixels as they are by now. */
static void settle(struct painting *p) {
    if (!p->pending) return;
    struct colours colours = cnn_paint_rest(p);
    p->kernels->recolour(p->h * p->w, p->c, &colours, p->planes);
    cnn_paint_nothing(p);
}

/* Puts b (c x c) after what is pending. */
static void then(struct painting *p, double b[3][3]) {
    double m[3][4] = {{0}};
    for (int k = 0; k < p->c; k++)
        for (int from = 0; from < 4; from++)
            for (int via = 0; via < p->c; via++) m[k][from] += b[k][via] * p->m[via][from];
    memcpy(p->m, m, sizeof m);
    p->pending = true;
}

static double mean_of(int64_t count, const float *x) {
    double sums[8] = {0}; /* side by side, because each addition waits for the one before */
    int64_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (int lane = 0; lane < 8; lane++) sums[lane] += x[i + lane];
    for (; i < count; i++) sums[0] += x[i];
    double sum = 0;
    for (int lane = 0; lane < 8; lane++) sum += sums[lane];
    return sum / (double)count;
}

/* The mean brightness of the image as it would be with what is pending. */
static double mean_grey(const struct painting *p) {
    const int64_t c = p->c, pixels = p->h * p->w;
    double means[3], grey = 0;
    for (int64_t k = 0; k < c; k++) means[k] = mean_of(pixels, p->planes + k * pixels);
    for (int64_t k = 0; k < c; k++) {
        double value = p->m[k][3];
        for (int64_t from = 0; from < c; from++) value += p->m[k][from] * means[from];
        grey += (c == 1 ? 1 : luma[k]) * value;
    }
    return grey;
}

/* Towards each pixel's own grey, or away from it. */
static void saturate(struct painting *p, double strength) {
    double b[3][3];
    for (int k = 0; k < 3; k++)
        for (int from = 0; from < 3; from++) b[k][from] = strength * (k == from) + (1 - strength) * luma[from];
    then(p, b);
}

/* Rodrigues' rotation of the colours about the axis of greys by a share of the full circle. */
static void turn_hue(struct painting *p, double share) {
    const double angle = share * 2 * 3.14159265358979323846, third = (1 - cos(angle)) / 3, side = sin(angle) / sqrt(3);
    double b[3][3];
    for (int k = 0; k < 3; k++)
        for (int from = 0; from < 3; from++)
            b[k][from] = k == from ? cos(angle) + third : third + ((k + 1) % 3 == from ? -side : side);
    then(p, b);
}

/* Each channel's darkest becomes 0 and its brightest 255. */
static void stretch(int64_t count, float *x) {
    float low = x[0], high = x[0];
    for (int64_t i = 1; i < count; i++) low = CNN_MIN(low, x[i]), high = CNN_MAX(high, x[i]);
    if (!(high > low)) return;
    float factor = 255 / (high - low);
    for (int64_t i = 0; i < count; i++) x[i] = cnn_clipped((x[i] - low) * factor);
}

/* Spreads a channel's values evenly, as Pillow's ImageOps.equalize does. */
static void equalise(int64_t count, float *x) {
    int64_t counts[256] = {0}, last = 0, below = 0;
    float table[256];
    for (int64_t i = 0; i < count; i++) counts[(int)(x[i] + 0.5f)]++;
    for (int value = 0; value < 256; value++) last = counts[value] ? counts[value] : last;
    const int64_t step = (count - last) / 255;
    if (step == 0) return;
    for (int value = 0; value < 256; value++) {
        table[value] = (float)CNN_MIN(255, (step / 2 + below) / step);
        below += counts[value];
    }
    for (int64_t i = 0; i < count; i++) x[i] = table[(int)(x[i] + 0.5f)];
}

static void paint_alone(struct painting *p, int64_t operation, double strength) {
    const int64_t pixels = p->h * p->w;
    settle(p);
    for (int64_t k = 0; k < p->c; k++) {
        float *x = p->planes + k * pixels;
        switch (operation) {
            case CNN_POSTERISE: p->kernels->posterise(pixels, (float)exp2(8 - strength), x); break;
            case CNN_SOLARISE: p->kernels->solarise(pixels, (float)strength, x); break;
            case CNN_AUTOCONTRAST: stretch(pixels, x); break;
            case CNN_EQUALISE: equalise(pixels, x); break;
            default:
                p->kernels->sharpen(p->h, p->w, (float)strength, x, p->spare);
                memcpy(x, p->spare, (size_t)pixels * sizeof(float));
        }
    }
}

void cnn_paint(struct painting *p, int64_t operation, double strength) {
    double scaled[3][3] = {{strength, 0, 0}, {0, strength, 0}, {0, 0, strength}};
    switch (operation) {
        case CNN_BRIGHTNESS: then(p, scaled); break;
        case CNN_CONTRAST: {
            double grey = mean_grey(p);
            then(p, scaled);
            for (int k = 0; k < 3; k++) p->m[k][3] += (1 - strength) * grey;
            break;
        }
        case CNN_SATURATION:
            if (p->c == 3) saturate(p, strength);
            break;
        case CNN_HUE:
            if (p->c == 3) turn_hue(p, strength);
            break;
        case CNN_POSTERISE:
        case CNN_SOLARISE:
        case CNN_AUTOCONTRAST:
        case CNN_EQUALISE:
        case CNN_SHARPNESS: paint_alone(p, operation, strength); break;
        default: break; /* none, or of geometry: done already */
    }
}
