/* Every kernel's 128-bit vectors against the plain-loop reference, from C alone: for processors that the machine at
 * hand can only emulate. tests/kernels/test_neon.py compiles this with csrc/ for AArch64 and runs it under QEMU; the
 * thorough tests, against float64, are the Python files beside this one. Prints what differs and exits with 1. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cnn.h"

#define U 5.9604645e-8        /* half a unit in the last place of 1 */
#define WORST 12              /* how far a single error may be beyond the RMS bound, as in test_conv.py */
#define POINTWISE 16          /* units: exponentials, quotients and short sums */
#define FENCE 32
#define SENTINEL -12345.5f

static int failures, comparisons;

static void must(const char *what, cnn_status status) {
    if (status == CNN_OK) return;
    printf("%s returned %d\n", what, status);
    exit(1);
}

/* ---- arrays ---- */

static float *filled(int64_t count, float low, float high) {
    static uint64_t state = 1;
    float *a = malloc((size_t)count * sizeof *a);
    for (int64_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        a[i] = low + (high - low) * (float)(state >> 40) / (float)(1 << 24);
    }
    return a;
}

/* An output for each of the two instruction sets, with a fence behind it. */
struct output { int64_t count; float *by[2]; };

static struct output output(int64_t count) {
    struct output o = {count, {NULL, NULL}};
    for (int isa = 0; isa < 2; isa++) {
        o.by[isa] = malloc((size_t)(count + FENCE) * sizeof(float));
        for (int64_t i = 0; i < count + FENCE; i++) o.by[isa][i] = SENTINEL;
    }
    return o;
}

/* No error beyond `bound` times the RMS of the reference, nothing written behind the end; frees the output. */
static void compare(const char *what, int64_t number, struct output o, double bound) {
    double squares = 0, worst = 0;
    const float *reference = o.by[CNN_ISA_REFERENCE], *vectors = o.by[CNN_ISA_BASELINE];
    for (int64_t i = 0; i < o.count; i++) {
        double error = fabs((double)vectors[i] - reference[i]);
        squares += (double)reference[i] * reference[i];
        if (!(error <= worst)) worst = error; /* a NaN stays */
    }
    double share = worst / (sqrt(squares / (double)o.count) + 1e-30);
    comparisons++;
    if (!(share <= bound)) failures++, printf("%s, case %d: error %g, allowed %g\n", what, (int)number, share, bound);
    for (int isa = 0; isa < 2; isa++) {
        for (int i = 0; i < FENCE; i++)
            if (o.by[isa][o.count + i] != SENTINEL) failures++, printf("%s wrote past its end\n", what);
        free(o.by[isa]);
    }
}

/* ---- convolutions ---- */

static cnn_conv2d convolution(int64_t n, int64_t h, int64_t w, int64_t c, int64_t k, int64_t kernel, int64_t stride,
                              int64_t pad, int64_t dilation, int64_t groups) {
    int64_t reach = (kernel - 1) * dilation + 1;
    return (cnn_conv2d){n, h, w, c, k, kernel, kernel, stride, stride, pad, pad, pad, pad, dilation, dilation, groups,
                        (h + 2 * pad - reach) / stride + 1, (w + 2 * pad - reach) / stride + 1, 0};
}

static double sum_bound(int64_t terms) { return WORST * fmax(2 * U, 0.5 * U * sqrt((double)terms)); }

