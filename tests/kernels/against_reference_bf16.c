/* Maps of bfloat16; a part of against_reference.c. Sums are float32's, so that a result is another number than the
 * reference's only where both lie at two sides of a middle: then by one unit. */
#include "against_reference.h"

#include "cnn_bf16.h"

#define FENCE 32
#define SENTINEL 0xA5A5
#define UNIT 0.04 /* of bfloat16, of a number that is a few times the RMS of all */

/* An array of bfloat16 for each side, with a fence behind it. */
struct map {
    int64_t count;
    uint16_t *by[SIDES];
};

static struct map map(int64_t count) {
    struct map m = {count, {NULL, NULL}};
    for (int side = 0; side < SIDES; side++) {
        m.by[side] = malloc((size_t)(count + FENCE) * sizeof(uint16_t));
        for (int64_t i = 0; i < count + FENCE; i++) m.by[side][i] = SENTINEL;
    }
    return m;
}

static uint16_t *halves(int64_t count, float low, float high) {
    float *wide = filled(count, low, high);
    uint16_t *x = malloc((size_t)count * sizeof *x);
    must("round", cnn_bf16_round(count, wide, x));
    free(wide);
    return x;
}

/* As compare, of maps; within `units` of bfloat16. */
static void compare_maps(const char *what, int64_t number, struct map m, double units) {
    struct output o = output(m.count);
    bool fenced = true;
    for (int side = 0; side < SIDES; side++) {
        must("expand", cnn_bf16_expand(m.count, m.by[side], o.by[side]));
        for (int i = 0; i < FENCE; i++) fenced = fenced && m.by[side][m.count + i] == SENTINEL;
        free(m.by[side]);
    }
    expect(what, number, fenced);
    compare(what, number, o, units * UNIT);
}

static void check_storage(int64_t count) {
    float *wide = filled(count, -2, 2);
    struct map rounded = map(count);
    struct output expanded = output(count);
    for (int side = 0; side < SIDES; side++) {
        use(side);
        must("round", cnn_bf16_round(count, wide, rounded.by[side]));
        must("expand", cnn_bf16_expand(count, rounded.by[REFERENCE], expanded.by[side]));
    }
    compare("expanded", count, expanded, 0);
    compare_maps("rounded", count, rounded, 0);
    free(wide);
}

static void check_norm_of_maps(int64_t rows, int64_t c, int activation, bool added) {
    const int64_t count = rows * c;
    uint16_t *x = halves(count, -1, 3), *dy = halves(count, -1, 1), *add = added ? halves(count, -1, 1) : NULL;
    float *weight = filled(c, -1, 1), *bias = filled(c, -1, 1);
    double *statistics = malloc((size_t)c * 2 * sizeof *statistics);
    cnn_norm p = {rows, c,          NULL,       weight,
                  bias, activation, statistics, malloc((size_t)cnn_batch_norm_workspace(rows, c))};
    struct map y = map(count), again = map(count), inferred = map(count), dx = map(count), dadd = map(count);
    struct output mean = output(c), var = output(c), dweight = output(c), dbias = output(c);
    for (int side = 0; side < SIDES; side++) {
        use(side);
        for (int64_t k = 0; k < c; k++) mean.by[side][k] = 0, var.by[side][k] = 1;
        must("train", cnn_bf16_batch_norm_train(&p, 1e-5, 0.1, x, add, y.by[side], mean.by[side], var.by[side]));
        must("back", cnn_bf16_batch_norm_backward(&p, x, added ? y.by[0] : NULL, dy, 0, dx.by[side], dadd.by[side],
                                                  dweight.by[side], dbias.by[side]));
        must("again", cnn_bf16_batch_norm_again(&p, x, again.by[side]));
        p.statistics = NULL;
        must("infer", cnn_bf16_batch_norm_infer(&p, 1e-5, mean.by[0], var.by[0], x, add, inferred.by[side]));
        p.statistics = statistics;
    }
    compare_maps("normalised", rows, y, 1);
    compare_maps("normalised again", rows, again, 1);
    compare_maps("normalised with given statistics", rows, inferred, 1);
    compare_maps("normalisation's dx", rows, dx, 1);
    compare_maps("normalisation's dadd", rows, dadd, 0);
    compare("normalisation's dweight", rows, dweight, sum_bound(rows) + POINTWISE * U);
    compare("normalisation's dbias", rows, dbias, sum_bound(rows) + POINTWISE * U);
    compare("running mean", rows, mean, POINTWISE * U);
    compare("running variance", rows, var, POINTWISE * U);
    free(x), free(dy), free(add), free(weight), free(bias), free(statistics), free(p.workspace);
}

