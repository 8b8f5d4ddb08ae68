/* What training does to images beyond whole shifts and flips (image.c): turning, scaling, slanting, colours, parts
 * that are erased, two images mixed. Each image goes through its own list of operations, drawn by
 * cnncli/data/augmentation.py; the vector version of the passes over pixels is augment_tmpl.c.
 *
 * All geometry of a list becomes one affine map, so that pixels are interpolated once. What follows works on planes of
 * floats on the scale of bytes, one plane a channel: neighbouring operations that are linear in a pixel's channels
 * become one matrix, and the last of them is applied on the way into the batch. */
#include "internal.h"

#define MAX_STEPS 32
#define BLOCK 32 /* pixels whose places in the source are worked out together */

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

static inline float clipped(float a) { return a < 0 ? 0 : a > 255 ? 255 : a; }

/* ---- the plain loops ---- */

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
    return clipped(sum);
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
            out[i * w + j] = clipped(smooth + strength * (x[i * w + j] - smooth));
        }
    }
}

static void blend_reference(int64_t count, float share, const float *x, const float *other, float *y) {
    for (int64_t i = 0; i < count; i++) y[i] = share * x[i] + (1 - share) * other[i];
}

#define CNN_TEMPLATE "augment_tmpl.c"
#include "foreach_isa.h"

static const struct augment_kernels reference = {sample_reference, recolour_reference, finish_reference,
                                                 posterise_reference, solarise_reference, sharpen_reference,
                                                 blend_reference};
static const struct augment_kernels *const tables[] = CNN_TABLES(augment_kernels);

static const struct augment_kernels *kernels(void) {
    return cnn_use_reference() ? &reference : tables[cnn_table_index()];
}

struct augment_work {
    const struct augment_kernels *kernels;
    int64_t n, h, w, c, steps;
    const uint8_t *x;
    const int64_t *rows, *moves, *operations;
    const double *strengths;
    const float *scale, *shift;
    float *y;
};

/* ---- geometry ---- */

/* From a place in the result to its source, both counted from the middle of the image: x' = a x + b y + e and
 * y' = c x + d y + f. */
struct affine {
    double a, b, c, d, e, f;
};

/* First `inner`, then `outer`. */
static struct affine joined(struct affine outer, struct affine inner) {
    const struct affine o = outer, i = inner;
    return (struct affine){o.a * i.a + o.b * i.c, o.a * i.b + o.b * i.d, o.c * i.a + o.d * i.c, o.c * i.b + o.d * i.d,
                           o.a * i.e + o.b * i.f + o.e, o.c * i.e + o.d * i.f + o.f};
}

/* An operation's map from its result back to its source; the identity where it is not of geometry. */
static struct affine inverse_of(int64_t operation, double strength) {
    const double radians = strength * (3.14159265358979323846 / 180);
    switch (operation) {
        case CNN_ROTATE: return (struct affine){cos(radians), -sin(radians), sin(radians), cos(radians), 0, 0};
        case CNN_SCALE: return (struct affine){exp(-strength), 0, 0, exp(-strength), 0, 0};
        case CNN_SHEAR_X: return (struct affine){1, tan(radians), 0, 1, 0, 0};
        case CNN_SHEAR_Y: return (struct affine){1, 0, tan(radians), 1, 0, 0};
        case CNN_TRANSLATE_X: return (struct affine){1, 0, 0, 1, strength, 0};
        case CNN_TRANSLATE_Y: return (struct affine){1, 0, 0, 1, 0, strength};
        default: return (struct affine){1, 0, 0, 1, 0, 0};
    }
}

/* Whether every place that the map leads to can be counted in 32 bits. */
static bool map_fits(const struct affine *map) {
    const double turns[] = {map->a, map->b, map->c, map->d};
    for (int i = 0; i < 4; i++)
        if (!(fabs(turns[i]) <= 500)) return false;
    return fabs(map->e) <= 1e7 && fabs(map->f) <= 1e7;
}