static void check_convolution(int64_t number, cnn_conv2d p) {
    int64_t ys = p.n * p.oh * p.ow * p.k, xs = p.n * p.h * p.w * p.c, taps = p.kh * p.kw;
    int64_t ws = p.k * p.c / p.groups * taps, size = 0;
    for (int pass = 0; pass < 3; pass++) {
        int64_t wanted = cnn_conv2d_workspace(&p, pass);
        if (wanted < 0) must("workspace", CNN_INVALID);
        size = wanted > size ? wanted : size;
    }
    void *workspace = aligned_alloc(64, (size_t)(size + 64) / 64 * 64);
    float *packed[2];
    for (int pass = 0; pass < 2; pass++) {
        int64_t bytes = cnn_conv2d_packed(&p, pass);
        if (bytes < 0) must("packed", CNN_INVALID);
        packed[pass] = aligned_alloc(64, (size_t)(bytes + 64) / 64 * 64);
    }
    float *x = filled(xs, -1, 1), *weight = filled(ws, -1, 1), *bias = filled(p.k, -1, 1), *dy = filled(ys, -1, 1);
    float *add = filled(ys, -1, 1), *gate = filled(xs, -3, 9);
    cnn_finish forward = {bias, add, CNN_RELU6, NULL}, backward = {NULL, NULL, CNN_RELU6, gate};
    struct output y = output(ys), dx = output(xs), dweight = output(ws), dbias = output(p.k);
    for (int isa = 0; isa < 2; isa++) {
        must("isa", cnn_isa_set(isa));
        for (int pass = 0; pass < 2; pass++) must("pack", cnn_conv2d_pack(&p, pass, weight, packed[pass]));
        must("forward", cnn_conv2d_forward(&p, x, weight, packed[0], &forward, y.by[isa], workspace));
        must("data", cnn_conv2d_backward_data(&p, dy, weight, packed[1], &backward, dx.by[isa], workspace));
        must("weights", cnn_conv2d_backward_weights(&p, x, dy, dweight.by[isa], dbias.by[isa], workspace));
    }
    float *alone = malloc((size_t)(ys / p.n) * sizeof *alone);
    cnn_conv2d one = p;
    one.n = 1;
    forward.add = add + ys / p.n * (p.n - 1);
    must("one image",
         cnn_conv2d_forward(&one, x + xs / p.n * (p.n - 1), weight, packed[0], &forward, alone, workspace));
    if (memcmp(alone, y.by[CNN_ISA_BASELINE] + ys / p.n * (p.n - 1), (size_t)(ys / p.n) * sizeof *alone))
        failures++, printf("the last image is not the same bits alone, case %d\n", (int)number);
    compare("convolution", number, y, sum_bound(p.c / p.groups * taps + 1));
    compare("convolution's dx", number, dx, sum_bound(p.k / p.groups * taps));
    compare("convolution's dweight", number, dweight, sum_bound(p.n * p.oh * p.ow));
    compare("convolution's dbias", number, dbias, sum_bound(p.n * p.oh * p.ow));
    free(workspace), free(x), free(weight), free(bias), free(dy), free(alone);
    free(packed[0]), free(packed[1]), free(add), free(gate);
}

