/* The passes over pixels of augmentation and mixing: the plain loops, and which version runs. augment_pixels_tmpl.c has
 * the vectors, augment.h says what each does. */
#include "augment.h"

/* Folds a coordinate into 0 … last as mirrors at both ends would. */
static float folded(float at, int64_t last) {
    if (last == 0) return 0;
    float period = 2 * (float)last;
    at = fmodf(fabsf(at), period);
    return at > (float)last ? period - at : at;
}

static void sample_reference(int64_t h, int64_t w, int64_t c, const uint8_t *x, const struct walk *walk, int64_t plane,
                             float *out) {
    for (int64_t j = 0; j < w; j++) {
        float column = folded(walk->x + (float)j * walk->dx, w - 1), row = folded(walk->y + (float)j * walk->dy, h - 1);
        int64_t left = (int64_t)column, top = (int64_t)row;
        int64_t right = CNN_MIN(left + 1, w - 1), bottom = CNN_MIN(top + 1, h - 1);
        float fx = column - (float)left, fy = row - (float)top;
        for (int64_t k = 0; k < c; k++) {
            float upper = (1 - fx) * x[(top * w + left) * c + k] + fx * x[(top * w + right) * c + k];
            float lower = (1 - fx) * x[(bottom * w + left) * c + k] + fx * x[(bottom * w + right) * c + k];
            out[k * plane + j] = (1 - fy) * upper + fy * lower;
        }
    }
}

static float recoloured(int64_t c, int64_t k, const struct colours *colours, int64_t pixels, const float *pixel) {
    float sum = colours->m[k][3];
    for (int64_t from = 0; from < c; from++) sum += colours->m[k][from] * pixel[from * pixels];
    return cnn_clipped(sum);
}

static void recolour_reference(int64_t pixels, int64_t c, const struct colours *colours, float *planes) {
    for (int64_t i = 0; i < pixels; i++) {
        float result[3];
        for (int64_t k = 0; k < c; k++) result[k] = recoloured(c, k, colours, pixels, planes + i);
        for (int64_t k = 0; k < c; k++) planes[k * pixels + i] = result[k];
    }
}

static void finish_reference(int64_t pixels, int64_t c, const struct colours *colours, const float *planes,
                             const float *scale, const float *shift, float *y) {
    for (int64_t i = 0; i < pixels; i++)
        for (int64_t k = 0; k < c; k++)
            y[i * c + k] = recoloured(c, k, colours, pixels, planes + i) * scale[k] + shift[k];
}

static void posterise_reference(int64_t count, float step, float *x) {
    for (int64_t i = 0; i < count; i++) x[i] = floorf(x[i] / step) * step;
}

static void solarise_reference(int64_t count, float threshold, float *x) {
    for (int64_t i = 0; i < count; i++) x[i] = x[i] >= threshold ? 255 - x[i] : x[i];
}

static void sharpen_reference(int64_t h, int64_t w, float strength, const float *x, float *out) {
    memcpy(out, x, (size_t)(h * w) * sizeof(float));
    for (int64_t i = 1; i < h - 1; i++) {
        for (int64_t j = 1; j < w - 1; j++) {
            float sum = 4 * x[i * w + j];
            for (int64_t near = 0; near < 9; near++) sum += x[(i + near / 3 - 1) * w + j + near % 3 - 1];
            float smooth = sum / 13;
            out[i * w + j] = cnn_clipped(smooth + strength * (x[i * w + j] - smooth));
        }
    }
}

static void blend_reference(int64_t count, float share, const float *x, const float *other, float *y) {
    for (int64_t i = 0; i < count; i++) y[i] = share * x[i] + (1 - share) * other[i];
}

#define BLOCK 32 /* pixels whose places in the source are worked out together */

#define CNN_TEMPLATE "augment_pixels_tmpl.c"
#include "foreach_isa.h"

static const struct augment_kernels reference = {sample_reference,    recolour_reference, finish_reference,
                                                 posterise_reference, solarise_reference, sharpen_reference,
                                                 blend_reference};
static const struct augment_kernels *const tables[] = CNN_TABLES(augment_kernels);

const struct augment_kernels *cnn_augment_kernels(void) {
    return cnn_use_reference() ? &reference : tables[cnn_table_index()];
}
