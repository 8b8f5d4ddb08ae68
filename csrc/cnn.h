/* THE CONTRACT between the C kernels and Python. This one file is compiled by the C compiler and read by
 * cffi's cdef, so it holds no line that begins with '#'; cnn_bf16.h and cnn_int8.h go on with it. Read internal.h next
 * for how an operation is built, cnncli/kernels/ for the Python side of each prototype.
 *
 * Conventions that every prototype keeps:
 *   - activations are float32, NHWC, contiguous; n h w c are images, rows, columns, channels;
 *   - convolution weights are OIHW, dense weights out x in, as in the model file;
 *   - pointers never overlap unless the prototype says so; outputs are overwritten, not added to;
 *   - results do not depend on the number of threads;
 *   - the return value is a cnn_status; nothing is printed, nothing exits. */

typedef enum {
    CNN_OK = 0,
    CNN_INVALID = 1,   /* a size or option that the operation does not take */
    CNN_NO_MEMORY = 2, /* scratch memory could not be had */
    CNN_NO_ISA = 3     /* the instruction set asked for is unknown, or this CPU lacks it */
} cnn_status;

/* ---- isa.c: which version of each kernel runs ------------------------------------------------------- */

typedef enum {
    CNN_ISA_REFERENCE = 0, /* plain loops: what the others are tested against */
    CNN_ISA_BASELINE = 1,  /* 128-bit vectors: SSE2 on x86-64, NEON on AArch64 */
    CNN_ISA_AVX2 = 2,      /* AVX2 and FMA */
    CNN_ISA_AVX512 = 3     /* AVX-512 F, BW, DQ, VL */
} cnn_isa;

/* The ISA in use; the best one of this CPU and operating system until cnn_isa_set. Whether this CPU runs one: 0 or 1. */
int cnn_isa_active(void);
int cnn_isa_supported(int isa);
/* CNN_NO_ISA, changing nothing, where this CPU lacks it. */
cnn_status cnn_isa_set(int isa);

/* Words beyond the instruction set's own, which some CPUs have: bits. These are AVX-512's. */
typedef enum {
    CNN_WORD_VNNI = 1,      /* vpdpbusd: four products of bytes, added to an int32. Results are the same, but faster */
    CNN_WORD_BF16 = 2,      /* vdpbf16ps: two products of bfloat16, added to a float32; other results than without */
    CNN_WORD_BF16_PLAIN = 4 /* the same bits on AVX-512 without that instruction: slow, for tests */
} cnn_word;                 /* and cnn_tile_word, cnn_int8_word */

/* Those that the active instruction set's kernels use, until cnn_words_set of all that this CPU has. */
int cnn_words_active(void);
/* CNN_NO_ISA, changing nothing, where this CPU lacks one of them. */
cnn_status cnn_words_set(int words);

/* ---- threads.c: the pool -------------------------------------------------------------------------- */

/* How many threads an operation may use, the caller's included; 1 to 256. Threads start when first needed. */
cnn_status cnn_threads_set(int threads);
int cnn_threads_get(void);

/* ---- loss.c: losses with their gradients --------------------------------------------------------- */

/* What outputs are compared with. p_ik is 1 at k = labels_i; or, where `others` and `shares` are given, shares_i there
 * and 1 - shares_i at k = others_i, added where both are one class: images of two in one. They are NULL both or
 * neither; shares are 0 … 1. */
typedef struct {
    int64_t n, classes;
    const int64_t *labels, *others; /* n each */
    const float *shares;            /* n */
} cnn_targets;

/* Softmax cross-entropy, the weighted mean over n images: losses[i] (n doubles) is image i's share of
 *     -sum_i sum_k t_ik log softmax(logits_i)_k / sum_i sum_k p_ik weights[k],
 *     t_ik = (1 - smoothing) weights[k] p_ik + smoothing / classes * weights[k].
 * logits is n x classes, weights has one entry a class, or is NULL for ones. dlogits, of logits' shape, is the
 * gradient of the sum of the losses, or NULL where nobody needs it; it may be logits. Where every image weighs
 * nothing, losses and gradient are 0. CNN_INVALID, with nothing written, where a label is not in 0 … classes-1. */
cnn_status cnn_cross_entropy(const cnn_targets *targets, double smoothing, const float *logits, const float *weights,
                             double *losses, float *dlogits);
/* losses[i] = 1/2 sum_k (p_ik - outputs_ik)^2 / n; otherwise as cnn_cross_entropy. */
cnn_status cnn_squared_error(const cnn_targets *targets, const float *outputs, double *losses, float *doutputs);

