/* What the files of augmentation share: augment.c (lists of operations, geometry), augment_colours.c (colours), and
 * below them augment_pixels.c, the passes over pixels, whose vector version is augment_pixels_tmpl.c. mix.c uses one of
 * them. */
#ifndef CNN_AUGMENT_H
#define CNN_AUGMENT_H

#include "internal.h"

/* An output row's way through the source: column j reads (x + j dx, y + j dy), in pixels. */
struct walk {
    float x, y, dx, dy;
};

struct colours {
    float m[3][4]; /* out = m[0..2] of the channels + m[3]; of one channel m[0][0] and m[0][3] */
};

struct augment_kernels {
    /* One row of w pixels, interpolated, mirrored at the borders, into planes that lie `plane` floats apart. */
    void (*sample)(int64_t h, int64_t w, int64_t c, const uint8_t *x, const struct walk *walk, int64_t plane,
                   float *out);
    /* Every pixel through a matrix, then into 0 … 255. */
    void (*recolour)(int64_t pixels, int64_t c, const struct colours *colours, float *planes);
    /* The same into (pixels, c), normalised. */
    void (*finish)(int64_t pixels, int64_t c, const struct colours *colours, const float *planes, const float *scale,
                   const float *shift, float *y);
    void (*posterise)(int64_t count, float step, float *x);
    void (*solarise)(int64_t count, float threshold, float *x);
    /* smooth + strength (x - smooth) into out; the rim of the plane as it is. */
    void (*sharpen)(int64_t h, int64_t w, float strength, const float *x, float *out);
    /* y = share x + (1 - share) other. */
    void (*blend)(int64_t count, float share, const float *x, const float *other, float *y);
};

static inline float cnn_clipped(float a) { return a < 0 ? 0 : a > 255 ? 255 : a; }

/* augment_pixels.c: those of the active instruction set, the plain loops included. */
const struct augment_kernels *cnn_augment_kernels(void);

/* An image on its way through the colours of its list, as planes of floats on the scale of bytes. */
struct painting {
    const struct augment_kernels *kernels;
    int64_t h, w, c;
    float *planes, *spare; /* c planes, and one */
    double m[3][4];        /* what is still to be done to every pixel */
    bool pending;
};

/* augment_colours.c: nothing pending; one operation, those of geometry being none; and what is left to the last. */
void cnn_paint_nothing(struct painting *p);
void cnn_paint(struct painting *p, int64_t operation, double strength);
struct colours cnn_paint_rest(const struct painting *p);

#endif
