/* Pooling, normalisation, activations, losses and steps of optimisers; a part of against_reference.c. */
#include "against_reference.h"

/* ---- pooling ---- */

static void check_max_pool(int64_t number, cnn_pool p, int activation) {
    int64_t xs = p.n * p.h * p.w * p.c, ys = p.n * p.oh * p.ow * p.c;
    float *x = filled(xs, -9, 9), *dy = filled(ys, -1, 1);
    uint8_t *taps[2] = {calloc(1, (size_t)ys), calloc(1, (size_t)ys)};
    struct output y = output(ys), dx = output(xs);
    for (int side = 0; side < SIDES; side++) {
        use(side);
        must("max", cnn_max_pool_forward(&p, activation, x, y.by[side], taps[side]));
        must("max back", cnn_max_pool_backward(&p, activation, y.by[side], taps[side], dy, dx.by[side]));
    }
    expect("maxima's places", number, !memcmp(taps[0], taps[1], (size_t)ys));
    expect("bytes of a place", number, cnn_max_pool_tap_bytes(p.kh, p.kw) == 1);
    compare("max pooling", number, y, 0);
    compare("max pooling's dx", number, dx, POINTWISE * U);
    free(x), free(dy), free(taps[0]), free(taps[1]);
}

static void check_average_pool(int64_t number, cnn_pool p) {
    int64_t xs = p.n * p.h * p.w * p.c, ys = p.n * p.oh * p.ow * p.c;
    float *x = filled(xs, -1, 1), *dy = filled(ys, -1, 1);
    struct output y = output(ys), dx = output(xs);
    for (int side = 0; side < SIDES; side++) {
        use(side);
        must("mean", cnn_average_pool_forward(&p, 0, x, y.by[side]));
        must("mean back", cnn_average_pool_backward(&p, 0, dy, dx.by[side]));
    }
    compare("average pooling", number, y, POINTWISE * U);
    compare("average pooling's dx", number, dx, POINTWISE * U);
    free(x), free(dy);
}

static void check_root_pool(int64_t number, cnn_pool p) {
    int64_t xs = p.n * p.h * p.w * p.c, ys = p.n * p.oh * p.ow * p.c;
    float *x = filled(xs, -1, 1), *dy = filled(ys, -1, 1);
    struct output y = output(ys), dx = output(xs);
    for (int side = 0; side < SIDES; side++) {
        use(side);
        must("root", cnn_lp_pool_forward(&p, 2, x, y.by[side]));
        must("root back", cnn_lp_pool_backward(&p, 2, x, y.by[side], dy, dx.by[side]));
    }
    compare("root pooling", number, y, POINTWISE * U);
    compare("root pooling's dx", number, dx, POINTWISE * U);
    free(x), free(dy);
}

static void check_adaptive_pool(int64_t h, int64_t w, int64_t c, int64_t oh, int64_t ow) {
    float *x = filled(2 * h * w * c, -1, 1), *dy = filled(2 * oh * ow * c, -1, 1);
    struct output y = output(2 * oh * ow * c), dx = output(2 * h * w * c);
    for (int side = 0; side < SIDES; side++) {
        use(side);
        must("adaptive", cnn_adaptive_average_pool_forward(2, h, w, c, oh, ow, x, y.by[side]));
        must("adaptive back", cnn_adaptive_average_pool_backward(2, h, w, c, oh, ow, dy, dx.by[side]));
    }
    compare("adaptive pooling", c, y, POINTWISE * U);
    compare("adaptive pooling's dx", c, dx, POINTWISE * U);
    free(x), free(dy);
}

/* ---- normalisation ---- */