/* ---- optim.c: what turns gradients into new parameters --------------------------------------------- */

/* One parameter array with what belongs to it. first and second are the optimiser's own memory of that array, of
 * its size: SGD's momentum (NULL without) and none; Adam's running means of the gradient and of its square. */
typedef struct {
    int64_t count;
    float *parameter;
    const float *gradient;
    float *first, *second;
    double weight_decay;
    double rate; /* its learning rate is so many times the others': 1 for most */
} cnn_tensor;

/* What changes from step to step, read when the operation runs. */
typedef struct {
    double lr;
    double scale; /* every gradient is multiplied by this first: clipping */
    int64_t step; /* the number of this step, from 1; first and second hold zeros before it */
} cnn_hyper;

/* One step of SGD (PyTorch's): g = scale * gradient + weight_decay * p; first = momentum * first + g, the g times
 * (1 - dampening) but for step 1; p -= lr * (nesterov ? g + momentum * first : first), or lr * g without momentum. */
cnn_status cnn_sgd(int64_t tensors, const cnn_tensor *tensor, const cnn_hyper *hyper, double momentum, double dampening,
                   int nesterov);
/* One step of Adam (Kingma and Ba 2015), or with `decoupled` of AdamW (Loshchilov and Hutter 2019): g = scale *
 * gradient, then g += weight_decay * p or, decoupled, p *= 1 - lr * weight_decay; first += (1 - beta1) (g - first);
 * second = beta2 * second + (1 - beta2) g^2; p -= lr / (1 - beta1^step) * first / (sqrt(second / (1 - beta2^step))
 * + eps). */
cnn_status cnn_adam(int64_t tensors, const cnn_tensor *tensor, const cnn_hyper *hyper, double beta1, double beta2,
                    double eps, int decoupled);

/* How many doubles cnn_gradient_norm takes as partial sums; -1 where a count is negative. */
int64_t cnn_gradient_norm_partials(int64_t tensors, const cnn_tensor *tensor);
/* norm[0] = the Euclidean norm of all gradients together, in double throughout: not finite only where one of them
 * is not. */
cnn_status cnn_gradient_norm(int64_t tensors, const cnn_tensor *tensor, double *partials, double *norm);

/* ---- conv.c: convolutions, and dense layers as their 1 x 1 case ------------------------------------ */

typedef struct {
    int64_t n, h, w, c; /* x: (n, h, w, c) */
    int64_t k, kh, kw;  /* weight: (k, c / groups, kh, kw) */
    int64_t stride_h, stride_w;
    int64_t pad_top, pad_bottom, pad_left, pad_right; /* zeros around x */
    int64_t dilation_h, dilation_w;                   /* from one tap to the next */
    int64_t groups;                                   /* divides c and k */
    int64_t oh, ow;                                   /* y: (n, oh, ow, k); oh and ow follow from the above */
    int64_t exact, inference; /* every product as written, never by Winograd; forward may round more than in training */
} cnn_conv2d;

typedef enum { CNN_FORWARD = 0, CNN_BACKWARD_DATA = 1, CNN_BACKWARD_WEIGHTS = 2 } cnn_pass;

/* What becomes of a result before it is stored, while it is in registers. Without a gate the result is
 * f(sum + bias + add). With one it is (sum + bias + add) * f', a gradient on its way back through f. */
typedef struct {
    const float *bias; /* one a channel of the result, or NULL */
    const float *add;  /* shaped as the result, or NULL; may be the result's own array */
    int activation;    /* f: CNN_IDENTITY, CNN_RELU or CNN_RELU6 */
    const float *gate; /* shaped as the result, f's output where it went forward: f' is 1 where it is above 0 and, for
                         * RELU6, below 6, and 0 elsewhere. NULL: none */
    int pooled;        /* 1: of every 2 x 2 sums, without overlap, only f(the largest + bias) is stored, as max pooling
                         * would: the result is (n, oh / 2, ow / 2, k). Forward only, without add and gate, and where
                         * cnn_conv2d_pools says so */
    uint8_t *taps;     /* then: shaped as the result, receives which was the largest, as in cnn_max_pool_forward; or
                         * NULL */
} cnn_finish;

/* How many bytes of workspace a pass needs, on any instruction set; -1 where the convolution is CNN_INVALID. The
 * passes may share one workspace, 64-byte aligned, whose contents need not be kept. */
int64_t cnn_conv2d_workspace(const cnn_conv2d *p, int pass);
/* How many bytes the weights take as CNN_FORWARD or CNN_BACKWARD_DATA reads them, on any instruction set and for any
 * n, or 0 where it reads them as they are; -1 where the convolution is CNN_INVALID. */
