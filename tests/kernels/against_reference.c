/* Every kernel's vectors against the plain-loop reference, from C alone: for processors that the machine at hand can
 * only emulate. tests/kernels/test_emulated.py compiles this with csrc/ and runs it under QEMU; the thorough tests,
 * against float64, are the Python files beside this one. The argument names the instruction set, baseline, avx2 or
 * avx512; without one the program says what the processor has. Prints what differs and exits with 1, or with 2 where
 * the processor lacks the instruction set. */
#include <math.h>
#include <stdbool.h>
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

enum { REFERENCE, VECTORS, SIDES };

static int failures, comparisons;
static int vectors;

static void must(const char *what, cnn_status status) {
    if (status == CNN_OK) return;
    printf("%s returned %d\n", what, status);
    exit(1);
}

/* From here on kernels run as plain loops or with vectors. */
static void use(int side) { must("isa", cnn_isa_set(side == REFERENCE ? CNN_ISA_REFERENCE : vectors)); }

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

/* An output for each side, with a fence behind it. */
struct output { int64_t count; float *by[SIDES]; };

static struct output output(int64_t count) {
    struct output o = {count, {NULL, NULL}};
    for (int side = 0; side < SIDES; side++) {
        o.by[side] = malloc((size_t)(count + FENCE) * sizeof(float));
        for (int64_t i = 0; i < count + FENCE; i++) o.by[side][i] = SENTINEL;
    }
    return o;
}

/* No error beyond `bound` times the RMS of the reference, nothing written behind the end; frees the output. */
static void compare(const char *what, int64_t number, struct output o, double bound) {
    double squares = 0, worst = 0;
    const float *expected = o.by[REFERENCE], *found = o.by[VECTORS];
    for (int64_t i = 0; i < o.count; i++) {
        double error = fabs((double)found[i] - expected[i]);
        squares += (double)expected[i] * expected[i];
        if (!(error <= worst)) worst = error; /* a NaN stays */
    }
    double share = worst / (sqrt(squares / (double)o.count) + 1e-30);
    comparisons++;
    if (!(share <= bound)) failures++, printf("%s, case %d: error %g, allowed %g\n", what, (int)number, share, bound);
    for (int side = 0; side < SIDES; side++) {
        for (int i = 0; i < FENCE; i++)
            if (o.by[side][o.count + i] != SENTINEL) failures++, printf("%s wrote past its end\n", what);
        free(o.by[side]);
    }
}

/* ---- convolutions ---- */

static cnn_conv2d convolution(int64_t n, int64_t h, int64_t w, int64_t c, int64_t k, int64_t kernel, int64_t stride,
                              int64_t pad, int64_t dilation, int64_t groups) {
    int64_t reach = (kernel - 1) * dilation + 1;
    return (cnn_conv2d){n, h, w, c, k, kernel, kernel, stride, stride, pad, pad, pad, pad, dilation, dilation, groups,
                        (h + 2 * pad - reach) / stride + 1, (w + 2 * pad - reach) / stride + 1, 0};
}

/* What tests/kernels/test_conv.py allows: Winograd's F(4, 3) three times as much. */
static double sum_bound(const cnn_conv2d *p, int64_t terms) {
    bool winograd = p && !p->exact && p->kh == 3 && p->kw == 3 && p->stride_h == 1 && p->stride_w == 1 &&
                    p->dilation_h == 1 && p->dilation_w == 1 && p->groups == 1;
    return WORST * fmax(2 * U, (winograd ? 1.5 : 0.5) * U * sqrt((double)terms));
}

/* The forms that a finish takes, for results shaped as `add` and `gate`. */
enum { PLAIN, FORWARD_RELU, FORWARD_RELU6, BACKWARD_RELU, BACKWARD_RELU6, FORMS };

static cnn_finish finish(int form, const float *bias, const float *add, const float *gate) {
    switch (form) {
    case FORWARD_RELU: return (cnn_finish){bias, NULL, CNN_RELU, NULL, 0, NULL};
    case FORWARD_RELU6: return (cnn_finish){bias, add, CNN_RELU6, NULL, 0, NULL};
    case BACKWARD_RELU: return (cnn_finish){NULL, add, CNN_RELU, gate, 0, NULL};
    case BACKWARD_RELU6: return (cnn_finish){NULL, NULL, CNN_RELU6, gate, 0, NULL};
    default: return (cnn_finish){bias, NULL, CNN_IDENTITY, NULL, 0, NULL};
    }
}