static void check_values_of_maps(int activation, int64_t count) {
    const uint64_t clock[] = {3, 4};
    uint16_t *x = halves(count, -8, 8), *dy = halves(count, -1, 1), *other = halves(count, 0.1f, 0.9f);
    struct map y = map(count), dx = map(count), sum = map(count), scaled = map(count), dropped = map(count);
    for (int side = 0; side < SIDES; side++) {
        use(side);
        must("f", cnn_bf16_activation_forward(activation, 0.1f, count, x, y.by[side]));
        must("f back", cnn_bf16_activation_backward(activation, 0.1f, count, x, other, dy, dx.by[side]));
        must("add", cnn_bf16_add(count, x, dy, sum.by[side]));
        must("scale", cnn_bf16_scale(count, 0.3f, x, scaled.by[side]));
        must("dropout", cnn_bf16_dropout(0.3, clock, 2, count, x, dropped.by[side]));
    }
    compare_maps("activation of maps", activation, y, 1);
    compare_maps("its dx", activation, dx, 1);
    compare_maps("sum of maps", count, sum, 0);
    compare_maps("a factor of maps", count, scaled, 0);
    compare_maps("maps with numbers dropped", count, dropped, 0);
    free(x), free(dy), free(other);
}

static void check_order_of_maps(int64_t n, int64_t pixels, int64_t c) {
    const int64_t count = n * pixels * c;
    uint16_t *x = halves(count, -1, 1);
    float *features = filled(count, -1, 1);
    struct map dx = map(count), column = map(n * pixels);
    struct output y = output(count);
    for (int side = 0; side < SIDES; side++) {
        use(side);
        must("flatten", cnn_bf16_flatten_forward(n, pixels, c, x, y.by[side]));
        must("flatten back", cnn_bf16_flatten_backward(n, pixels, c, features, dx.by[side]));
        must("copy", cnn_bf16_copy_columns(n * pixels, 1, x + c - 1, c, column.by[side], 1));
    }
    compare("maps as features", n, y, 0);
    compare_maps("maps of features", n, dx, 0);
    compare_maps("a channel of maps", n, column, 0);
    free(x), free(features);
}

static void check_pools_of_maps(int64_t number, cnn_pool p, int activation) {
    int64_t xs = p.n * p.h * p.w * p.c, ys = p.n * p.oh * p.ow * p.c;
    uint16_t *x = halves(xs, -9, 9), *dy = halves(ys, -1, 1);
    float *features = filled(ys, -1, 1);
    uint8_t *taps[SIDES] = {calloc(1, (size_t)ys), calloc(1, (size_t)ys)};
    struct map largest = map(ys), dlargest = map(xs), dx = map(xs), spread = map(ys), dspread = map(xs);
    struct output mean = output(ys);
    for (int side = 0; side < SIDES; side++) {
        use(side);
        must("max", cnn_bf16_max_pool_forward(&p, activation, x, largest.by[side], taps[side]));
        must("max back",
             cnn_bf16_max_pool_backward(&p, activation, largest.by[side], taps[side], dy, dlargest.by[side]));
        must("mean", cnn_bf16_average_pool_forward(&p, 1, x, CNN_FLOAT32, mean.by[side]));
        must("mean back", cnn_bf16_average_pool_backward(&p, 1, CNN_FLOAT32, features, dx.by[side]));
        must("adaptive", cnn_bf16_adaptive_average_pool_forward(p.n, p.h, p.w, p.c, p.oh, p.ow, x, spread.by[side]));
        must("adaptive back",
             cnn_bf16_adaptive_average_pool_backward(p.n, p.h, p.w, p.c, p.oh, p.ow, dy, dspread.by[side]));
    }
    expect("places of maxima of maps", number, !memcmp(taps[0], taps[1], (size_t)ys));
    compare_maps("maxima of maps", number, largest, 0);
    compare_maps("dx of maxima of maps", number, dlargest, 1);
    compare("means of maps", number, mean, POINTWISE * U);
    compare_maps("dx of means of maps", number, dx, 1);
    compare_maps("adaptive means of maps", number, spread, 1);
    compare_maps("dx of adaptive means of maps", number, dspread, 1);
    free(x), free(dy), free(features), free(taps[0]), free(taps[1]);
}

