/* Images to batches, and what training does to them; a part of against_reference.c. */
#include "against_reference.h"

static void check_batch(int64_t c) {
    enum { N = 2, H = 5, W = 7 };
    uint8_t *x = malloc((size_t)(N * H * W * c));
    for (int64_t i = 0; i < N * H * W * c; i++) x[i] = (uint8_t)(i * 37);
    float *scale = filled(c, 0.1f, 1), *shift = filled(c, -1, 1);
    const int64_t moves[] = {0, 0, 0, 2, -3, 1};
    const cnn_images images = {N, N, H, W, c, x, NULL, moves, scale, shift};
    const int64_t boxes[] = {0, 1, 3, 5, 2, 2, 2, 0, 1, 0, 4, 7, 0, 0, 1, 1};
    const uint64_t noise[] = {0, 7, 11, 13};
    const cnn_erasure erasure = {N, H, W, c, 2, boxes, noise, scale, shift};
    int64_t *counts[SIDES], total = 0;
    struct output y = output(N * H * W * c), erased = output(N * H * W * c);
    for (int side = 0; side < SIDES; side++) {
        use(side);
        must("image", cnn_image_batch(&images, y.by[side]));
        memcpy(erased.by[side], y.by[side], (size_t)(N * H * W * c) * sizeof(float));
        must("erasing", cnn_erase_batch(&erasure, erased.by[side]));
        counts[side] = calloc((size_t)c * 256, sizeof(int64_t));
        must("histogram", cnn_image_histogram(N * H * W, c, x, counts[side]));
    }
    for (int64_t i = 0; i < c * 256; i++) total += counts[VECTORS][i];
    expect("histogram", c, total == N * H * W * c && !memcmp(counts[0], counts[1], (size_t)c * 256 * sizeof(int64_t)));
    compare("images", c, y, POINTWISE * U);
    compare("erased images", c, erased, POINTWISE * U);
    free(counts[0]), free(counts[1]);
    free(x), free(scale), free(shift);
}

/* Lists without jumps (thresholds, histograms), which a rounding error could take to either side. */
static void check_augmentation(int64_t c) {
    enum { N = 3, H = 11, W = 70, STEPS = 5 };
    uint8_t *x = malloc((size_t)(N * H * W * c));
    for (int64_t i = 0; i < N * H * W * c; i++) x[i] = (uint8_t)(100 + 80 * sin((double)i * 0.01));
    float *scale = filled(c, 0.1f, 1), *shift = filled(c, -1, 1);
    const int64_t moves[] = {0, 0, 0, 2, -3, 1, -1, 20, 0};
    const int64_t operations[N * STEPS] = {CNN_ROTATE,       CNN_SCALE,      CNN_SHARPNESS, CNN_BRIGHTNESS,
                                           CNN_HUE,          CNN_SHEAR_X,    CNN_CONTRAST,  CNN_AUTOCONTRAST,
                                           CNN_NO_OPERATION, CNN_SATURATION, CNN_POSTERISE, CNN_SOLARISE,
                                           CNN_EQUALISE,     CNN_HUE,        CNN_CONTRAST};
    const double strengths[N * STEPS] = {30, -0.2, 1.7, 1.3, 0.2, 20, 0.4, 0, 0, 1.8, 4, 130, 0, -0.1, 0.7};
    const int64_t partners[N] = {1, 2, 0}, boxes[4 * N] = {0, 0, 0, 0, 0, 0, 0, 0, 2, 3, 4, 5};
    const float shares[N] = {0.3f, 1, 0.8f};
    const cnn_images images = {N, N, H, W, c, x, NULL, moves, scale, shift};
    const cnn_lists lists = {STEPS, operations, strengths};
    const cnn_mixture mixture = {N, H, W, c, partners, shares, boxes};
    struct output y = output(N * H * W * c), mixed = output(N * H * W * c);
    for (int side = 0; side < SIDES; side++) {
        use(side);
        must("augmentation", cnn_augment_batch(&images, &lists, y.by[side]));
        must("mixing", cnn_mix_batch(&mixture, y.by[side], mixed.by[side]));
    }
    /* Places in the source are good to some 1e-5 of a pixel, and neighbours differ by 80 at most. */
    compare("augmentation", c, y, 4096 * U);
    compare("mixing", c, mixed, 4096 * U);
    free(x), free(scale), free(shift);
}

void check_images(void) {
    for (int64_t c = 1; c < 10; c += 4) check_batch(c);
    check_augmentation(1), check_augmentation(3);
}
