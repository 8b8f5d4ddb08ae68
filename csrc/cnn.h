/* THE CONTRACT between the C kernels and Python. This one file is compiled by the C compiler and read by
 * cffi's cdef, so it holds no line that begins with '#'. Read internal.h next for how an operation is built,
 * cnncli/kernels/ for the Python side of each prototype.
 *
 * Conventions that every prototype keeps:
 *   - activations are float32, NHWC, contiguous; n h w c are images, rows, columns, channels;
 *   - convolution weights are OIHW, dense weights out x in, as in the model file;
 *   - pointers never overlap unless the prototype says so; outputs are overwritten, not added to;
 *   - results do not depend on the number of threads;
 *   - the return value is a cnn_status; nothing is printed, nothing exits. */

typedef enum {
    CNN_OK = 0,
    CNN_INVALID = 1,    /* a size or option that the operation does not take */
    CNN_NO_MEMORY = 2,  /* scratch memory could not be had */
    CNN_NO_ISA = 3      /* the instruction set asked for is unknown, or this CPU lacks it */
} cnn_status;

/* ---- isa.c: which version of each kernel runs ------------------------------------------------------- */

typedef enum {
    CNN_ISA_REFERENCE = 0,  /* plain loops: what the others are tested against */
    CNN_ISA_BASELINE = 1,   /* 128-bit vectors: SSE2 on x86-64, NEON on AArch64 */
    CNN_ISA_AVX2 = 2,       /* AVX2 and FMA */
    CNN_ISA_AVX512 = 3      /* AVX-512 F, BW, DQ, VL */
} cnn_isa;

/* The best ISA of this CPU and operating system. */
int cnn_isa_best(void);
/* The ISA in use; the best one until cnn_isa_set. */
int cnn_isa_active(void);
/* Whether this CPU runs it: 0 or 1. */
int cnn_isa_supported(int isa);
/* CNN_NO_ISA, changing nothing, where this CPU lacks it. */
cnn_status cnn_isa_set(int isa);

/* ---- threads.c: the pool -------------------------------------------------------------------------- */

/* How many threads an operation may use, the caller's included; 1 to 256. Threads start when first needed. */
cnn_status cnn_threads_set(int threads);
int cnn_threads_get(void);

/* ---- pointwise.c: activations -------------------------------------------------------------------- */

typedef enum {
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
