/* What joins, reorders or thins out activations: addition, a factor, softmax, dropout, copies of channel ranges
 * (Concat) and the reordering of Flatten. Entry points, checks and the plain-loop reference; the vector version is
 * elementwise_tmpl.c. The layers are in cnncli/layers/combine.py, dropout.py, flatten.py and softmax.py. */
#include "internal.h"

struct elementwise_kernels {
    void (*add)(int64_t count, const float *a, const float *b, float *out);
    void (*scale)(int64_t count, float factor, const float *x, float *y);
    void (*dropout)(uint32_t first_key, uint32_t second_key, int32_t threshold, float scale, int64_t count,
                    const float *x, float *y);
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

/* Random bits for element i of a piece: MurmurHash3's finaliser (Appleby 2011) twice, with a key before each. The
 * vector version computes the same in every lane. */
static uint32_t scramble(uint32_t z) {
    z = (z ^ (z >> 16)) * 0x85EBCA6Bu;
    z = (z ^ (z >> 13)) * 0xC2B2AE35u;
    return z ^ (z >> 16);
}
static uint32_t random_bits(uint32_t first_key, uint32_t second_key, uint32_t i) {
    return scramble(scramble(i + first_key) ^ second_key);
}

/* ---- the plain-loop reference ---- */

static void add_reference(int64_t count, const float *a, const float *b, float *out) {
    for (int64_t i = 0; i < count; i++) out[i] = a[i] + b[i];
}

static void scale_reference(int64_t count, float factor, const float *x, float *y) {
    for (int64_t i = 0; i < count; i++) y[i] = factor * x[i];
}

static void dropout_reference(uint32_t first_key, uint32_t second_key, int32_t threshold, float scale, int64_t count,
                              const float *x, float *y) {
    for (int64_t i = 0; i < count; i++) {
        bool kept = (int32_t)(random_bits(first_key, second_key, (uint32_t)i) >> 8) >= threshold;
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

static const struct elementwise_kernels reference = {add_reference,     scale_reference,        dropout_reference,
                                                     softmax_reference, softmax_back_reference, transpose_reference};
static const struct elementwise_kernels *const tables[] = CNN_TABLES(elementwise_kernels);

static const struct elementwise_kernels *kernels(void) {
    return cnn_use_reference() ? &reference : tables[cnn_table_index()];
}

/* ---- addition ---- */

struct add_work {
    int64_t count;
    const float *a, *b;
    float *out;
};

static cnn_status add_chunk(void *context, int64_t chunk) {
    const struct add_work *work = context;
    int64_t start = chunk * CNN_PIECE;
    kernels()->add(CNN_MIN(CNN_PIECE, work->count - start), work->a + start, work->b + start, work->out + start);
    return CNN_OK;
}

cnn_status cnn_add(int64_t count, const float *a, const float *b, float *out) {
    if (count < 0) return CNN_INVALID;
    struct add_work work = {count, a, b, out};
    return cnn_parallel(add_chunk, &work, cnn_ceil_div(count, CNN_PIECE));
}

/* ---- a factor ---- */

struct scale_work {
    int64_t count;
    float factor;
    const float *x;
    float *y;
};

static cnn_status scale_chunk(void *context, int64_t chunk) {
    const struct scale_work *work = context;
    int64_t start = chunk * CNN_PIECE;
    kernels()->scale(CNN_MIN(CNN_PIECE, work->count - start), work->factor, work->x + start, work->y + start);
    return CNN_OK;
}

cnn_status cnn_scale(int64_t count, float factor, const float *x, float *y) {
    if (count < 0) return CNN_INVALID;
    struct scale_work work = {count, factor, x, y};
    return cnn_parallel(scale_chunk, &work, cnn_ceil_div(count, CNN_PIECE));
}

/* ---- dropout ---- */

struct dropout_work {
    int64_t count;
    const float *x;
    float *y;
    uint64_t key;
    int32_t threshold;
    float scale;
};

/* Each piece has keys of its own, so that the counter within it stays small. */
static cnn_status dropout_chunk(void *context, int64_t chunk) {
    const struct dropout_work *work = context;
    int64_t start = chunk * CNN_PIECE, count = CNN_MIN(CNN_PIECE, work->count - start);
    uint64_t key = mix64(work->key + (uint64_t)chunk * 0x9E3779B97F4A7C15u);
    kernels()->dropout((uint32_t)key, (uint32_t)(key >> 32), work->threshold, work->scale, count, work->x + start,
                       work->y + start);
    return CNN_OK;
}

cnn_status cnn_dropout(double p, const uint64_t *clock, uint64_t stream, int64_t count, const float *x, float *y) {
    if (!(p >= 0 && p <= 1) || count < 0) return CNN_INVALID;
    uint64_t key = mix64(mix64(mix64(clock[0] + 1) ^ clock[1]) ^ stream);
    struct dropout_work work = {count, x, y, key, (int32_t)(p * (1 << 24)), p < 1 ? (float)(1 / (1 - p)) : 0};
    return cnn_parallel(dropout_chunk, &work, cnn_ceil_div(count, CNN_PIECE));
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
    int64_t rows, width, from_stride, to_stride, chunk_rows;
    const float *from;
    float *to;
};

static cnn_status copy_chunk(void *context, int64_t chunk) {
    const struct copy_work *work = context;
    int64_t end = CNN_MIN((chunk + 1) * work->chunk_rows, work->rows);
    for (int64_t row = chunk * work->chunk_rows; row < end; row++)
        memcpy(work->to + row * work->to_stride, work->from + row * work->from_stride,
               (size_t)work->width * sizeof(float));
    return CNN_OK;
}

cnn_status cnn_copy_columns(int64_t rows, int64_t width, const float *from, int64_t from_stride, float *to,
                            int64_t to_stride) {
    int64_t stride = CNN_MAX(from_stride, to_stride);
    if (!cnn_sizes_fit(4, 2, (int64_t[]){rows, stride}) || width < 1 || width > from_stride || width > to_stride)
        return CNN_INVALID;
    struct copy_work work = {rows, width, from_stride, to_stride, cnn_ceil_div(CNN_PIECE, width), from, to};
    return cnn_parallel(copy_chunk, &work, cnn_ceil_div(rows, work.chunk_rows));
}

/* ---- flatten ---- */

struct flatten_work {
    int64_t n, rows, columns, chunk_images;
    const float *from;
    float *to;
};

static cnn_status flatten_chunk(void *context, int64_t chunk) {
    const struct flatten_work *work = context;
    int64_t size = work->rows * work->columns, end = CNN_MIN((chunk + 1) * work->chunk_images, work->n);
    for (int64_t image = chunk * work->chunk_images; image < end; image++) {
        const float *from = work->from + image * size;
        float *to = work->to + image * size;
        if (work->rows == 1 || work->columns == 1) memcpy(to, from, (size_t)size * sizeof(float));
        else kernels()->transpose(work->rows, work->columns, from, to);
    }
    return CNN_OK;
}

/* Each image from rows x columns to columns x rows. */
static cnn_status run_flatten(int64_t n, int64_t rows, int64_t columns, const float *from, float *to) {
    if (!cnn_sizes_fit(4, 3, (int64_t[]){n, rows, columns})) return CNN_INVALID;
    struct flatten_work work = {n, rows, columns, cnn_ceil_div(CNN_PIECE, rows * columns), from, to};
    return cnn_parallel(flatten_chunk, &work, cnn_ceil_div(n, work.chunk_images));
}

cnn_status cnn_flatten_forward(int64_t n, int64_t pixels, int64_t c, const float *x, float *y) {
    return run_flatten(n, pixels, c, x, y);
}

cnn_status cnn_flatten_backward(int64_t n, int64_t pixels, int64_t c, const float *dy, float *dx) {
    return run_flatten(n, c, pixels, dy, dx);
}