static void check_norm(int64_t rows, int64_t c, int activation, bool added) {
    float *x = filled(rows * c, -1, 3), *dy = filled(rows * c, -1, 1), *weight = filled(c, -1, 1);
    float *bias = filled(c, -1, 1), *add = added ? filled(rows * c, -1, 1) : NULL;
    double *statistics = malloc((size_t)c * 2 * sizeof *statistics);
    cnn_norm p = {rows, c, x, weight, bias, activation, statistics, malloc((size_t)cnn_batch_norm_workspace(rows, c))};
    struct output y = output(rows * c), dx = output(rows * c), dadd = output(rows * c), dweight = output(c),
                  dbias = output(c), mean = output(c), var = output(c), inferred = output(rows * c),
                  again = output(rows * c);
    for (int side = 0; side < SIDES; side++) {
        use(side);
        for (int64_t k = 0; k < c; k++) mean.by[side][k] = 0, var.by[side][k] = 1;
        must("train", cnn_batch_norm_train(&p, 1e-5, 0.1, add, y.by[side], mean.by[side], var.by[side]));
        must("back", cnn_batch_norm_backward(&p, added ? y.by[0] : NULL, dy, 0, dx.by[side], dadd.by[side],
                                             dweight.by[side], dbias.by[side]));
        must("again", cnn_batch_norm_again(&p, again.by[side]));
        if (!added)
            expect("normalised again, to the bit", rows,
                   !memcmp(again.by[side], y.by[side], (size_t)(rows * c) * sizeof(float)));
        p.statistics = NULL;
        must("infer", cnn_batch_norm_infer(&p, 1e-5, mean.by[0], var.by[0], add, inferred.by[side]));
        p.statistics = statistics;
    }
    compare("normalised", rows, y, 2 * POINTWISE * U);
    compare("normalised again", rows, again, 2 * POINTWISE * U);
    compare("normalisation's dx", rows, dx, 2 * POINTWISE * U);
    compare("normalisation's dadd", rows, dadd, 0);
    compare("normalisation's dweight", rows, dweight, sum_bound(rows) + POINTWISE * U);
    compare("normalisation's dbias", rows, dbias, sum_bound(rows) + POINTWISE * U);
    compare("running mean", rows, mean, POINTWISE * U);
    compare("running variance", rows, var, POINTWISE * U);
    compare("normalised with given statistics", rows, inferred, 2 * POINTWISE * U);
    free(x), free(dy), free(weight), free(bias), free(add), free(statistics), free(p.workspace);
}

/* ---- what goes value by value, or row by row ---- */

static void check_activation(int activation, int64_t count) {
    float *x = filled(count, -8, 8), *y = filled(count, -0.9f, 0.9f), *dy = filled(count, -1, 1);
    struct output out = output(count), dx = output(count);
    for (int side = 0; side < SIDES; side++) {
        use(side);
        must("activation", cnn_activation_forward(activation, 0.1f, count, x, out.by[side]));
        must("back", cnn_activation_backward(activation, 0.1f, count, x, y, dy, dx.by[side]));
    }
    compare("activation", activation, out, POINTWISE * U);
    compare("activation's dx", activation, dx, POINTWISE * U);
    free(x), free(y), free(dy);
}

static void check_rows(int64_t rows, int64_t c) {
    float *x = filled(rows * c, -4, 4), *dy = filled(rows * c, -1, 1);
    int64_t *labels = malloc((size_t)rows * sizeof *labels);
    double *losses = malloc((size_t)rows * sizeof *losses);
    int64_t *others = malloc((size_t)rows * sizeof *others);
    float *shares = filled(rows, 0, 1);
    for (int64_t i = 0; i < rows; i++) labels[i] = i * 7 % c, others[i] = (i * 5 + 1) % c;
    const cnn_targets targets = {rows, c, labels, others, shares};
    const uint64_t clock[] = {3, 5};
    const int64_t images = rows % 2 ? 1 : 2;
    struct output copied = output(rows * (c + 2)), flat = output(rows * c), back = output(rows * c);
    struct output sum = output(rows * c), scaled = output(rows * c), dropped = output(rows * c),
                  soft = output(rows * c), dsoft = output(rows * c), entropy = output(rows * c),
                  squares = output(rows * c), share = output(2 * rows);
    for (int side = 0; side < SIDES; side++) {
        use(side);
        must("add", cnn_add(rows * c, x, dy, sum.by[side]));
        must("scale", cnn_scale(rows * c, -0.3f, x, scaled.by[side]));
        must("dropout", cnn_dropout(0.3, clock, 1, rows * c, x, dropped.by[side]));
        must("copy", cnn_copy_columns(rows, c, x, c, copied.by[side] + 1, c + 2));
        must("flatten", cnn_flatten_forward(images, rows / images, c, x, flat.by[side]));
        must("flatten back", cnn_flatten_backward(images, rows / images, c, flat.by[side], back.by[side]));
        expect("there and back", c, !memcmp(back.by[side], x, (size_t)(rows * c) * sizeof(float)));
        must("softmax", cnn_softmax_forward(rows, c, x, soft.by[side]));
        must("softmax back", cnn_softmax_backward(rows, c, soft.by[0], dy, dsoft.by[side]));
        must("entropy", cnn_cross_entropy(&targets, 0.1, x, NULL, losses, entropy.by[side]));
        for (int64_t i = 0; i < rows; i++) share.by[side][i] = (float)losses[i];
        must("squares", cnn_squared_error(&targets, x, losses, squares.by[side]));
        for (int64_t i = 0; i < rows; i++) share.by[side][rows + i] = (float)losses[i];
    }
    compare("sum", c, sum, 0);
    compare("scale", c, scaled, 0);
    compare("dropout", c, dropped, 0);
    compare("copied columns", c, copied, 0);
    compare("flattened", c, flat, 0);
    compare("unflattened", c, back, 0);
    compare("softmax", c, soft, POINTWISE * U);
    compare("softmax's dx", c, dsoft, POINTWISE * U);
    compare("cross-entropy's gradient", c, entropy, POINTWISE * U);
    compare("squared error's gradient", c, squares, POINTWISE * U);
    compare("losses", c, share, POINTWISE * U);
    free(x), free(dy), free(labels), free(losses), free(others), free(shares);
}