/* The weights as a pass reads them; the caller frees them. */
static float *packed(const cnn_conv2d *p, int pass, const float *weight) {
    int64_t bytes = cnn_conv2d_packed(p, pass);
    if (bytes < 0) must("packed", CNN_INVALID);
    float *memory = aligned_alloc(64, (size_t)(bytes + 64) / 64 * 64);
    must("pack", cnn_conv2d_pack(p, pass, weight, memory));
    return memory;
}

/* The same, of every 2 x 2 results the largest. Which that was may differ where two are nearly equal, but not by much. */
static void check_pooled(int64_t number, cnn_conv2d p, const float *x, const float *weight, void *workspace) {
    if (!cnn_conv2d_pools(&p)) return;
    int64_t ys = p.n * (p.oh / 2) * (p.ow / 2) * p.k;
    float *bias = filled(p.k, -1, 1);
    uint8_t *taps = malloc((size_t)ys);
    struct output y = output(ys);
    for (int side = 0; side < SIDES; side++) {
        use(side);
        float *weights = packed(&p, CNN_FORWARD, weight);
        cnn_finish end = {bias, NULL, CNN_RELU, NULL, 1, side == VECTORS ? taps : NULL};
        must("pooled", cnn_conv2d_forward(&p, x, weight, weights, &end, y.by[side], workspace));
        free(weights);
    }
    for (int64_t i = 0; i < ys; i++)
        if (taps[i] > 3) failures++, printf("tap %d, case %d\n", taps[i], (int)number);
    compare("pooled convolution", number, y, sum_bound(&p, p.c / p.groups * p.kh * p.kw + 1));
    free(bias), free(taps);
}

static void check_forward(int64_t number, cnn_conv2d p, const float *x, const float *weight, void *workspace) {
    int64_t ys = p.n * p.oh * p.ow * p.k, xs = p.n * p.h * p.w * p.c;
    float *bias = filled(p.k, -1, 1), *add = filled(ys, -2, 2), *gate = filled(ys, -3, 9);
    for (int form = 0; form < FORMS; form++) {
        cnn_finish end = finish(form, bias, add, gate);
        struct output y = output(ys);
        for (int side = 0; side < SIDES; side++) {
            use(side);
            float *weights = packed(&p, CNN_FORWARD, weight);
            must("forward", cnn_conv2d_forward(&p, x, weight, weights, &end, y.by[side], workspace));
            free(weights);
        }
        if (form == PLAIN) { /* with the vectors' weights still in use */
            float *alone = malloc((size_t)(ys / p.n) * sizeof *alone), *weights = packed(&p, CNN_FORWARD, weight);
            cnn_conv2d one = p;
            one.n = 1;
            must("one image", cnn_conv2d_forward(&one, x + xs / p.n * (p.n - 1), weight, weights, &end, alone, workspace));
            if (memcmp(alone, y.by[VECTORS] + ys / p.n * (p.n - 1), (size_t)(ys / p.n) * sizeof *alone))
                failures++, printf("the last image is not the same bits alone, case %d\n", (int)number);
            free(alone), free(weights);
        }
        compare("convolution", 10 * number + form, y, sum_bound(&p, p.c / p.groups * p.kh * p.kw + 1));
    }
    free(bias), free(add), free(gate);
}

static void check_backward_data(int64_t number, cnn_conv2d p, const float *dy, const float *weight, void *workspace) {
    int64_t xs = p.n * p.h * p.w * p.c;
    float *add = filled(xs, -2, 2), *gate = filled(xs, -3, 9);
    for (int form = 0; form < FORMS; form++) {
        cnn_finish end = finish(form, NULL, add, gate);
        struct output dx = output(xs);
        for (int side = 0; side < SIDES; side++) {
            use(side);
            float *weights = packed(&p, CNN_BACKWARD_DATA, weight);
            must("data", cnn_conv2d_backward_data(&p, dy, weight, weights, &end, dx.by[side], workspace));
            free(weights);
        }
        compare("convolution's dx", 10 * number + form, dx, sum_bound(&p, p.k / p.groups * p.kh * p.kw));
    }
    free(add), free(gate);
}