int64_t cnn_conv2d_packed(const cnn_conv2d *p, int pass);
int cnn_conv2d_pools(const cnn_conv2d *p); /* whether forward takes a finish that is pooled: 1 or 0, for any n */
/* Lays the weights out for that pass and the active instruction set: once after each change of them. */
cnn_status cnn_conv2d_pack(const cnn_conv2d *p, int pass, const float *weight, float *packed);
/* y = finish(x * weight) (cross-correlation); finish may be NULL. packed is what cnn_conv2d_pack made of weight. One
 * image's y is the same bits in any batch. */
cnn_status cnn_conv2d_forward(const cnn_conv2d *p, const float *x, const float *weight, const float *packed,
                              const cnn_finish *finish, float *y, void *workspace);
cnn_status cnn_conv2d_backward_data(const cnn_conv2d *p, const float *dy, const float *weight, const float *packed,
                                    const cnn_finish *finish, float *dx, void *workspace);
/* dbias (k) may be NULL. */
cnn_status cnn_conv2d_backward_weights(const cnn_conv2d *p, const float *x, const float *dy, float *dweight,
                                       float *dbias, void *workspace);

/* ---- peak.c: what the benchmarks compare with ------------------------------------------------------ */

/* Runs multiply-adds of the active instruction set, nothing else, on every thread of the pool; *flops gets how many
 * floating-point operations that were. rounds of about a microsecond each, cut into chunks for the threads. */
cnn_status cnn_peak(int64_t rounds, double *flops);

/* ---- pointwise.c: activations -------------------------------------------------------------------- */

typedef enum {
    CNN_IDENTITY = -1, /* where f is fused into another operation: none */
    CNN_RELU = 0,
    CNN_RELU6 = 1,
    CNN_LEAKY_RELU = 2,
    CNN_SILU = 3,
    CNN_SIGMOID = 4,
    CNN_TANH = 5
} cnn_activation;

/* y[i] = f(x[i]) for i < count. slope is LeakyReLU's, otherwise unused. y may be x. */
cnn_status cnn_activation_forward(int activation, float slope, int64_t count, const float *x, float *y);
/* dx[i] = f'(x[i]) dy[i]. Every f but SiLU reads y = f(x) only; SiLU reads x only; what is not read may be
 * NULL. dx may be dy. */
cnn_status cnn_activation_backward(int activation, float slope, int64_t count, const float *x, const float *y,
                                   const float *dy, float *dx);

/* ---- image.c: stored images to a batch ------------------------------------------------------------- */

/* Images of a batch: n of those that are stored, and where they go while they are copied. c is 16 at most. */
typedef struct {
    int64_t stored, n, h, w, c;
    const uint8_t *x;           /* (stored, h, w, c) */
    const int64_t *rows;        /* which of them, n; NULL: the first n, in order */
    const int64_t *moves;       /* (n, 3): a shift down and one right, |dy| <= h and |dx| <= w, and whether an image is
                                 * flipped left to right: row, column is x[row + dy][column' + dx], mirrored at the
                                 * borders without repeating them, column' = w - 1 - column if flipped. NULL: none */
    const float *scale, *shift; /* c each: of bytes, to normalise them */
} cnn_images;

/* y[i] = x[rows[i]] * scale[channel] + shift[channel], moved: uint8 to float32 (n, h, w, c). */
cnn_status cnn_image_batch(const cnn_images *p, float *y);

/* counts[channel][value] += how often each value 0 … 255 stands in x, uint8 (pixels, c); counts is (c, 256). Keeps to
 * the calling thread: the threads that decode images call it, each with counts of its own. */
cnn_status cnn_image_histogram(int64_t pixels, int64_t c, const uint8_t *x, int64_t *counts);

/* ---- augment.c: what training does to images beyond whole shifts and flips --------------------------- */

/* What an image's list may hold; each has a strength. Those of geometry become one map, mirrored at the borders and
 * interpolated once; then the others follow in their order, on values 0 … 255. In grey, SATURATION and HUE do
 * nothing. */