/* Shift, geometry in the order of the list, flip: into planes. */
static cnn_status placed(const struct augment_work *work, int64_t i, float *planes) {
    const int64_t h = work->h, w = work->w;
    const uint8_t *x = work->x + (work->rows ? work->rows[i] : i) * h * w * work->c;
    const int64_t *move = work->moves ? work->moves + 3 * i : (int64_t[]){0, 0, 0};
    struct affine map = {1, 0, 0, 1, (double)move[1], (double)move[0]};
    for (int64_t step = 0; step < work->steps; step++)
        map = joined(map, inverse_of(work->operations[i * work->steps + step], work->strengths[i * work->steps + step]));
    if (move[2]) map = joined(map, (struct affine){-1, 0, 0, 1, 0, 0});
    if (!map_fits(&map)) return CNN_INVALID;
    const double middle_x = (double)(w - 1) / 2, middle_y = (double)(h - 1) / 2;
    for (int64_t row = 0; row < h; row++) {
        double from_middle = (double)row - middle_y;
        struct walk walk = {(float)(map.a * -middle_x + map.b * from_middle + map.e + middle_x),
                            (float)(map.c * -middle_x + map.d * from_middle + map.f + middle_y),
                            (float)map.a, (float)map.c};
        work->kernels->sample(h, w, work->c, x, &walk, h * w, planes + row * w);
    }
    return CNN_OK;
}

/* ---- colours ---- */

static const double luma[3] = {0.299, 0.587, 0.114}; /* ITU-R BT.601, as Pillow has it */

struct painting {
    const struct augment_work *work;
    float *planes, *spare; /* c planes, and one */
    double m[3][4];        /* what is still to be done to every pixel */
    bool pending;
};

static void unchanged(struct painting *p) {
    for (int k = 0; k < 3; k++)
        for (int from = 0; from < 4; from++) p->m[k][from] = k == from;
    p->pending = false;
}

static struct colours in_floats(const struct painting *p) {
    struct colours colours;
    for (int k = 0; k < 3; k++)
        for (int from = 0; from < 4; from++) colours.m[k][from] = (float)p->m[k][from];
    return colours;
}

/* Lets what follows see the pixels as they are by now. */
static void settle(struct painting *p) {
    if (!p->pending) return;
    struct colours colours = in_floats(p);
    p->work->kernels->recolour(p->work->h * p->work->w, p->work->c, &colours, p->planes);
    unchanged(p);
}

/* Puts b (c x c) after what is pending. */
static void then(struct painting *p, double b[3][3]) {
    double m[3][4] = {{0}};
    for (int k = 0; k < p->work->c; k++)
        for (int from = 0; from < 4; from++)
            for (int via = 0; via < p->work->c; via++) m[k][from] += b[k][via] * p->m[via][from];
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
    const int64_t c = p->work->c, pixels = p->work->h * p->work->w;
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
    for (int64_t i = 0; i < count; i++) x[i] = clipped((x[i] - low) * factor);
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
    const struct augment_work *work = p->work;
    const int64_t pixels = work->h * work->w;
    settle(p);
    for (int64_t k = 0; k < work->c; k++) {
        float *x = p->planes + k * pixels;
        switch (operation) {
            case CNN_POSTERISE: work->kernels->posterise(pixels, (float)exp2(8 - strength), x); break;
            case CNN_SOLARISE: work->kernels->solarise(pixels, (float)strength, x); break;
            case CNN_AUTOCONTRAST: stretch(pixels, x); break;
            case CNN_EQUALISE: equalise(pixels, x); break;
            default:
                work->kernels->sharpen(work->h, work->w, (float)strength, x, p->spare);
                memcpy(x, p->spare, (size_t)pixels * sizeof(float));
        }
    }
}