static void check_convolution(int64_t number, cnn_conv2d p) {
    int64_t ys = p.n * p.oh * p.ow * p.k, ws = p.k * p.c / p.groups * p.kh * p.kw, size = 0;
    for (int pass = 0; pass < 3; pass++) {
        int64_t wanted = cnn_conv2d_workspace(&p, pass);
        if (wanted < 0) must("workspace", CNN_INVALID);
        size = wanted > size ? wanted : size;
    }
    void *workspace = aligned_alloc(64, (size_t)(size + 64) / 64 * 64);
    float *x = filled(p.n * p.h * p.w * p.c, -1, 1), *weight = filled(ws, -1, 1), *dy = filled(ys, -1, 1);
    check_forward(number, p, x, weight, workspace);
    check_pooled(number, p, x, weight, workspace);
    check_backward_data(number, p, dy, weight, workspace);
    struct output dweight = output(ws), dbias = output(p.k);
    for (int side = 0; side < SIDES; side++) {
        use(side);
        must("weights", cnn_conv2d_backward_weights(&p, x, dy, dweight.by[side], dbias.by[side], workspace));
    }
    compare("convolution's dweight", number, dweight, sum_bound(&p, p.n * p.oh * p.ow));
    compare("convolution's dbias", number, dbias, sum_bound(NULL, p.n * p.oh * p.ow));
    free(workspace), free(x), free(weight), free(dy);
}

static void check_convolutions(void) {
    const cnn_conv2d cases[] = {
        convolution(2, 7, 9, 3, 20, 3, 1, 1, 1, 1),     convolution(1, 9, 8, 17, 33, 3, 2, 1, 1, 1),
        convolution(1, 6, 5, 130, 9, 3, 1, 1, 1, 1),    convolution(2, 9, 8, 24, 40, 1, 1, 0, 1, 1),
        convolution(2, 11, 13, 6, 10, 3, 3, 4, 2, 1),   convolution(2, 7, 6, 12, 18, 3, 1, 1, 1, 3),
        convolution(2, 28, 28, 1, 6, 5, 1, 0, 1, 1),    convolution(2, 7, 21, 19, 19, 3, 1, 1, 1, 19),
        convolution(2, 9, 23, 3, 3, 5, 2, 2, 1, 3),     convolution(3, 1, 1, 1100, 10, 1, 1, 0, 1, 1),
        convolution(2, 36, 36, 8, 12, 3, 1, 1, 1, 1),   convolution(2, 13, 11, 32, 48, 3, 1, 1, 1, 1),
        convolution(1, 14, 15, 20, 64, 3, 1, 0, 1, 1),  convolution(2, 29, 27, 3, 32, 7, 2, 3, 1, 1),
        convolution(2, 17, 18, 3, 32, 3, 1, 1, 1, 1),   convolution(1, 30, 31, 40, 40, 5, 1, 2, 1, 40),
        convolution(2, 15, 16, 36, 36, 3, 2, 1, 1, 36), convolution(2, 5, 6, 70, 70, 5, 2, 2, 1, 70),
        convolution(1, 4, 4, 130, 240, 3, 1, 1, 1, 1),  convolution(2, 7, 6, 72, 128, 3, 1, 1, 1, 1),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cnn_conv2d p = cases[i];
        check_convolution((int64_t)i, p);
        p.exact = 1;
        if (p.kh == 3 && p.stride_h == 1 && p.groups == 1) check_convolution((int64_t)i + 100, p);
    }
    /* TensorFlow's zeros: none above and to the left. */
    cnn_conv2d stem = {2, 16, 14, 3, 32, 3, 3, 2, 2, 0, 1, 0, 1, 1, 1, 1, 8, 7, 0};
    cnn_conv2d rows = {2, 16, 14, 24, 24, 5, 5, 2, 2, 1, 2, 1, 2, 1, 1, 24, 8, 7, 0};
    check_convolution(200, stem), check_convolution(201, rows);
}

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
    if (memcmp(taps[0], taps[1], (size_t)ys)) failures++, printf("maxima's places differ, case %d\n", (int)number);
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

/* ---- normalisation ---- */

