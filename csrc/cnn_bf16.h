/* THE CONTRACT for activations of bfloat16, as cnn.h is for those of float32, whose conventions hold here, too. Compiled
 * after cnn.h and read by cffi, so it holds no line that begins with '#'.
 *
 * A bfloat16 is the upper half of a float32, rounded to the nearest and of two to the even one. Activations and their
 * gradients are stored so. Sums and statistics are float32, and so are weights and their gradients. What the CPU has
 * for it (CNN_WORD_BF16) changes results: they are the same on any number of threads, but not on every CPU. */

/* Words (cnn.h) for tiles: registers of 16 rows of 64 bytes that are multiplied by one another. */
typedef enum {
    CNN_WORD_AMX_BF16 = 8,  /* AMX's, where Linux lets this process use them; other results than without */
    CNN_WORD_AMX_PLAIN = 16 /* the same bits on any CPU and instruction set but the reference: slow, for tests; of
                             * bytes, too (cnn_int8.h) */
} cnn_tile_word;

/* ---- bf16.c: from one to the other, and what is done number by number ------------------------------ */

typedef enum { CNN_FLOAT32 = 0, CNN_BFLOAT16 = 1 } cnn_storage;

/* y[i] = x[i]. */
cnn_status cnn_bf16_expand(int64_t count, const uint16_t *x, float *y);
/* y[i] = x[i] rounded; NaN stays NaN, denormals become 0. */
cnn_status cnn_bf16_round(int64_t count, const float *x, uint16_t *y);

/* ---- bf16_conv.c: convolutions --------------------------------------------------------------------- */

typedef struct {
    cnn_conv2d sizes;
    int x, y; /* how x and dx are stored, and y and dy: a cnn_storage; one of them is CNN_BFLOAT16 */
} cnn_bf16_conv2d;

/* As cnn_finish; add and gate are stored as the result is. */
typedef struct {
    const float *bias;
    const void *add;
    int activation;
    const void *gate;
    int pooled;
    uint8_t *taps;
} cnn_bf16_finish;

/* As the functions of conv.c that are named so. Bytes of workspace and packed weights are for the active instruction set
 * and words: these must be the same when a pass runs. Weights, and an x of float32, may be rounded to bfloat16 before they
 * are multiplied. */
int64_t cnn_bf16_conv2d_workspace(const cnn_bf16_conv2d *p, int pass);
int64_t cnn_bf16_conv2d_packed(const cnn_bf16_conv2d *p, int pass);
int cnn_bf16_conv2d_pools(const cnn_bf16_conv2d *p);
cnn_status cnn_bf16_conv2d_pack(const cnn_bf16_conv2d *p, int pass, const float *weight, void *packed);
cnn_status cnn_bf16_conv2d_forward(const cnn_bf16_conv2d *p, const void *x, const float *weight, const void *packed,
                                   const cnn_bf16_finish *finish, void *y, void *workspace);
cnn_status cnn_bf16_conv2d_backward_data(const cnn_bf16_conv2d *p, const void *dy, const float *weight,
                                         const void *packed, const cnn_bf16_finish *finish, void *dx, void *workspace);
cnn_status cnn_bf16_conv2d_backward_weights(const cnn_bf16_conv2d *p, const void *x, const void *dy, float *dweight,
                                            float *dbias, void *workspace);

/* ---- norm.c: batch normalisation ------------------------------------------------------------------- */

/* As the functions of norm.c that are named so, with maps and their gradients of bfloat16: x, add, y, dy, dx and dadd.
 * p->x is not read. The workspace is cnn_batch_norm_workspace's. Statistics are those of x as it is stored; the slope of
 * an activation that backward finds from x is that of the number which forward rounded. */
cnn_status cnn_bf16_batch_norm_train(const cnn_norm *p, double eps, double momentum, const uint16_t *x,
                                     const uint16_t *add, uint16_t *y, float *running_mean, float *running_var);
cnn_status cnn_bf16_batch_norm_again(const cnn_norm *p, const uint16_t *x, uint16_t *y);
cnn_status cnn_bf16_batch_norm_infer(const cnn_norm *p, double eps, const float *mean, const float *var,
                                     const uint16_t *x, const uint16_t *add, uint16_t *y);
cnn_status cnn_bf16_batch_norm_backward(const cnn_norm *p, const uint16_t *x, const uint16_t *y, const uint16_t *dy,
                                        int fixed, uint16_t *dx, uint16_t *dadd, float *dweight, float *dbias);

/* ---- pointwise.c and elementwise.c: what goes number by number, and copies -------------------------- */

/* As the functions that are named so, of maps of bfloat16: each result is computed in float32 and rounded once. */
cnn_status cnn_bf16_activation_forward(int activation, float slope, int64_t count, const uint16_t *x, uint16_t *y);
cnn_status cnn_bf16_activation_backward(int activation, float slope, int64_t count, const uint16_t *x,
                                        const uint16_t *y, const uint16_t *dy, uint16_t *dx);
cnn_status cnn_bf16_add(int64_t count, const uint16_t *a, const uint16_t *b, uint16_t *out);
cnn_status cnn_bf16_scale(int64_t count, float factor, const uint16_t *x, uint16_t *y);
cnn_status cnn_bf16_dropout(double p, const uint64_t *clock, uint64_t stream, int64_t count, const uint16_t *x,
                            uint16_t *y);
cnn_status cnn_bf16_copy_columns(int64_t rows, int64_t width, const uint16_t *from, int64_t from_stride, uint16_t *to,
                                 int64_t to_stride);
/* From maps of bfloat16 to features of float32, and of gradients back. */
cnn_status cnn_bf16_flatten_forward(int64_t n, int64_t pixels, int64_t c, const uint16_t *x, float *y);
cnn_status cnn_bf16_flatten_backward(int64_t n, int64_t pixels, int64_t c, const float *dy, uint16_t *dx);

/* ---- bf16_pool.c: pooling --------------------------------------------------------------------------- */

/* As the functions that are named so, of maps of bfloat16. The result of averages, and its gradient, may be float32,
 * which the features that a whole map becomes are: y_storage and dy_storage, each a cnn_storage. */
cnn_status cnn_bf16_max_pool_forward(const cnn_pool *p, int activation, const uint16_t *x, uint16_t *y, void *taps);
cnn_status cnn_bf16_max_pool_backward(const cnn_pool *p, int activation, const uint16_t *y, const void *taps,
                                      const uint16_t *dy, uint16_t *dx);
cnn_status cnn_bf16_average_pool_forward(const cnn_pool *p, int count_include_pad, const uint16_t *x, int y_storage,
                                         void *y);
cnn_status cnn_bf16_average_pool_backward(const cnn_pool *p, int count_include_pad, int dy_storage, const void *dy,
                                          uint16_t *dx);
cnn_status cnn_bf16_adaptive_average_pool_forward(int64_t n, int64_t h, int64_t w, int64_t c, int64_t oh, int64_t ow,
                                                  const uint16_t *x, uint16_t *y);
cnn_status cnn_bf16_adaptive_average_pool_backward(int64_t n, int64_t h, int64_t w, int64_t c, int64_t oh, int64_t ow,
                                                   const uint16_t *dy, uint16_t *dx);
