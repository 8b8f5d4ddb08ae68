/* Inference in whole numbers, whose results are the same to the bit; a part of against_reference.c. */
#include "against_reference.h"

#include "cnn_bf16.h"
#include "cnn_int8.h"

static uint8_t *bytes(int64_t count) {
    float *a = filled(count, 0, 256);
    uint8_t *b = malloc((size_t)count);
    for (int64_t i = 0; i < count; i++) b[i] = (uint8_t)a[i];
    free(a);
    return b;
}

/* An output for each side, which begins the same. */
struct bytes_output {
    size_t count;
    uint8_t *by[SIDES];
};

static struct bytes_output bytes_output(int64_t count) {
    struct bytes_output o = {(size_t)count, {bytes(count), malloc((size_t)count)}};
    memcpy(o.by[VECTORS], o.by[REFERENCE], o.count);
    return o;
}

/* Whether both sides wrote the same; frees them. */
static bool same(struct bytes_output o) {
    bool equal = !memcmp(o.by[REFERENCE], o.by[VECTORS], o.count);
    free(o.by[REFERENCE]), free(o.by[VECTORS]);
    return equal;
}

/* ---- convolutions ---- */

static cnn_conv2d int8_shape(int64_t c, int64_t k, int64_t side, int64_t stride, int64_t pad, int64_t groups) {
    enum { N = 2, H = 9, W = 11 };
    return (cnn_conv2d){.n = N,
                        .h = H,
                        .w = W,
                        .c = c,
                        .k = k,
                        .kh = side,
                        .kw = side,
                        .stride_h = stride,
                        .stride_w = stride,
                        .pad_top = pad,
                        .pad_bottom = pad,
                        .pad_left = pad,
                        .pad_right = pad,
                        .dilation_h = 1,
                        .dilation_w = 1,
                        .groups = groups,
                        .oh = (H + 2 * pad - side) / stride + 1,
                        .ow = (W + 2 * pad - side) / stride + 1};
}

/* Bytes, bytes that are added to themselves, and real results; with the words that the processor has, without, or with
 * those that stand in for what it lacks. */
static void check_int8_convolution(int64_t number, cnn_conv2d p, int words) {
    int64_t results = p.n * p.oh * p.ow * p.k, weights = p.k * (p.c / p.groups) * p.kh * p.kw;
    uint8_t *x = bytes(p.n * p.h * p.w * p.c), *weight = bytes(weights);
    float *multiplier = filled(p.k, 0, 2e-3f);
    int32_t *bias = calloc((size_t)p.k, sizeof *bias);
    for (int64_t i = 0; i < p.k; i++) bias[i] = (int32_t)(i * 37 % 1001 - 500);
    for (int64_t i = 0; i < weights; i++) weight[i] = weight[i] == 128 ? 127 : weight[i];
    struct bytes_output plain = bytes_output(results), added = bytes_output(results);
    struct output real = output(results);
    expect("int8 sizes", number, cnn_int8_conv2d_fits(&p) == 1);
    for (int side = 0; side < SIDES; side++) {
        use(side);
        must("words", cnn_words_set(words));
        int64_t size = (cnn_int8_conv2d_packed(&p) + 63) / 64 * 64;
        int8_t *packed = aligned_alloc(64, (size_t)size);
        cnn_requantise f = {.bias = bias, .multiplier = multiplier, .zero = 100, .least = 20, .most = 240};
        must("int8 pack", cnn_int8_conv2d_pack(&p, (int8_t *)weight, packed));
        must("int8 forward", cnn_int8_conv2d_forward(&p, x, 31, packed, &f, plain.by[side]));
        f.add = added.by[side], f.add_zero = 77, f.add_multiplier = -3001;
        must("int8 added", cnn_int8_conv2d_forward(&p, x, 31, packed, &f, added.by[side]));
        f.add = NULL, f.real = real.by[side];
        must("int8 real", cnn_int8_conv2d_forward(&p, x, 31, packed, &f, NULL));
        free(packed);
    }
    expect("int8 convolution", number, same(plain));
    expect("int8 convolution, added", number, same(added));
    compare("int8 convolution, real", number, real, 0);
    free(x), free(weight), free(multiplier), free(bias);
}

