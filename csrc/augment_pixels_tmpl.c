/* The passes over pixels of augment_pixels.c, the vector version; compiled per instruction set by foreach_isa.h. A place in
 * the source is worked out by vectors, its four pixels are fetched one by one: gathering instructions are no faster,
 * and half of the instruction sets have none. */

/* Where BLOCK columns from j on lie along one axis: the pixel before, how far to the one after (0 at the end), and the
 * fraction between them. A plain loop, because compilers turn conversions into vectors and vector types do not. */
CNN_INLINE void ISA(places)(int64_t j, float start, float step, int64_t last, int32_t stride, int32_t *restrict before,
                            int32_t *restrict after, float *restrict fraction) {
    const float end = (float)last, period = 2 * end, turns = last ? 1 / period : 0;
    for (int64_t i = 0; i < BLOCK; i++) {
        float at = __builtin_fabsf(start + (float)(int32_t)(j + i) * step);
        at = __builtin_fabsf(at - period * (float)(int32_t)(at * turns));
        at = at > end ? period - at : at; /* rounding may leave it a little outside: */
        at = at > 0 ? at : 0;
        int32_t whole = (int32_t)at;
        before[i] = whole * stride;
        after[i] = whole < (int32_t)last ? stride : 0;
        fraction[i] = at - (float)whole;
    }
}

/* `c` is a constant in the calls below. */
CNN_INLINE void ISA(sample_channels)(int64_t h, int64_t w, int64_t c, const uint8_t *restrict x,
                                     const struct walk *walk, int64_t plane, float *restrict out) {
    int32_t column[BLOCK], right[BLOCK], row[BLOCK], down[BLOCK];
    float fx[BLOCK], fy[BLOCK];
    for (int64_t j = 0; j < w; j += BLOCK) {
        ISA(places)(j, walk->x, walk->dx, w - 1, (int32_t)c, column, right, fx);
        ISA(places)(j, walk->y, walk->dy, h - 1, (int32_t)(w * c), row, down, fy);
        const int64_t count = CNN_MIN(BLOCK, w - j);
        for (int64_t i = 0; i < count; i++) {
            const uint8_t *upper = x + row[i] + column[i], *lower = upper + down[i];
            for (int64_t k = 0; k < c; k++) {
                float a = upper[k], b = lower[k];
                a += fx[i] * ((float)upper[k + right[i]] - a);
                b += fx[i] * ((float)lower[k + right[i]] - b);
                out[k * plane + j + i] = a + fy[i] * (b - a);
            }
        }
    }
}

static void ISA(sample)(int64_t h, int64_t w, int64_t c, const uint8_t *x, const struct walk *walk, int64_t plane,
                        float *out) {
    if (c == 1) ISA(sample_channels)(h, w, 1, x, walk, plane, out);
    else ISA(sample_channels)(h, w, 3, x, walk, plane, out);
}

CNN_INLINE vf ISA(clip)(vf a) { return vmin(vmax(a, vset(0)), vset(255)); }

CNN_INLINE float ISA(clip_one)(float a) {
    a = a < 0 ? 0 : a;
    return a > 255 ? 255 : a;
}

/* One channel of a pixel's three, before it is clipped. */
#define MIXED_CHANNEL(m, r, g, b) ((b) * (m)[2] + ((g) * (m)[1] + ((r) * (m)[0] + (m)[3])))

static void ISA(recolour)(int64_t pixels, int64_t c, const struct colours *colours, float *planes) {
    const struct colours m = *colours;
    int64_t i = 0;
    if (c == 1) {
        for (; i < pixels; i++) planes[i] = ISA(clip_one)(planes[i] * m.m[0][0] + m.m[0][3]);
        return;
    }
    float *red = planes, *green = planes + pixels, *blue = planes + 2 * pixels;
    for (; i + VLEN <= pixels; i += VLEN) {
        const vf r = vload(red + i), g = vload(green + i), b = vload(blue + i);
        vstore(red + i, ISA(clip)(MIXED_CHANNEL(m.m[0], r, g, b)));
        vstore(green + i, ISA(clip)(MIXED_CHANNEL(m.m[1], r, g, b)));
        vstore(blue + i, ISA(clip)(MIXED_CHANNEL(m.m[2], r, g, b)));
    }
    for (; i < pixels; i++) {
        const float r = red[i], g = green[i], b = blue[i];
        red[i] = ISA(clip_one)(MIXED_CHANNEL(m.m[0], r, g, b));
        green[i] = ISA(clip_one)(MIXED_CHANNEL(m.m[1], r, g, b));
        blue[i] = ISA(clip_one)(MIXED_CHANNEL(m.m[2], r, g, b));
    }
}

static void ISA(finish)(int64_t pixels, int64_t c, const struct colours *colours, const float *planes,
                        const float *scale, const float *shift, float *y) {
    const struct colours m = *colours;
    if (c == 1) {
        const float times = *scale, plus = *shift;
        for (int64_t i = 0; i < pixels; i++) y[i] = ISA(clip_one)(planes[i] * m.m[0][0] + m.m[0][3]) * times + plus;
        return;
    }
    const float times[3] = {scale[0], scale[1], scale[2]}, plus[3] = {shift[0], shift[1], shift[2]};
    const float *restrict red = planes, *restrict green = planes + pixels, *restrict blue = planes + 2 * pixels;
    float *restrict out = y;
    for (int64_t i = 0; i < pixels; i++) {
        const float r = red[i], g = green[i], b = blue[i];
        for (int64_t k = 0; k < 3; k++)
            out[3 * i + k] = ISA(clip_one)(MIXED_CHANNEL(m.m[k], r, g, b)) * times[k] + plus[k];
    }
}

static void ISA(posterise)(int64_t count, float step, float *x) {
    const float inverse = 1 / step; /* a power of two: no rounding */
    for (int64_t i = 0; i < count; i++) x[i] = (float)(int32_t)(x[i] * inverse) * step;
}

static void ISA(solarise)(int64_t count, float threshold, float *x) {
    for (int64_t i = 0; i < count; i++) x[i] = x[i] >= threshold ? 255 - x[i] : x[i];
}

static void ISA(sharpen)(int64_t h, int64_t w, float strength, const float *restrict x, float *restrict out) {
    memcpy(out, x, (size_t)(h * w) * sizeof(float));
    for (int64_t i = 1; i < h - 1; i++) {
        const float *above = x + (i - 1) * w, *here = x + i * w, *below = x + (i + 1) * w;
        for (int64_t j = 1; j < w - 1; j++) {
            float sum = (above[j - 1] + above[j] + above[j + 1]) + (below[j - 1] + below[j] + below[j + 1]) +
                        (here[j - 1] + here[j + 1]) + 5 * here[j];
            float smooth = sum * (1.0f / 13);
            out[i * w + j] = ISA(clip_one)(smooth + strength * (here[j] - smooth));
        }
    }
}

static void ISA(blend)(int64_t count, float share, const float *restrict x, const float *restrict other,
                       float *restrict y) {
    const float rest = 1 - share;
    for (int64_t i = 0; i < count; i++) y[i] = x[i] * share + other[i] * rest;
}

static const struct augment_kernels ISA(augment_kernels) = {ISA(sample),   ISA(recolour), ISA(finish), ISA(posterise),
                                                            ISA(solarise), ISA(sharpen),  ISA(blend)};

#undef MIXED_CHANNEL
