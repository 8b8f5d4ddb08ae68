/* What training does to a batch that is normalised: parts of images are erased, two images become one. Who is mixed
 * with whom is drawn by cnncli/data/augmentation.py; the vectors are augment_pixels.c's. */
#include "augment.h"

/* ---- parts that are erased ---- */

struct erase_work {
    const cnn_erasure *p;
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
    const cnn_erasure *p = work->p;
    const int64_t line = p->w * p->c;
    for (int64_t k = i * p->boxes; k < (i + 1) * p->boxes; k++) {
        const int64_t *box = p->box + 4 * k, begin = box[1] * p->c, end = (box[1] + box[3]) * p->c;
        for (int64_t row = box[0]; row < box[0] + box[2]; row++) {
            float *y = work->y + (i * p->h + row) * line;
            uint64_t word = 0;
            for (int64_t j = begin; j < end; j++) {
                const int64_t place = j - begin;
                if (place % 8 == 0) word = mixed_bits(p->noise[k] + (uint64_t)(row * line + place));
                y[j] = p->noise[k] ? (float)(word >> 8 * (place % 8) & 255) * p->scale[j % p->c] + p->shift[j % p->c]
                                   : 0;
            }
        }
    }
    return CNN_OK;
}

static bool box_fits(const int64_t *box, int64_t h, int64_t w) {
    return box[0] >= 0 && box[1] >= 0 && box[2] >= 0 && box[3] >= 0 && box[0] <= h && box[1] <= w &&
           box[2] <= h - box[0] && box[3] <= w - box[1];
}

cnn_status cnn_erase_batch(const cnn_erasure *p, float *y) {
    if (p->n == 0 || p->boxes == 0) return CNN_OK;
    const int64_t sizes[] = {p->n, p->h, p->w, p->c}, lists[] = {p->n, p->boxes, 4};
    if (!cnn_sizes_fit(sizeof(float), 4, sizes) || !cnn_sizes_fit(8, 3, lists)) return CNN_INVALID;
    for (int64_t k = 0; k < p->n * p->boxes; k++)
        if (!box_fits(p->box + 4 * k, p->h, p->w)) return CNN_INVALID;
    struct erase_work work = {p, y};
    return cnn_parallel(erase_chunk, &work, p->n);
}

/* ---- two images in one ---- */

struct mix_work {
    const struct augment_kernels *kernels;
    const cnn_mixture *p;
    const float *x;
    float *y;
};

static cnn_status mix_chunk(void *context, int64_t i) {
    const struct mix_work *work = context;
    const cnn_mixture *p = work->p;
    const int64_t line = p->w * p->c, size = p->h * line, *box = p->boxes + 4 * i;
    const float *x = work->x + i * size, *other = work->x + p->partners[i] * size;
    float *y = work->y + i * size;
    if (box[2] == 0) {
        work->kernels->blend(size, p->shares[i], x, other, y);
        return CNN_OK;
    }
    memcpy(y, x, (size_t)size * sizeof(float));
    for (int64_t row = box[0]; row < box[0] + box[2]; row++) {
        const int64_t at = row * line + box[1] * p->c;
        memcpy(y + at, other + at, (size_t)(box[3] * p->c) * sizeof(float));
    }
    return CNN_OK;
}

cnn_status cnn_mix_batch(const cnn_mixture *p, const float *x, float *y) {
    if (p->n == 0) return CNN_OK;
    const int64_t sizes[] = {p->n, p->h, p->w, p->c};
    if (!cnn_sizes_fit(sizeof(float), 4, sizes)) return CNN_INVALID;
    for (int64_t i = 0; i < p->n; i++)
        if (p->partners[i] < 0 || p->partners[i] >= p->n || !box_fits(p->boxes + 4 * i, p->h, p->w)) return CNN_INVALID;
    struct mix_work work = {cnn_augment_kernels(), p, x, y};
    return cnn_parallel(mix_chunk, &work, p->n);
}
