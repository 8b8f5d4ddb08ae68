/* What joins, reorders or thins out activations: addition, a factor, softmax, dropout, copies of channel ranges
 * (Concat) and the reordering of Flatten. Entry points, checks and the plain-loop reference; the vector version is
 * elementwise_tmpl.c, what goes over maps of bfloat16 bf16_elementwise.c. The layers are in cnncli/layers/combine.py, dropout.py, flatten.py and softmax.py. */
#include "elementwise.h"

struct elementwise_kernels {
    void (*softmax)(int64_t c, const float *x, float *y);
    void (*softmax_back)(int64_t c, const float *y, const float *dy, float *dx);
    void (*transpose)(int64_t rows, int64_t columns, const float *from, float *to);
};

/* ---- random bits ---- */

/* A bijection of 64 bits after Steele, Lea and Flood 2014 (SplitMix64's output function). */
static uint64_t mix64(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* ---- the plain-loop reference ---- */

static void add_reference(int64_t count, const void *first, const void *second, void *sum) {
    const float *a = first, *b = second;
    float *out = sum;
    for (int64_t i = 0; i < count; i++) out[i] = a[i] + b[i];
}

static void scale_reference(int64_t count, float factor, const void *from, void *to) {
    const float *x = from;
    float *y = to;
    for (int64_t i = 0; i < count; i++) y[i] = factor * x[i];
}

static void dropout_reference(uint32_t first_key, uint32_t second_key, int32_t threshold, float scale, int64_t count,
                              const void *from, void *to) {
    const float *x = from;
    float *y = to;
    for (int64_t i = 0; i < count; i++) {
        bool kept = (int32_t)(elementwise_bits(first_key, second_key, (uint32_t)i) >> 8) >= threshold;
        y[i] = kept ? x[i] * scale : 0;
    }
}

static void softmax_reference(int64_t c, const float *x, float *y) {
    float top = x[0];
    for (int64_t k = 1; k < c; k++) top = x[k] > top ? x[k] : top;
    double sum = 0;
    for (int64_t k = 0; k < c; k++) sum += y[k] = expf(x[k] - top);
    for (int64_t k = 0; k < c; k++) y[k] = (float)(y[k] / sum);
}

static void softmax_back_reference(int64_t c, const float *y, const float *dy, float *dx) {
    double dot = 0;
    for (int64_t k = 0; k < c; k++) dot += (double)y[k] * dy[k];
    for (int64_t k = 0; k < c; k++) dx[k] = (float)(y[k] * (dy[k] - dot));
}

static void transpose_reference(int64_t rows, int64_t columns, const float *from, float *to) {
    for (int64_t k = 0; k < columns; k++)
        for (int64_t r = 0; r < rows; r++) to[k * rows + r] = from[r * columns + k];
}

#define CNN_TEMPLATE "elementwise_tmpl.c"
#include "foreach_isa.h"

static const struct elementwise_kernels reference = {softmax_reference, softmax_back_reference, transpose_reference};
static const struct elementwise_kernels *const tables[] = CNN_TABLES(elementwise_kernels);
static const struct value_kernels value_reference = {add_reference, scale_reference, dropout_reference};
static const struct value_kernels *const value_tables[] = CNN_TABLES(value_kernels);

static const struct elementwise_kernels *kernels(void) {
    return cnn_use_reference() ? &reference : tables[cnn_table_index()];
}

static const struct value_kernels *values(int storage) {
    if (storage == CNN_BFLOAT16) return cnn_bf16_values();
    return cnn_use_reference() ? &value_reference : value_tables[cnn_table_index()];
}

/* ---- number by number: addition, a factor, dropout ---- */

struct value_work {
    int storage;
    int64_t count;
    const void *x, *other;
    void *y;
    float factor;
    uint64_t key;
    int32_t threshold;
};

static void *part(const struct value_work *work, int64_t chunk, const void *array) {
    return (void *)cnn_bf16_at(array, work->storage, chunk * CNN_PIECE);
}
static int64_t part_count(const struct value_work *work, int64_t chunk) {
    return CNN_MIN(CNN_PIECE, work->count - chunk * CNN_PIECE);
}

static cnn_status run_values(const struct value_work *work, cnn_chunk chunk) {
    return work->count < 0 ? CNN_INVALID : cnn_parallel(chunk, (void *)work, cnn_ceil_div(work->count, CNN_PIECE));
}

static cnn_status add_chunk(void *context, int64_t chunk) {
    const struct value_work *work = context;
    values(work->storage)
        ->add(part_count(work, chunk), part(work, chunk, work->x), part(work, chunk, work->other),
              part(work, chunk, work->y));
    return CNN_OK;
}

cnn_status cnn_add(int64_t count, const float *a, const float *b, float *out) {
    return run_values(&(struct value_work){.count = count, .x = a, .other = b, .y = out}, add_chunk);
}
cnn_status cnn_bf16_add(int64_t count, const uint16_t *a, const uint16_t *b, uint16_t *out) {
    return run_values(&(struct value_work){CNN_BFLOAT16, count, a, b, out, 0, 0, 0}, add_chunk);
}

static cnn_status scale_chunk(void *context, int64_t chunk) {
    const struct value_work *work = context;
    values(work->storage)
        ->scale(part_count(work, chunk), work->factor, part(work, chunk, work->x), part(work, chunk, work->y));
    return CNN_OK;
}

cnn_status cnn_scale(int64_t count, float factor, const float *x, float *y) {
    return run_values(&(struct value_work){.count = count, .factor = factor, .x = x, .y = y}, scale_chunk);
}
cnn_status cnn_bf16_scale(int64_t count, float factor, const uint16_t *x, uint16_t *y) {
    return run_values(&(struct value_work){CNN_BFLOAT16, count, x, NULL, y, factor, 0, 0}, scale_chunk);
}

/* Each piece has keys of its own, so that the counter within it stays small. */
static cnn_status dropout_chunk(void *context, int64_t chunk) {
    const struct value_work *work = context;
    uint64_t key = mix64(work->key + (uint64_t)chunk * 0x9E3779B97F4A7C15u);
    values(work->storage)
        ->dropout((uint32_t)key, (uint32_t)(key >> 32), work->threshold, work->factor, part_count(work, chunk),
                  part(work, chunk, work->x), part(work, chunk, work->y));
    return CNN_OK;
}

static cnn_status dropout(double p, const uint64_t *clock, uint64_t stream, struct value_work work) {
    if (!(p >= 0 && p <= 1)) return CNN_INVALID;
    work.key = mix64(mix64(mix64(clock[0] + 1) ^ clock[1]) ^ stream);
    work.threshold = (int32_t)(p * (1 << 24));
    work.factor = p < 1 ? (float)(1 / (1 - p)) : 0;
    return run_values(&work, dropout_chunk);
}

cnn_status cnn_dropout(double p, const uint64_t *clock, uint64_t stream, int64_t count, const float *x, float *y) {
    return dropout(p, clock, stream, (struct value_work){.count = count, .x = x, .y = y});
}
cnn_status cnn_bf16_dropout(double p, const uint64_t *clock, uint64_t stream, int64_t count, const uint16_t *x,
                            uint16_t *y) {
    return dropout(p, clock, stream, (struct value_work){CNN_BFLOAT16, count, x, NULL, y, 0, 0, 0});
}

/* ---- softmax ---- */

struct softmax_work {
    int64_t rows, c, chunk_rows;
    const float *x, *dy;
    float *out;
};

static cnn_status softmax_chunk(void *context, int64_t chunk) {
    const struct softmax_work *work = context;
    int64_t end = CNN_MIN((chunk + 1) * work->chunk_rows, work->rows), c = work->c;
    for (int64_t row = chunk * work->chunk_rows; row < end; row++) {
        int64_t at = row * c;
        if (work->dy) kernels()->softmax_back(c, work->x + at, work->dy + at, work->out + at);
        else kernels()->softmax(c, work->x + at, work->out + at);
    }
    return CNN_OK;
}

static cnn_status run_softmax(int64_t rows, int64_t c, const float *x, const float *dy, float *out) {
    if (!cnn_sizes_fit(4, 2, (int64_t[]){rows, c})) return CNN_INVALID;
    struct softmax_work work = {rows, c, cnn_ceil_div(CNN_PIECE, c), x, dy, out};
    return cnn_parallel(softmax_chunk, &work, cnn_ceil_div(rows, work.chunk_rows));
}

cnn_status cnn_softmax_forward(int64_t rows, int64_t c, const float *x, float *y) {
    return run_softmax(rows, c, x, NULL, y);
}

cnn_status cnn_softmax_backward(int64_t rows, int64_t c, const float *y, const float *dy, float *dx) {
    return run_softmax(rows, c, y, dy, dx);
}

/* ---- copies: memcpy is the vector version ---- */

struct copy_work {
    int64_t rows, width, from_stride, to_stride, chunk_rows; /* widths and strides in bytes */
    const char *from;
    char *to;
};

static cnn_status copy_chunk(void *context, int64_t chunk) {
    const struct copy_work *work = context;
    int64_t end = CNN_MIN((chunk + 1) * work->chunk_rows, work->rows);
    for (int64_t row = chunk * work->chunk_rows; row < end; row++)
        memcpy(work->to + row * work->to_stride, work->from + row * work->from_stride, (size_t)work->width);
    return CNN_OK;
}

static cnn_status copy_columns(int64_t bytes, int64_t rows, int64_t width, const void *from, int64_t from_stride,
                               void *to, int64_t to_stride) {
    int64_t stride = CNN_MAX(from_stride, to_stride);
    if (!cnn_sizes_fit(4, 2, (int64_t[]){rows, stride}) || width < 1 || width > from_stride || width > to_stride)
        return CNN_INVALID;
    struct copy_work work = {
        rows, width * bytes, from_stride * bytes, to_stride * bytes, cnn_ceil_div(CNN_PIECE, width), from, to};
    return cnn_parallel(copy_chunk, &work, cnn_ceil_div(rows, work.chunk_rows));
}

cnn_status cnn_copy_columns(int64_t rows, int64_t width, const float *from, int64_t from_stride, float *to,
                            int64_t to_stride) {
    return copy_columns(sizeof *from, rows, width, from, from_stride, to, to_stride);
}

cnn_status cnn_bf16_copy_columns(int64_t rows, int64_t width, const uint16_t *from, int64_t from_stride, uint16_t *to,
                                 int64_t to_stride) {
    return copy_columns(sizeof *from, rows, width, from, from_stride, to, to_stride);
}

/* ---- flatten ---- */

struct flatten_work {
    int64_t n, rows, columns, chunk_images;
    int from_kind, to_kind; /* how the two are stored; at most one is bfloat16 */
    const void *from;
    void *to;
};

static void transpose(int64_t rows, int64_t columns, const float *from, float *to) {
    if (rows == 1 || columns == 1) memcpy(to, from, (size_t)(rows * columns) * sizeof(float));
    else kernels()->transpose(rows, columns, from, to);
}

static cnn_status flatten_chunk(void *context, int64_t chunk) {
    const struct flatten_work *work = context;
    int64_t size = work->rows * work->columns, end = CNN_MIN((chunk + 1) * work->chunk_images, work->n);
    bool half_in = work->from_kind == CNN_BFLOAT16, half_out = work->to_kind == CNN_BFLOAT16;
    float *wide = half_in || half_out ? cnn_scratch((size_t)size * sizeof(float)) : NULL; /* an image of bfloat16 */
    if ((half_in || half_out) && !wide) return CNN_NO_MEMORY;
    for (int64_t image = chunk * work->chunk_images; image < end; image++) {
        const void *from = cnn_bf16_at(work->from, work->from_kind, image * size);
        void *to = (void *)cnn_bf16_at(work->to, work->to_kind, image * size);
        if (half_in) cnn_bf16_expand_some(size, from, wide);
        transpose(work->rows, work->columns, half_in ? wide : from, half_out ? wide : to);
        if (half_out) cnn_bf16_round_some(size, wide, to);
    }
    return CNN_OK;
}

/* Each image from rows x columns to columns x rows. */
static cnn_status run_flatten(struct flatten_work work) {
    if (!cnn_sizes_fit(4, 3, (int64_t[]){work.n, work.rows, work.columns})) return CNN_INVALID;
    work.chunk_images = cnn_ceil_div(CNN_PIECE, work.rows * work.columns);
    return cnn_parallel(flatten_chunk, &work, cnn_ceil_div(work.n, work.chunk_images));
}

cnn_status cnn_flatten_forward(int64_t n, int64_t pixels, int64_t c, const float *x, float *y) {
    return run_flatten((struct flatten_work){n, pixels, c, 0, CNN_FLOAT32, CNN_FLOAT32, x, y});
}

cnn_status cnn_flatten_backward(int64_t n, int64_t pixels, int64_t c, const float *dy, float *dx) {
    return run_flatten((struct flatten_work){n, c, pixels, 0, CNN_FLOAT32, CNN_FLOAT32, dy, dx});
}

cnn_status cnn_bf16_flatten_forward(int64_t n, int64_t pixels, int64_t c, const uint16_t *x, float *y) {
    return run_flatten((struct flatten_work){n, pixels, c, 0, CNN_BFLOAT16, CNN_FLOAT32, x, y});
}

cnn_status cnn_bf16_flatten_backward(int64_t n, int64_t pixels, int64_t c, const float *dy, uint16_t *dx) {
    return run_flatten((struct flatten_work){n, c, pixels, 0, CNN_FLOAT32, CNN_BFLOAT16, dy, dx});
}