static void paint(struct painting *p, int64_t operation, double strength) {
    double scaled[3][3] = {{strength, 0, 0}, {0, strength, 0}, {0, 0, strength}};
    switch (operation) {
        case CNN_BRIGHTNESS: then(p, scaled); break;
        case CNN_CONTRAST: {
            double grey = mean_grey(p);
            then(p, scaled);
            for (int k = 0; k < 3; k++) p->m[k][3] += (1 - strength) * grey;
            break;
        }
        case CNN_SATURATION: if (p->work->c == 3) saturate(p, strength); break;
        case CNN_HUE: if (p->work->c == 3) turn_hue(p, strength); break;
        case CNN_POSTERISE: case CNN_SOLARISE: case CNN_AUTOCONTRAST: case CNN_EQUALISE: case CNN_SHARPNESS:
            paint_alone(p, operation, strength);
            break;
        default: break; /* none, or of geometry: done already */
    }
}

static cnn_status augment_chunk(void *context, int64_t i) {
    const struct augment_work *work = context;
    const int64_t pixels = work->h * work->w;
    float *planes = cnn_scratch((size_t)(pixels * (work->c + 1)) * sizeof(float));
    if (!planes) return CNN_NO_MEMORY;
    cnn_status status = placed(work, i, planes);
    if (status != CNN_OK) return status;
    struct painting painting = {.work = work, .planes = planes, .spare = planes + work->c * pixels};
    unchanged(&painting);
    for (int64_t step = 0; step < work->steps; step++)
        paint(&painting, work->operations[i * work->steps + step], work->strengths[i * work->steps + step]);
    struct colours colours = in_floats(&painting);
    work->kernels->finish(pixels, work->c, &colours, planes, work->scale, work->shift, work->y + i * pixels * work->c);
    return CNN_OK;
}

/* Whether the strengths of one image's list keep every computation finite. */
static bool steps_fit(int64_t steps, const int64_t *operations, const double *strengths) {
    for (int64_t step = 0; step < steps; step++) {
        const int64_t operation = operations[step];
        if (operation < CNN_NO_OPERATION || operation > CNN_SHARPNESS) return false;
        const double most = operation == CNN_SCALE ? 5 : operation == CNN_SHEAR_X || operation == CNN_SHEAR_Y ? 80 : 1e5;
        if (!(fabs(strengths[step]) <= most)) return false;
        if (operation == CNN_POSTERISE && !(strengths[step] >= 1 && strengths[step] <= 8)) return false;
    }
    return true;
}

cnn_status cnn_augment_batch(int64_t stored, int64_t n, int64_t h, int64_t w, int64_t c, const uint8_t *x,
                             const int64_t *rows, const int64_t *moves, int64_t steps, const int64_t *operations,
                             const double *strengths, const float *scale, const float *shift, float *y) {
    if (n == 0) return CNN_OK;
    const int64_t sizes[] = {CNN_MAX(n, stored), h, w, c + 1};
    if (!cnn_sizes_fit(sizeof(float), 4, sizes) || n < 0 || (c != 1 && c != 3) || (!rows && n > stored))
        return CNN_INVALID;
    if (steps < 0 || steps > MAX_STEPS || h > 1 << 20 || w > 1 << 20 || h * w > INT32_MAX / 4) return CNN_INVALID;
    for (int64_t i = 0; i < n; i++) {
        if (rows && (rows[i] < 0 || rows[i] >= stored)) return CNN_INVALID;
        const int64_t *move = moves ? moves + 3 * i : NULL;
        if (move && (move[0] > h || move[0] < -h || move[1] > w || move[1] < -w)) return CNN_INVALID;
        if (!steps_fit(steps, operations + i * steps, strengths + i * steps)) return CNN_INVALID;
    }
    struct augment_work work = {kernels(), n, h, w, c, steps, x, rows, moves, operations, strengths, scale, shift, y};
    return cnn_parallel(augment_chunk, &work, n);
}

/* ---- parts that are erased ---- */

struct erase_work {
    int64_t h, w, c, boxes;
    const int64_t *box;
    const uint64_t *noise;
    const float *scale, *shift;
    float *y;
};

