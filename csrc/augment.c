/* What training does to images beyond whole shifts and flips (image.c): turning, scaling, slanting, colours. Each image
 * goes through its own list of operations, drawn by cnncli/data/augmentation.py. All geometry of a list becomes one
 * affine map, so that pixels are interpolated once; what follows is augment_colours.c's. mix.c has what is done to the
 * batch afterwards. */
#include "augment.h"
#include "image.h"

#define MAX_STEPS 32

struct augment_work {
    const struct augment_kernels *kernels;
    const cnn_images *images;
    const cnn_lists *lists;
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
    return (struct affine){o.a * i.a + o.b * i.c, o.a * i.b + o.b * i.d,       o.c * i.a + o.d * i.c,
                           o.c * i.b + o.d * i.d, o.a * i.e + o.b * i.f + o.e, o.c * i.e + o.d * i.f + o.f};
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
    const cnn_images *p = work->images;
    const cnn_lists *lists = work->lists;
    const int64_t h = p->h, w = p->w;
    const uint8_t *x = p->x + (p->rows ? p->rows[i] : i) * h * w * p->c;
    const int64_t *move = p->moves ? p->moves + 3 * i : (int64_t[]){0, 0, 0};
    struct affine map = {1, 0, 0, 1, (double)move[1], (double)move[0]};
    for (int64_t at = i * lists->steps; at < (i + 1) * lists->steps; at++)
        map = joined(map, inverse_of(lists->operations[at], lists->strengths[at]));
    if (move[2]) map = joined(map, (struct affine){-1, 0, 0, 1, 0, 0});
    if (!map_fits(&map)) return CNN_INVALID;
    const double middle_x = (double)(w - 1) / 2, middle_y = (double)(h - 1) / 2;
    for (int64_t row = 0; row < h; row++) {
        double from_middle = (double)row - middle_y;
        struct walk walk = {(float)(map.a * -middle_x + map.b * from_middle + map.e + middle_x),
                            (float)(map.c * -middle_x + map.d * from_middle + map.f + middle_y), (float)map.a,
                            (float)map.c};
        work->kernels->sample(h, w, p->c, x, &walk, h * w, planes + row * w);
    }
    return CNN_OK;
}

/* ---- lists ---- */

static cnn_status augment_chunk(void *context, int64_t i) {
    const struct augment_work *work = context;
    const cnn_images *p = work->images;
    const cnn_lists *lists = work->lists;
    const int64_t pixels = p->h * p->w;
    float *planes = cnn_scratch((size_t)(pixels * (p->c + 1)) * sizeof(float));
    if (!planes) return CNN_NO_MEMORY;
    cnn_status status = placed(work, i, planes);
    if (status != CNN_OK) return status;
    struct painting painting =
        {.kernels = work->kernels, .h = p->h, .w = p->w, .c = p->c, .planes = planes, .spare = planes + p->c * pixels};
    cnn_paint_nothing(&painting);
    for (int64_t at = i * lists->steps; at < (i + 1) * lists->steps; at++)
        cnn_paint(&painting, lists->operations[at], lists->strengths[at]);
    struct colours colours = cnn_paint_rest(&painting);
    work->kernels->finish(pixels, p->c, &colours, planes, p->scale, p->shift, work->y + i * pixels * p->c);
    return CNN_OK;
}

/* Whether the strengths of one image's list keep every computation finite. */
static bool steps_fit(int64_t steps, const int64_t *operations, const double *strengths) {
    for (int64_t step = 0; step < steps; step++) {
        const int64_t operation = operations[step];
        if (operation < CNN_NO_OPERATION || operation > CNN_SHARPNESS) return false;
        const bool sheared = operation == CNN_SHEAR_X || operation == CNN_SHEAR_Y;
        const double most = operation == CNN_SCALE ? 5 : sheared ? 80 : 1e5;
        if (!(fabs(strengths[step]) <= most)) return false;
        if (operation == CNN_POSTERISE && !(strengths[step] >= 1 && strengths[step] <= 8)) return false;
    }
    return true;
}

cnn_status cnn_augment_batch(const cnn_images *p, const cnn_lists *lists, float *y) {
    const int64_t steps = lists->steps;
    if (p->n == 0) return CNN_OK;
    if (!cnn_images_valid(p) || (p->c != 1 && p->c != 3) || steps < 0 || steps > MAX_STEPS) return CNN_INVALID;
    if (p->h > 1 << 20 || p->w > 1 << 20 || p->h * p->w > INT32_MAX / 4) return CNN_INVALID;
    for (int64_t i = 0; i < p->n; i++)
        if (!steps_fit(steps, lists->operations + i * steps, lists->strengths + i * steps)) return CNN_INVALID;
    struct augment_work work = {cnn_augment_kernels(), p, lists, y};
    return cnn_parallel(augment_chunk, &work, p->n);
}