typedef enum {
    CNN_NO_OPERATION = 0,
    CNN_ROTATE = 1,        /* degrees, against the clock, about the middle */
    CNN_SCALE = 2,         /* times e^strength about the middle */
    CNN_SHEAR_X = 3,       /* each row slides by its distance from the middle times the tangent of so many degrees */
    CNN_SHEAR_Y = 4,       /* each column likewise */
    CNN_TRANSLATE_X = 5,   /* to the left, in pixels */
    CNN_TRANSLATE_Y = 6,   /* upward, in pixels */
    CNN_BRIGHTNESS = 7,    /* times strength */
    CNN_CONTRAST = 8,      /* the distance from the image's mean grey times strength */
    CNN_SATURATION = 9,    /* the distance from the pixel's own grey times strength */
    CNN_HUE = 10,          /* colours turned about the axis of greys by this share of the full circle */
    CNN_POSTERISE = 11,    /* so many bits, 1 … 8, are kept */
    CNN_SOLARISE = 12,     /* values of at least strength are turned into their negatives */
    CNN_AUTOCONTRAST = 13, /* each channel's darkest becomes 0, its brightest 255 */
    CNN_EQUALISE = 14,     /* each channel's values are spread evenly */
    CNN_SHARPNESS = 15     /* the distance from the mean of the pixel's surroundings times strength */
} cnn_operation;

/* An image's list each: operations and strengths are (n, steps), at most 32 steps. */
typedef struct {
    int64_t steps;
    const int64_t *operations;
    const double *strengths;
} cnn_lists;

/* As cnn_image_batch, and each image goes through its own list between the shift and the flip. Neighbouring linear
 * operations of colour become one, and only their result is brought into 0 … 255. c is 1 or 3. CNN_INVALID where a
 * strength is out of reason: scales beyond 5, shears beyond 80, posterising to other than 1 … 8 bits, others beyond
 * 1e5, or geometry whose whole enlarges distances 500 times. */
cnn_status cnn_augment_batch(const cnn_images *p, const cnn_lists *lists, float *y);

/* ---- mix.c: what training does to a batch that is normalised ------------------------------------------ */

typedef struct {
    int64_t n, h, w, c;         /* of the batch */
    int64_t boxes;              /* of each image */
    const int64_t *box;         /* (n, boxes, 4): top, left, height, width */
    const uint64_t *noise;      /* (n, boxes); 0: the mean */
    const float *scale, *shift; /* c each: how bytes are normalised */
} cnn_erasure;

/* Overwrites boxes of the batch y: with 0, the mean, where noise is 0, else with random bytes, normalised, that depend
 * on noise and the place alone. */
cnn_status cnn_erase_batch(const cnn_erasure *p, float *y);

typedef struct {
    int64_t n, h, w, c;
    const int64_t *partners; /* n: the image that each is mixed with */
    const float *shares;     /* n: of the image itself */
    const int64_t *boxes;    /* (n, 4): top, left, height, width; or no height */
} cnn_mixture;

/* y[i] = shares[i] x[i] + (1 - shares[i]) x[partners[i]] where boxes[i] has no height; else x[i] with that box of
 * x[partners[i]]. */
cnn_status cnn_mix_batch(const cnn_mixture *p, const float *x, float *y);

/* ---- norm.c: batch normalisation (Ioffe and Szegedy 2015) over rows = n * h * w of c channels --------- */

/* What is normalised, and with what. */
typedef struct {
    int64_t rows, c;
    const float *x;             /* (rows, c) */
    const float *weight, *bias; /* c each; NULL for 1 and 0 */
    int activation;             /* f: CNN_IDENTITY, CNN_RELU or CNN_RELU6 */
    double *statistics;         /* (2, c): the mean and 1 / sqrt(variance + eps), from forward to backward */
    void *workspace;            /* cnn_batch_norm_workspace bytes */
} cnn_norm;

/* The bytes of working memory that each of the four below needs; -1 where the sizes are out of range. */
int64_t cnn_batch_norm_workspace(int64_t rows, int64_t c);
/* y = f((x - mean) / sqrt(variance + eps) * weight + bias + add) with the batch's own mean and (biased) variance;
 * rows >= 2. add, of x's shape, may be NULL, and y may be add. running = (1 - momentum) * running + momentum * batch's,
 * the variance unbiased; both may be NULL. Writes statistics. */
cnn_status cnn_batch_norm_train(const cnn_norm *p, double eps, double momentum, const float *add, float *y,
                                float *running_mean, float *running_var);
/* The y of cnn_batch_norm_train once more, to the bit, from its x and its statistics; nothing was added. */
cnn_status cnn_batch_norm_again(const cnn_norm *p, float *y);
/* The same with a mean and variance that are given. y may be x. Writes statistics, unless NULL. */
cnn_status cnn_batch_norm_infer(const cnn_norm *p, double eps, const float *mean, const float *var, const float *add,
                                float *y);