static void check_norm(int64_t rows, int64_t c, int activation, bool added) {
    float *x = filled(rows * c, -1, 3), *dy = filled(rows * c, -1, 1), *weight = filled(c, -1, 1);
    float *bias = filled(c, -1, 1), *add = added ? filled(rows * c, -1, 1) : NULL;
    double *statistics = malloc((size_t)c * 2 * sizeof *statistics);
    void *workspace = malloc((size_t)cnn_batch_norm_workspace(rows, c));
    struct output y = output(rows * c), dx = output(rows * c), dadd = output(rows * c), dweight = output(c),
                  dbias = output(c), mean = output(c), var = output(c), inferred = output(rows * c);
    for (int side = 0; side < SIDES; side++) {
        use(side);
        for (int64_t k = 0; k < c; k++) mean.by[side][k] = 0, var.by[side][k] = 1;
        must("train", cnn_batch_norm_train(rows, c, 1e-5, 0.1, x, weight, bias, add, activation, y.by[side],
                                           mean.by[side], var.by[side], statistics, workspace));
        must("back", cnn_batch_norm_backward(rows, c, x, added ? y.by[0] : NULL, weight, bias, activation, dy,
                                             statistics, 0, dx.by[side], dadd.by[side], dweight.by[side], dbias.by[side],
                                             workspace));
        must("infer", cnn_batch_norm_infer(rows, c, 1e-5, x, weight, bias, mean.by[0], var.by[0], add, activation,
                                           inferred.by[side], NULL, workspace));
    }
    compare("normalised", rows, y, 2 * POINTWISE * U);
    compare("normalisation's dx", rows, dx, 2 * POINTWISE * U);
    compare("normalisation's dadd", rows, dadd, 0);
    compare("normalisation's dweight", rows, dweight, sum_bound(NULL, rows) + POINTWISE * U);
    compare("normalisation's dbias", rows, dbias, sum_bound(NULL, rows) + POINTWISE * U);
    compare("running mean", rows, mean, POINTWISE * U);
    compare("running variance", rows, var, POINTWISE * U);
    compare("normalised with given statistics", rows, inferred, 2 * POINTWISE * U);
    free(x), free(dy), free(weight), free(bias), free(add), free(statistics), free(workspace);
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
    const uint64_t clock[] = {3, 5};
    struct output sum = output(rows * c), scaled = output(rows * c), dropped = output(rows * c),
                  soft = output(rows * c), dsoft = output(rows * c),
                  entropy = output(rows * c), squares = output(rows * c), share = output(2 * rows);
    for (int side = 0; side < SIDES; side++) {
        use(side);
        must("add", cnn_add(rows * c, x, dy, sum.by[side]));
        must("scale", cnn_scale(rows * c, -0.3f, x, scaled.by[side]));
        must("dropout", cnn_dropout(0.3, clock, 1, rows * c, x, dropped.by[side]));
        must("softmax", cnn_softmax_forward(rows, c, x, soft.by[side]));
        must("softmax back", cnn_softmax_backward(rows, c, soft.by[0], dy, dsoft.by[side]));
        must("entropy", cnn_cross_entropy(rows, c, 0.1, x, labels, others, shares, NULL, losses, entropy.by[side]));
        for (int64_t i = 0; i < rows; i++) share.by[side][i] = (float)losses[i];
        must("squares", cnn_squared_error(rows, c, x, labels, others, shares, losses, squares.by[side]));
        for (int64_t i = 0; i < rows; i++) share.by[side][rows + i] = (float)losses[i];
    }
    compare("sum", c, sum, 0);
    compare("scale", c, scaled, 0);
    compare("dropout", c, dropped, 0);
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
    double partials[8], norm[2];
    for (int side = 0; side < SIDES; side++) {
        use(side);
        memcpy(sgd.by[side], start, (size_t)(2 * count) * sizeof(float));
        memcpy(adam.by[side], start, (size_t)(3 * count) * sizeof(float));
        cnn_tensor one = {count, sgd.by[side], gradient, sgd.by[side] + count, NULL, 0.01, 2};
        must("sgd", cnn_sgd(1, &one, &hyper, 0.9, 0, 1));
        must("norm", cnn_gradient_norm(1, &one, partials, norm + side));
        cnn_tensor two = {count, adam.by[side], gradient, adam.by[side] + count, adam.by[side] + 2 * count, 0.01, 0.5};
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
    for (int side = 0; side < SIDES; side++) {
        use(side);
        must("image", cnn_image_batch(N, N, H, W, c, x, NULL, moves, scale, shift, y.by[side]));
    }
    compare("images", c, y, POINTWISE * U);
    free(x), free(scale), free(shift);
}

/* Lists without jumps (thresholds, histograms), which a rounding error could take to either side. */
static void check_augmentation(int64_t c) {
    enum { N = 3, H = 11, W = 70, STEPS = 5 };
    uint8_t *x = malloc((size_t)(N * H * W * c));
    for (int64_t i = 0; i < N * H * W * c; i++) x[i] = (uint8_t)(100 + 80 * sin((double)i * 0.01));
    float *scale = filled(c, 0.1f, 1), *shift = filled(c, -1, 1);
    const int64_t moves[] = {0, 0, 0, 2, -3, 1, -1, 20, 0};
    const int64_t operations[N * STEPS] = {CNN_ROTATE, CNN_SCALE, CNN_SHARPNESS, CNN_BRIGHTNESS, CNN_HUE,
                                           CNN_SHEAR_X, CNN_CONTRAST, CNN_AUTOCONTRAST, CNN_NO_OPERATION, CNN_SATURATION,
                                           CNN_POSTERISE, CNN_SOLARISE, CNN_EQUALISE, CNN_HUE, CNN_CONTRAST};
    const double strengths[N * STEPS] = {30, -0.2, 1.7, 1.3, 0.2, 20, 0.4, 0, 0, 1.8, 4, 130, 0, -0.1, 0.7};
    const int64_t partners[N] = {1, 2, 0}, boxes[4 * N] = {0};
    const float shares[N] = {0.3f, 1, 0.8f};
    struct output y = output(N * H * W * c), mixed = output(N * H * W * c);
    for (int side = 0; side < SIDES; side++) {
        use(side);
        must("augmentation", cnn_augment_batch(N, N, H, W, c, x, NULL, moves, STEPS, operations, strengths, scale,
                                               shift, y.by[side]));
        must("mixing", cnn_mix_batch(N, H, W, c, y.by[side], partners, shares, boxes, mixed.by[side]));
    }
    /* Places in the source are good to some 1e-5 of a pixel, and neighbours differ by 80 at most. */
    compare("augmentation", c, y, 4096 * U);
    compare("mixing", c, mixed, 4096 * U);
    free(x), free(scale), free(shift);
}

static const char *const names[] = {"reference", "baseline", "avx2", "avx512"};

static void tell(void) {
    printf("%s of", names[cnn_isa_active()]);
    for (int isa = CNN_ISA_REFERENCE; isa <= CNN_ISA_AVX512; isa++)
        if (cnn_isa_supported(isa)) printf(" %s", names[isa]);
    printf("\n");
}

int main(int count, char **arguments) {
    if (count < 2) return tell(), 0;
    const char *isa = arguments[1];
    for (vectors = CNN_ISA_AVX512; vectors > CNN_ISA_REFERENCE && strcmp(isa, names[vectors]); vectors--) {}
    if (vectors == CNN_ISA_REFERENCE || cnn_isa_set(vectors) != CNN_OK) return printf("this processor has no %s\n", isa), 2;
    must("threads", cnn_threads_set(2));
    check_convolutions();
    for (int64_t c = 1; c < 10; c += 4) {
        cnn_pool plain = {2, 9, 11, c, 4, 5, 2, 2, 2, 2, 0, 0, 1, 1}, padded = {2, 9, 11, c, 5, 6, 3, 3, 2, 2, 1, 1, 1, 1};
        check_max_pool(c, plain, CNN_RELU), check_average_pool(c, plain), check_root_pool(c, plain);
        check_max_pool(c, padded, CNN_RELU6), check_average_pool(c, padded);
        check_max_pool(c, (cnn_pool){2, 8, 12, c, 4, 6, 2, 2, 2, 2, 0, 0, 1, 1}, CNN_IDENTITY);
        check_max_pool(c, (cnn_pool){2, 9, 11, c, 7, 4, 3, 3, 1, 2, 1, 1, 2, 2}, CNN_RELU);
        check_images(c);
    }
    check_augmentation(1), check_augmentation(3);
    check_norm(300, 17, CNN_IDENTITY, false);
    check_norm(11000, 6, CNN_RELU, false);
    check_norm(1001, 33, CNN_RELU6, true);
    for (int activation = CNN_RELU; activation <= CNN_TANH; activation++) check_activation(activation, 1003);
    check_rows(3, 10);
    check_rows(40, 3);
    check_steps(1003);
    printf("%s: %d comparisons, %d failures\n", isa, comparisons, failures);
    return failures != 0;
}