/* The finaliser of SplitMix64 (Steele, Lea and Flood 2014). */
static uint64_t mixed_bits(uint64_t z) {
    z += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Eight values of a row, in the order of its floats, share the bytes of one random word. */
static cnn_status erase_chunk(void *context, int64_t i) {
    const struct erase_work *work = context;
    const int64_t line = work->w * work->c;
    for (int64_t k = i * work->boxes; k < (i + 1) * work->boxes; k++) {
        const int64_t *box = work->box + 4 * k, begin = box[1] * work->c, end = (box[1] + box[3]) * work->c;
        for (int64_t row = box[0]; row < box[0] + box[2]; row++) {
            float *y = work->y + (i * work->h + row) * line;
            uint64_t word = 0;
            for (int64_t j = begin; j < end; j++) {
                const int64_t place = j - begin;
                if (place % 8 == 0) word = mixed_bits(work->noise[k] + (uint64_t)(row * line + place));
                y[j] = work->noise[k] ? (float)(word >> 8 * (place % 8) & 255) * work->scale[j % work->c]
                                        + work->shift[j % work->c] : 0;
            }
        }
    }
    return CNN_OK;
}

static bool box_fits(const int64_t *box, int64_t h, int64_t w) {
    return box[0] >= 0 && box[1] >= 0 && box[2] >= 0 && box[3] >= 0 && box[0] <= h && box[1] <= w
           && box[2] <= h - box[0] && box[3] <= w - box[1];
}

cnn_status cnn_erase_batch(int64_t n, int64_t h, int64_t w, int64_t c, int64_t boxes, const int64_t *box,
                           const uint64_t *noise, const float *scale, const float *shift, float *y) {
    if (n == 0 || boxes == 0) return CNN_OK;
    const int64_t sizes[] = {n, h, w, c}, lists[] = {n, boxes, 4};
    if (!cnn_sizes_fit(sizeof(float), 4, sizes) || !cnn_sizes_fit(8, 3, lists)) return CNN_INVALID;
    for (int64_t k = 0; k < n * boxes; k++)
        if (!box_fits(box + 4 * k, h, w)) return CNN_INVALID;
    struct erase_work work = {h, w, c, boxes, box, noise, scale, shift, y};
    return cnn_parallel(erase_chunk, &work, n);
}

/* ---- two images in one ---- */

struct mix_work {
    const struct augment_kernels *kernels;
    int64_t h, w, c;
    const float *x, *shares;
    const int64_t *partners, *boxes;
    float *y;
};

static cnn_status mix_chunk(void *context, int64_t i) {
    const struct mix_work *work = context;
    const int64_t line = work->w * work->c, size = work->h * line, *box = work->boxes + 4 * i;
    const float *x = work->x + i * size, *other = work->x + work->partners[i] * size;
    float *y = work->y + i * size;
    if (box[2] == 0) {
        work->kernels->blend(size, work->shares[i], x, other, y);
        return CNN_OK;
    }
    memcpy(y, x, (size_t)size * sizeof(float));
    for (int64_t row = box[0]; row < box[0] + box[2]; row++) {
        const int64_t at = row * line + box[1] * work->c;
        memcpy(y + at, other + at, (size_t)(box[3] * work->c) * sizeof(float));
    }
    return CNN_OK;
}

cnn_status cnn_mix_batch(int64_t n, int64_t h, int64_t w, int64_t c, const float *x, const int64_t *partners,
                         const float *shares, const int64_t *boxes, float *y) {
    if (n == 0) return CNN_OK;
    const int64_t sizes[] = {n, h, w, c};
    if (!cnn_sizes_fit(sizeof(float), 4, sizes)) return CNN_INVALID;
    for (int64_t i = 0; i < n; i++)
        if (partners[i] < 0 || partners[i] >= n || !box_fits(boxes + 4 * i, h, w)) return CNN_INVALID;
    struct mix_work work = {kernels(), h, w, c, x, shares, partners, boxes, y};
    return cnn_parallel(mix_chunk, &work, n);
}