static void check_convolutions(void) {
    const cnn_conv2d cases[] = {
        convolution(2, 7, 9, 3, 20, 3, 1, 1, 1, 1),     convolution(1, 9, 8, 17, 33, 3, 2, 1, 1, 1),
        convolution(1, 6, 5, 130, 9, 3, 1, 1, 1, 1),    convolution(2, 9, 8, 24, 40, 1, 1, 0, 1, 1),
        convolution(2, 11, 13, 6, 10, 3, 3, 4, 2, 1),   convolution(2, 7, 6, 12, 18, 3, 1, 1, 1, 3),
        convolution(2, 28, 28, 1, 6, 5, 1, 0, 1, 1),    convolution(2, 7, 21, 19, 19, 3, 1, 1, 1, 19),
        convolution(2, 9, 23, 3, 3, 5, 2, 2, 1, 3),     convolution(3, 1, 1, 1100, 10, 1, 1, 0, 1, 1),
        convolution(2, 36, 36, 8, 12, 3, 1, 1, 1, 1),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_convolution((int64_t)i, cases[i]);
}

/* ---- pooling ---- */

static void check_max_pool(int64_t number, cnn_pool p) {
    int64_t xs = p.n * p.h * p.w * p.c, ys = p.n * p.oh * p.ow * p.c;
    float *x = filled(xs, -1, 1), *dy = filled(ys, -1, 1);
    uint8_t *taps[2] = {calloc(1, (size_t)ys), calloc(1, (size_t)ys)};
    struct output y = output(ys), dx = output(xs);
    for (int isa = 0; isa < 2; isa++) {
        must("isa", cnn_isa_set(isa));
        must("max", cnn_max_pool_forward(&p, x, y.by[isa], taps[isa]));
        must("max back", cnn_max_pool_backward(&p, taps[isa], dy, dx.by[isa]));
    }
    if (memcmp(taps[0], taps[1], (size_t)ys)) failures++, printf("maxima's places differ, case %d\n", (int)number);
    compare("max pooling", number, y, 0);
    compare("max pooling's dx", number, dx, POINTWISE * U);
    free(x), free(dy), free(taps[0]), free(taps[1]);
}

static void check_average_pool(int64_t number, cnn_pool p) {
    int64_t xs = p.n * p.h * p.w * p.c, ys = p.n * p.oh * p.ow * p.c;
    float *x = filled(xs, -1, 1), *dy = filled(ys, -1, 1);
    struct output y = output(ys), dx = output(xs);
    for (int isa = 0; isa < 2; isa++) {
        must("isa", cnn_isa_set(isa));
        must("mean", cnn_average_pool_forward(&p, 0, x, y.by[isa]));
        must("mean back", cnn_average_pool_backward(&p, 0, dy, dx.by[isa]));
    }
    compare("average pooling", number, y, POINTWISE * U);
    compare("average pooling's dx", number, dx, POINTWISE * U);
    free(x), free(dy);
}

static void check_root_pool(int64_t number, cnn_pool p) {
    int64_t xs = p.n * p.h * p.w * p.c, ys = p.n * p.oh * p.ow * p.c;
    float *x = filled(xs, -1, 1), *dy = filled(ys, -1, 1);
    struct output y = output(ys), dx = output(xs);
    for (int isa = 0; isa < 2; isa++) {
        must("isa", cnn_isa_set(isa));
        must("root", cnn_lp_pool_forward(&p, 2, x, y.by[isa]));
        must("root back", cnn_lp_pool_backward(&p, 2, x, y.by[isa], dy, dx.by[isa]));
    }
    compare("root pooling", number, y, POINTWISE * U);
    compare("root pooling's dx", number, dx, POINTWISE * U);
    free(x), free(dy);
}

/* ---- normalisation ---- */

static void check_norm(int64_t rows, int64_t c) {
    float *x = filled(rows * c, -1, 3), *dy = filled(rows * c, -1, 1), *weight = filled(c, -1, 1);
    float *bias = filled(c, -1, 1);
    double *statistics = malloc((size_t)c * 2 * sizeof *statistics);
    void *workspace = malloc((size_t)cnn_batch_norm_workspace(rows, c));
    struct output y = output(rows * c), dx = output(rows * c), dweight = output(c), dbias = output(c), mean = output(c),
                  var = output(c), inferred = output(rows * c);
    for (int isa = 0; isa < 2; isa++) {
        must("isa", cnn_isa_set(isa));
        for (int64_t k = 0; k < c; k++) mean.by[isa][k] = 0, var.by[isa][k] = 1;
        must("train", cnn_batch_norm_train(rows, c, 1e-5, 0.1, x, weight, bias, y.by[isa], mean.by[isa], var.by[isa],
                                           statistics, workspace));
        must("back", cnn_batch_norm_backward(rows, c, x, weight, dy, statistics, dx.by[isa], dweight.by[isa],
                                             dbias.by[isa], workspace));
        must("infer", cnn_batch_norm_infer(rows, c, 1e-5, x, weight, bias, mean.by[0], var.by[0], inferred.by[isa],
                                           workspace));
    }
    compare("normalised", rows, y, 2 * POINTWISE * U);
    compare("normalisation's dx", rows, dx, 2 * POINTWISE * U);
    compare("normalisation's dweight", rows, dweight, sum_bound(rows) + POINTWISE * U);
    compare("normalisation's dbias", rows, dbias, sum_bound(rows) + POINTWISE * U);
    compare("running mean", rows, mean, POINTWISE * U);
    compare("running variance", rows, var, POINTWISE * U);
    compare("normalised with given statistics", rows, inferred, 2 * POINTWISE * U);
    free(x), free(dy), free(weight), free(bias), free(statistics), free(workspace);
}

/* ---- what goes value by value, or row by row ---- */

static void check_activation(int activation, int64_t count) {
    float *x = filled(count, -8, 8), *y = filled(count, -0.9f, 0.9f), *dy = filled(count, -1, 1);
    struct output out = output(count), dx = output(count);
    for (int isa = 0; isa < 2; isa++) {
        must("isa", cnn_isa_set(isa));
        must("activation", cnn_activation_forward(activation, 0.1f, count, x, out.by[isa]));
        must("back", cnn_activation_backward(activation, 0.1f, count, x, y, dy, dx.by[isa]));
    }
    compare("activation", activation, out, POINTWISE * U);
    compare("activation's dx", activation, dx, POINTWISE * U);
    free(x), free(y), free(dy);
}

static void check_rows(int64_t rows, int64_t c) {
    float *x = filled(rows * c, -4, 4), *dy = filled(rows * c, -1, 1);
    int64_t *labels = malloc((size_t)rows * sizeof *labels);
    double *losses = malloc((size_t)rows * sizeof *losses);
    for (int64_t i = 0; i < rows; i++) labels[i] = i * 7 % c;
    const uint64_t clock[] = {3, 5};
    struct output sum = output(rows * c), dropped = output(rows * c), soft = output(rows * c), dsoft = output(rows * c),
                  entropy = output(rows * c), squares = output(rows * c), share = output(2 * rows);
    for (int isa = 0; isa < 2; isa++) {
        must("isa", cnn_isa_set(isa));
        must("add", cnn_add(rows * c, x, dy, sum.by[isa]));
        must("dropout", cnn_dropout(0.3, clock, 1, rows * c, x, dropped.by[isa]));
        must("softmax", cnn_softmax_forward(rows, c, x, soft.by[isa]));
        must("softmax back", cnn_softmax_backward(rows, c, soft.by[0], dy, dsoft.by[isa]));
        must("entropy", cnn_cross_entropy(rows, c, 0.1, x, labels, NULL, losses, entropy.by[isa]));
        for (int64_t i = 0; i < rows; i++) share.by[isa][i] = (float)losses[i];
        must("squares", cnn_squared_error(rows, c, x, labels, losses, squares.by[isa]));
        for (int64_t i = 0; i < rows; i++) share.by[isa][rows + i] = (float)losses[i];
    }
    compare("sum", c, sum, 0);
    compare("dropout", c, dropped, 0);
    compare("softmax", c, soft, POINTWISE * U);
    compare("softmax's dx", c, dsoft, POINTWISE * U);
    compare("cross-entropy's gradient", c, entropy, POINTWISE * U);
    compare("squared error's gradient", c, squares, POINTWISE * U);
    compare("losses", c, share, POINTWISE * U);
    free(x), free(dy), free(labels), free(losses);
}

static void check_steps(int64_t count) {
    float *gradient = filled(count, -1, 1), *start = filled(3 * count, 0.1f, 1);
    struct output sgd = output(2 * count), adam = output(3 * count);
    const cnn_hyper hyper = {.lr = 0.1, .scale = 0.5, .step = 3};
    double partials[8], norm[2];
    for (int isa = 0; isa < 2; isa++) {
        must("isa", cnn_isa_set(isa));
        memcpy(sgd.by[isa], start, (size_t)(2 * count) * sizeof(float));
        memcpy(adam.by[isa], start, (size_t)(3 * count) * sizeof(float));
        cnn_tensor one = {count, sgd.by[isa], gradient, sgd.by[isa] + count, NULL, 0.01};
        must("sgd", cnn_sgd(1, &one, &hyper, 0.9, 0, 1));
        must("norm", cnn_gradient_norm(1, &one, partials, norm + isa));
        cnn_tensor two = {count, adam.by[isa], gradient, adam.by[isa] + count, adam.by[isa] + 2 * count, 0.01};
        must("adam", cnn_adam(1, &two, &hyper, 0.9, 0.99, 1e-8, 1));
    }
    compare("SGD", count, sgd, POINTWISE * U);
    compare("Adam", count, adam, POINTWISE * U);
    if (fabs(norm[0] - norm[1]) > 1e-12 * norm[0]) failures++, printf("gradient norms differ\n");
    free(gradient), free(start);
}

static void check_images(int64_t c) {
    enum { N = 2, H = 5, W = 7 };
    uint8_t *x = malloc((size_t)(N * H * W * c));
    for (int64_t i = 0; i < N * H * W * c; i++) x[i] = (uint8_t)(i * 37);
    float *scale = filled(c, 0.1f, 1), *shift = filled(c, -1, 1);
    const int64_t moves[] = {0, 0, 0, 2, -3, 1};
    struct output y = output(N * H * W * c);
    for (int isa = 0; isa < 2; isa++) {
        must("isa", cnn_isa_set(isa));
        must("image", cnn_image_batch(1, N, N, H, W, c, x, NULL, moves, scale, shift, y.by[isa]));
    }
    compare("images", c, y, POINTWISE * U);
    free(x), free(scale), free(shift);
}

int main(void) {
    must("threads", cnn_threads_set(2));
    check_convolutions();
    for (int64_t c = 1; c < 10; c += 4) {
        cnn_pool plain = {2, 9, 11, c, 4, 5, 2, 2, 2, 2, 0, 0, 1, 1}, padded = {2, 9, 11, c, 5, 6, 3, 3, 2, 2, 1, 1, 1, 1};
        check_max_pool(c, plain), check_average_pool(c, plain), check_root_pool(c, plain);
        check_max_pool(c, padded), check_average_pool(c, padded);
        check_max_pool(c, (cnn_pool){2, 9, 11, c, 7, 4, 3, 3, 1, 2, 1, 1, 2, 2});
        check_images(c);
    }
    check_norm(300, 17);
    check_norm(11000, 6);
    for (int activation = CNN_RELU; activation <= CNN_TANH; activation++) check_activation(activation, 1003);
    check_rows(3, 10);
    check_rows(40, 3);
    check_steps(1003);
    printf("%d comparisons, %d failures\n", comparisons, failures);
    return failures != 0;
}