static void check_steps(int64_t count) {
    float *gradient = filled(count, -1, 1), *start = filled(3 * count, 0.1f, 1);
    struct output sgd = output(2 * count), adam = output(3 * count);
    const cnn_hyper hyper = {.lr = 0.1, .scale = 0.5, .step = 3};
    double partials[64], norm[2];
    const int64_t parts = cnn_gradient_norm_partials(1, &(cnn_tensor){.count = count});
    for (int side = 0; side < SIDES; side++) {
        use(side);
        memcpy(sgd.by[side], start, (size_t)(2 * count) * sizeof(float));
        memcpy(adam.by[side], start, (size_t)(3 * count) * sizeof(float));
        cnn_tensor one = {count, sgd.by[side], gradient, sgd.by[side] + count, NULL, 0.01, 2};
        must("sgd", cnn_sgd(1, &one, &hyper, 0.9, 0, 1));
        expect("partial sums of a norm", count, parts > 0 && parts <= 64 && (parts == 1) == (count < 10000));
        must("norm", cnn_gradient_norm(1, &one, partials, norm + side));
        cnn_tensor two = {count, adam.by[side], gradient, adam.by[side] + count, adam.by[side] + 2 * count, 0.01, 0.5};
        must("adam", cnn_adam(1, &two, &hyper, 0.9, 0.99, 1e-8, 1));
    }
    compare("SGD", count, sgd, POINTWISE * U);
    compare("Adam", count, adam, POINTWISE * U);
    expect("gradient norm", count, fabs(norm[0] - norm[1]) <= 1e-12 * norm[0]);
    free(gradient), free(start);
}

/* No arrays: how many operations a round is, of one multiply-add in plain loops and of whole vectors elsewhere. */
static void check_peak(void) {
    double flops[SIDES];
    for (int side = 0; side < SIDES; side++) {
        use(side);
        must("peak", cnn_peak(1, flops + side));
    }
    double times = flops[VECTORS] / flops[REFERENCE];
    expect("operations of a round", 1, flops[REFERENCE] > 0 && times >= 4 && times == floor(times));
}

void check_layers(void) {
    for (int64_t c = 1; c < 10; c += 4) {
        cnn_pool plain = {2, 9, 11, c, 4, 5, 2, 2, 2, 2, 0, 0, 1, 1},
                 padded = {2, 9, 11, c, 5, 6, 3, 3, 2, 2, 1, 1, 1, 1};
        check_max_pool(c, plain, CNN_RELU), check_average_pool(c, plain), check_root_pool(c, plain);
        check_max_pool(c, padded, CNN_RELU6), check_average_pool(c, padded);
        check_max_pool(c, (cnn_pool){2, 8, 12, c, 4, 6, 2, 2, 2, 2, 0, 0, 1, 1}, CNN_IDENTITY);
        check_max_pool(c, (cnn_pool){2, 9, 11, c, 7, 4, 3, 3, 1, 2, 1, 1, 2, 2}, CNN_RELU);
        check_adaptive_pool(9, 11, c, 4, 3), check_adaptive_pool(3, 2, c, 5, 2);
    }
    check_norm(300, 17, CNN_IDENTITY, false);
    check_norm(11000, 6, CNN_RELU, false);
    check_norm(1001, 33, CNN_RELU6, true);
    for (int activation = CNN_RELU; activation <= CNN_TANH; activation++) check_activation(activation, 1003);
    check_rows(3, 10);
    check_rows(40, 3);
    check_steps(1003);
    check_peak();
}

void check_larger_layers(void) {
    check_norm(300, 130, CNN_RELU, true);
    check_steps(300003);
    check_rows(400, 3);
    check_max_pool(3, (cnn_pool){6, 90, 70, 3, 45, 35, 2, 2, 2, 2, 0, 0, 1, 1}, CNN_RELU);
}