static void check_int8_convolutions(void) {
    const cnn_conv2d shapes[] = {
        int8_shape(3, 20, 3, 1, 1, 1),   int8_shape(16, 33, 1, 1, 0, 1),  int8_shape(10, 17, 5, 2, 2, 1),
        int8_shape(12, 36, 3, 1, 1, 2),  int8_shape(8, 8, 1, 2, 0, 1),    int8_shape(70, 70, 3, 1, 1, 70),
        int8_shape(70, 70, 3, 2, 1, 70), int8_shape(35, 35, 5, 1, 2, 35), int8_shape(35, 35, 5, 2, 2, 35),
        int8_shape(5, 5, 7, 3, 3, 5),    int8_shape(33, 40, 1, 1, 0, 1),  int8_shape(48, 18, 3, 2, 1, 2)};
    use(VECTORS);
    int words = cnn_words_active();
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        check_int8_convolution((int64_t)i, shapes[i], words);
        if (words) check_int8_convolution((int64_t)i, shapes[i], 0);
        check_int8_convolution((int64_t)i, shapes[i], CNN_WORD_AVX_VNNI_PLAIN);
        check_int8_convolution((int64_t)i, shapes[i], CNN_WORD_AMX_PLAIN);
    }
    must("words", cnn_words_set(words));
    use(VECTORS);
    expect("words", words, cnn_words_active() == words);
}

/* ---- the rest ---- */

static void check_int8_arrays(int64_t count) {
    float *x = filled(count, -3, 3);
    uint8_t *a = bytes(count), *b = bytes(count), *table = bytes(256);
    const cnn_int8_sum sum = {10, 5000, 200, -3333, 90, 5, 250};
    struct bytes_output quantised = bytes_output(count), added = bytes_output(count), taken = bytes_output(2 * count);
    struct output back = output(count);
    if (count > 3) x[0] = INFINITY, x[1] = NAN, x[2] = -INFINITY, x[3] = 1e30f;
    for (int side = 0; side < SIDES; side++) {
        use(side);
        must("quantise", cnn_int8_quantise(count, 50, 120, x, quantised.by[side]));
        must("dequantise", cnn_int8_dequantise(count, 0.3f, 7, a, back.by[side]));
        must("int8 sum", cnn_int8_add(count, &sum, a, b, added.by[side]));
        must("columns", cnn_int8_columns(count, 1, table, a, 1, taken.by[side], 2));
    }
    expect("quantise", count, same(quantised));
    expect("int8 sum", count, same(added));
    expect("columns", count, same(taken));
    compare("dequantise", count, back, 0);
    free(x), free(a), free(b), free(table);
}

static void check_int8_pooling(int64_t c) {
    enum { N = 2, H = 7, W = 9 };
    uint8_t *x = bytes(N * H * W * c);
    const cnn_pool p = {N, H, W, c, 4, 5, 3, 3, 2, 2, 1, 1, 1, 1};
    struct bytes_output most = bytes_output(N * 4 * 5 * c), mean = bytes_output(N * 4 * 5 * c);
    struct bytes_output share = bytes_output(N * 3 * 2 * c), order = bytes_output(N * H * W * c);
    for (int side = 0; side < SIDES; side++) {
        use(side);
        must("int8 max", cnn_int8_max_pool(&p, x, most.by[side]));
        must("int8 mean", cnn_int8_average_pool(&p, 1, 1.3f, 90, 100, x, mean.by[side]));
        must("int8 shares", cnn_int8_adaptive_average_pool(N, H, W, c, 3, 2, 0.8f, 90, 100, x, share.by[side]));
        must("int8 order", cnn_int8_flatten(N, H * W, c, x, order.by[side]));
    }
    expect("int8 max", c, same(most));
    expect("int8 mean", c, same(mean));
    expect("int8 shares", c, same(share));
    expect("int8 order", c, same(order));
    free(x);
}

void check_int8(void) {
    check_int8_convolutions();
    for (int64_t count = 1; count < 200; count += 33) check_int8_arrays(count);
    check_int8_pooling(3), check_int8_pooling(32);
}

void check_larger_int8(void) {
    cnn_conv2d dense = int8_shape(64, 80, 3, 1, 1, 1), depthwise = int8_shape(200, 200, 3, 1, 1, 200);
    dense.n = depthwise.n = 20;
    use(VECTORS);
    int words = cnn_words_active();
    check_int8_convolution(100, dense, words), check_int8_convolution(101, depthwise, words);
    check_int8_convolution(102, dense, CNN_WORD_AMX_PLAIN);
    check_int8_arrays(200000);
    must("words", cnn_words_set(words));
}