/* Weights as a pass reads them; the caller frees them. */
static void *packed_for_maps(const cnn_bf16_conv2d *p, int pass, const float *weight) {
    int64_t bytes = cnn_bf16_conv2d_packed(p, pass);
    if (bytes < 0) must("packed", CNN_INVALID);
    void *memory = aligned_alloc(64, (size_t)(bytes + 64) / 64 * 64);
    must("pack", cnn_bf16_conv2d_pack(p, pass, weight, memory));
    return memory;
}

/* What all passes need with the instruction set in use; the caller frees it. */
static void *workspace_for_maps(const cnn_bf16_conv2d *p) {
    double bytes = 64;
    for (int pass = CNN_FORWARD; pass <= CNN_BACKWARD_WEIGHTS; pass++)
        bytes = fmax(bytes, (double)cnn_bf16_conv2d_workspace(p, pass) + 64);
    return aligned_alloc(64, (size_t)bytes / 64 * 64);
}

static void check_convolution_of_maps(int64_t number, cnn_conv2d sizes) {
    const cnn_bf16_conv2d p = {sizes, CNN_BFLOAT16, CNN_BFLOAT16};
    int64_t xs = sizes.n * sizes.h * sizes.w * sizes.c, ys = sizes.n * sizes.oh * sizes.ow * sizes.k;
    int64_t ws = sizes.k * sizes.c / sizes.groups * sizes.kh * sizes.kw;
    uint16_t *x = halves(xs, -1, 1), *dy = halves(ys, -1, 1);
    float *weight = filled(ws, -1, 1), *bias = filled(sizes.k, -1, 1);
    const cnn_bf16_finish end = {bias, NULL, CNN_RELU, NULL, 0, NULL};
    struct map y = map(ys), dx = map(xs);
    struct output dweight = output(ws), dbias = output(sizes.k);
    for (int side = 0; side < SIDES; side++) {
        use(side);
        void *forth = packed_for_maps(&p, CNN_FORWARD, weight), *back, *workspace = workspace_for_maps(&p);
        back = packed_for_maps(&p, CNN_BACKWARD_DATA, weight);
        must("forward", cnn_bf16_conv2d_forward(&p, x, weight, forth, &end, y.by[side], workspace));
        must("data", cnn_bf16_conv2d_backward_data(&p, dy, weight, back, NULL, dx.by[side], workspace));
        must("weights", cnn_bf16_conv2d_backward_weights(&p, x, dy, dweight.by[side], dbias.by[side], workspace));
        expect("whether its results are pooled", number, (unsigned)cnn_bf16_conv2d_pools(&p) < 2);
        free(forth), free(back), free(workspace);
    }
    compare_maps("convolution of maps", number, y, 1.5);
    compare_maps("its dx", number, dx, 1.5);
    compare("its dweight", number, dweight, UNIT);
    compare("its dbias", number, dbias, UNIT);
    free(x), free(dy), free(weight), free(bias);
}

void check_bf16(void) {
    check_convolution_of_maps(1, (cnn_conv2d){2, 9, 7, 8, 12, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 9, 7, 0, 0});
    check_convolution_of_maps(2, (cnn_conv2d){3, 8, 8, 6, 6, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 6, 4, 4, 0, 0});
    check_convolution_of_maps(3, (cnn_conv2d){1, 6, 5, 33, 17, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 6, 5, 0, 0});
    const int64_t counts[] = {1, 3, 16, 37, 20000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) check_storage(counts[i]);
    for (int f = CNN_RELU; f <= CNN_TANH; f++) check_values_of_maps(f, 37), check_values_of_maps(f, 17000);
    check_pools_of_maps(1, (cnn_pool){2, 8, 6, 5, 4, 3, 2, 2, 2, 2, 0, 0, 1, 1}, CNN_IDENTITY);
    check_pools_of_maps(2, (cnn_pool){2, 9, 7, 72, 5, 4, 3, 3, 2, 2, 1, 1, 1, 1}, CNN_RELU);
    check_pools_of_maps(3, (cnn_pool){1, 20, 18, 70, 6, 5, 5, 5, 3, 3, 0, 0, 1, 1}, CNN_RELU6);
    check_order_of_maps(1, 6, 5), check_order_of_maps(3, 1, 9), check_order_of_maps(4, 36, 24);
    for (int added = 0; added < 2; added++) {
        check_norm_of_maps(37, 5, CNN_IDENTITY, added);
        check_norm_of_maps(200, 24, CNN_RELU, added);
        check_norm_of_maps(700, 64, CNN_RELU6, added);
    }
}
