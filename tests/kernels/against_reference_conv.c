/* Every pass of the convolutions, with each finish; a part of against_reference.c. */
#include "against_reference.h"

/* Winograd's F(4, 3) may err three times as much as a plain sum, F(7, 3) as test_winograd_wide.py says. */
static double bound_of(const cnn_conv2d *p, int64_t terms) {
    if (p->inference) return WORST * 5 * 54.7 * U;
    bool winograd = !p->exact && p->kh == 3 && p->kw == 3 && p->stride_h == 1 && p->stride_w == 1 &&
                    p->dilation_h == 1 && p->dilation_w == 1 && p->groups == 1;
    return winograd ? WORST * fmax(2 * U, 1.5 * U * sqrt((double)terms)) : sum_bound(terms);
}

static cnn_conv2d convolution(int64_t n, int64_t h, int64_t w, int64_t c, int64_t k, int64_t kernel, int64_t stride,
                              int64_t pad, int64_t dilation, int64_t groups) {
    int64_t reach = (kernel - 1) * dilation + 1;
    return (cnn_conv2d){n,
                        h,
                        w,
                        c,
                        k,
                        kernel,
                        kernel,
                        stride,
                        stride,
                        pad,
                        pad,
                        pad,
                        pad,
                        dilation,
                        dilation,
                        groups,
                        (h + 2 * pad - reach) / stride + 1,
                        (w + 2 * pad - reach) / stride + 1,
                        0,
                        0};
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
        if (taps[i] > 3) expect("which of four is the largest", number, false);
    compare("pooled convolution", number, y, bound_of(&p, p.c / p.groups * p.kh * p.kw + 1));
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
            must("one image",
                 cnn_conv2d_forward(&one, x + xs / p.n * (p.n - 1), weight, weights, &end, alone, workspace));
            expect("the last image alone, to the bit", number,
                   !memcmp(alone, y.by[VECTORS] + ys / p.n * (p.n - 1), (size_t)(ys / p.n) * sizeof *alone));
            free(alone), free(weights);
        }
        compare("convolution", 10 * number + form, y, bound_of(&p, p.c / p.groups * p.kh * p.kw + 1));
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
        compare("convolution's dx", 10 * number + form, dx, bound_of(&p, p.k / p.groups * p.kh * p.kw));
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
    p.inference = 0; /* only forward asks */
    compare("convolution's dweight", number, dweight, bound_of(&p, p.n * p.oh * p.ow));
    compare("convolution's dbias", number, dbias, sum_bound(p.n * p.oh * p.ow));
    free(workspace), free(x), free(weight), free(dy);
}

void check_convolutions(void) {
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
    cnn_conv2d inferred[] = {convolution(3, 7, 7, 40, 48, 3, 1, 1, 1, 1),
                             convolution(2, 13, 14, 33, 70, 3, 1, 1, 1, 1)};
    for (int i = 0; i < 2; i++) {
        inferred[i].inference = 1;
        check_convolution(400 + i, inferred[i]);
    }
    /* TensorFlow's zeros: none above and to the left. */
    cnn_conv2d stem = {2, 16, 14, 3, 32, 3, 3, 2, 2, 0, 1, 0, 1, 1, 1, 1, 8, 7, 0, 0};
    cnn_conv2d rows = {2, 16, 14, 24, 24, 5, 5, 2, 2, 1, 2, 1, 2, 1, 1, 24, 8, 7, 0, 0};
    check_convolution(200, stem), check_convolution(201, rows);
}

void check_larger_convolutions(void) {
    check_convolution(300, convolution(2, 44, 40, 20, 24, 3, 1, 1, 1, 1));
    check_convolution(301, convolution(7, 8, 8, 130, 240, 3, 1, 1, 1, 1));
    check_convolution(302, convolution(8, 24, 30, 19, 19, 3, 1, 1, 1, 19));
    cnn_conv2d inferred = convolution(9, 28, 28, 32, 64, 3, 1, 1, 1, 1);
    inferred.inference = 1;
    check_convolution(303, inferred);
}