/* The gradients of cnn_batch_norm_train or, with fixed, of cnn_batch_norm_infer, whose statistics do not follow x:
 * dadd = dy * f', and the others from that. dx, dadd, dweight and dbias may each be NULL where not wanted. dadd may be
 * dy; without dadd dx may be dy. Where nothing was added y may be NULL: f' then follows from x, which is cheaper. */
cnn_status cnn_batch_norm_backward(const cnn_norm *p, const float *y, const float *dy, int fixed, float *dx,
                                   float *dadd, float *dweight, float *dbias);

/* ---- pool.c: pooling over windows of kh x kw -------------------------------------------------------- */

/* From (n, h, w, c) to (n, oh, ow, c): strides sh sw, zero padding ph pw above and to the left (what lies beyond
 * the image on the other sides is padding too), dilations dh dw, which only max pooling takes. Every window must
 * hold a pixel of the image. */
typedef struct {
    int64_t n, h, w, c, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw;
} cnn_pool;

/* The bytes that max pooling keeps per output value: 1, 2, or 0 where the window has more than 65535 taps. */
int cnn_max_pool_tap_bytes(int64_t kh, int64_t kw);
/* y = f(the window's maximum), f, `activation`, being CNN_IDENTITY, CNN_RELU or CNN_RELU6. taps (n, oh, ow, c), uint8
 * or uint16, receives the maximum's place i * kw + j in its window, the first of equals; NULL where there is no
 * backward to come. NaN beats everything. */
cnn_status cnn_max_pool_forward(const cnn_pool *p, int activation, const float *x, float *y, void *taps);
/* dx gets dy * f' where the maximum was; y may be NULL with CNN_IDENTITY. */
cnn_status cnn_max_pool_backward(const cnn_pool *p, int activation, const float *y, const void *taps, const float *dy,
                                 float *dx);
/* The mean of the window; count_include_pad says whether padding counts in the divisor. */
cnn_status cnn_average_pool_forward(const cnn_pool *p, int count_include_pad, const float *x, float *y);
cnn_status cnn_average_pool_backward(const cnn_pool *p, int count_include_pad, const float *dy, float *dx);
/* y = (f * sum x^norm)^(1 / norm) without padding, f = kh kw / (the window's size inside the image). The gradient
 * is 0 where y is. */
cnn_status cnn_lp_pool_forward(const cnn_pool *p, float norm, const float *x, float *y);
cnn_status cnn_lp_pool_backward(const cnn_pool *p, float norm, const float *x, const float *y, const float *dy,
                                float *dx);

/* ---- pool_adaptive.c: means of oh x ow windows that share an image out -------------------------------- */

/* (n, h, w, c) to (n, oh, ow, c) and back; window i of oh covers rows floor(i h / oh) … ceil((i + 1) h / oh) - 1. */
cnn_status cnn_adaptive_average_pool_forward(int64_t n, int64_t h, int64_t w, int64_t c, int64_t oh, int64_t ow,
                                             const float *x, float *y);
cnn_status cnn_adaptive_average_pool_backward(int64_t n, int64_t h, int64_t w, int64_t c, int64_t oh, int64_t ow,
                                              const float *dy, float *dx);

/* ---- elementwise.c: what joins, reorders or thins out activations ------------------------------------- */

/* out[i] = a[i] + b[i]; out may be a or b. */
cnn_status cnn_add(int64_t count, const float *a, const float *b, float *out);
/* y[i] = factor * x[i]; y may be x. */
cnn_status cnn_scale(int64_t count, float factor, const float *x, float *y);
/* y[i] = x[i] / (1 - p) with probability 1 - p, else 0. Which i are kept depends on clock (seed, step), stream and i
 * alone, so the same call on dy is its backward. y may be x. */
cnn_status cnn_dropout(double p, const uint64_t *clock, uint64_t stream, int64_t count, const float *x, float *y);
/* Each row's e^x / sum e^x over c values. y may be x; dx may be dy. */
cnn_status cnn_softmax_forward(int64_t rows, int64_t c, const float *x, float *y);
cnn_status cnn_softmax_backward(int64_t rows, int64_t c, const float *y, const float *dy, float *dx);
/* Copies `width` floats of each row; rows start every from_stride and to_stride floats. */
cnn_status cnn_copy_columns(int64_t rows, int64_t width, const float *from, int64_t from_stride, float *to,
                            int64_t to_stride);
/* Images (pixels, c) to PyTorch's order (c, pixels), and back. */
cnn_status cnn_flatten_forward(int64_t n, int64_t pixels, int64_t c, const float *x, float *y);
cnn_status cnn_flatten_backward(int64_t n, int64_t pixels, int64_t c, const float *dy, float *dx);
