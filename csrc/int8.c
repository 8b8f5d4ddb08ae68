/* What int8 inference does between its convolutions (int8_conv.c) and poolings (int8_pool.c): floats to bytes and back,
 * sums, tables, order. int8_tmpl.c is the vector version of what walks over whole arrays; the layers are in
 * cnncli/layers/. */
#include "int8.h"

#define PIECE 65536 /* bytes of a chunk */

struct int8_kernels {
    void (*quantise)(int64_t count, float per_step, int64_t zero, const float *x, uint8_t *y);
    void (*dequantise)(int64_t count, float step, int64_t zero, const uint8_t *x, float *y);
    void (*add)(int64_t count, const cnn_int8_sum *p, const uint8_t *a, const uint8_t *b, uint8_t *y);
};

/* ---- plain loops ---- */

static void plain_quantise(int64_t count, float per_step, int64_t zero, const float *x, uint8_t *y) {
    for (int64_t i = 0; i < count; i++)
        y[i] = (uint8_t)(cnn_int8_nearest(x[i] * per_step, (float)-zero, (float)(255 - zero)) + zero);
}

static void plain_dequantise(int64_t count, float step, int64_t zero, const uint8_t *x, float *y) {
    for (int64_t i = 0; i < count; i++) y[i] = (float)(x[i] - zero) * step;
}

static void plain_add(int64_t count, const cnn_int8_sum *p, const uint8_t *a, const uint8_t *b, uint8_t *y) {
    for (int64_t i = 0; i < count; i++) {
        int64_t parts = (a[i] - p->a_zero) * p->a_multiplier + (b[i] - p->b_zero) * p->b_multiplier;
        y[i] = (uint8_t)cnn_int8_clamp(((parts + CNN_INT8_PARTS / 2) >> 12) + p->zero, p->least, p->most);
    }
}

static const struct int8_kernels plain = {plain_quantise, plain_dequantise, plain_add};

#define CNN_TEMPLATE "int8_tmpl.c"
#include "foreach_isa.h"

static const struct int8_kernels *const tables[] = CNN_TABLES(int8_kernels);

static const struct int8_kernels *kernels_of(void) { return cnn_use_reference() ? &plain : tables[cnn_table_index()]; }

static bool byte(int64_t value) { return 0 <= value && value <= 255; }

/* ---- what walks over whole arrays ---- */

struct walk {
    const struct int8_kernels *kernels;
    int64_t count, zero;
    float factor;
    const cnn_int8_sum *sum;
    const float *real;
    const uint8_t *a, *b;
    uint8_t *y;
    float *out;
};

static cnn_status walk_chunk(void *context, int64_t chunk) {
    const struct walk *w = context;
    int64_t at = chunk * PIECE, count = CNN_MIN(PIECE, w->count - at);
    if (w->real) w->kernels->quantise(count, w->factor, w->zero, w->real + at, w->y + at);
    else if (w->out) w->kernels->dequantise(count, w->factor, w->zero, w->a + at, w->out + at);
    else w->kernels->add(count, w->sum, w->a + at, w->b + at, w->y + at);
    return CNN_OK;
}

static cnn_status walk(struct walk w) {
    w.kernels = kernels_of();
    return cnn_parallel(walk_chunk, &w, cnn_ceil_div(w.count, PIECE));
}

cnn_status cnn_int8_quantise(int64_t count, float per_step, int64_t zero, const float *x, uint8_t *y) {
    if (count < 0 || !byte(zero)) return CNN_INVALID;
    return walk((struct walk){.count = count, .zero = zero, .factor = per_step, .real = x, .y = y});
}

cnn_status cnn_int8_dequantise(int64_t count, float step, int64_t zero, const uint8_t *x, float *y) {
    if (count < 0 || !byte(zero)) return CNN_INVALID;
    return walk((struct walk){.count = count, .zero = zero, .factor = step, .a = x, .out = y});
}

static bool sum_valid(const cnn_int8_sum *p) {
    int64_t most = 1 << 20, a = p->a_multiplier, b = p->b_multiplier;
    return byte(p->a_zero) && byte(p->b_zero) && byte(p->zero) && byte(p->least) && byte(p->most) &&
           p->least <= p->most && -most < a && a < most && -most < b && b < most;
}

cnn_status cnn_int8_add(int64_t count, const cnn_int8_sum *p, const uint8_t *a, const uint8_t *b, uint8_t *y) {
    if (count < 0 || !sum_valid(p)) return CNN_INVALID;
    return walk((struct walk){.count = count, .sum = p, .a = a, .b = b, .y = y});
}

/* ---- columns ---- */

struct columns {
    int64_t rows, width, from_stride, to_stride, rows_of_chunk;
    const uint8_t *table, *from;
    uint8_t *to;
};

static cnn_status columns_chunk(void *context, int64_t chunk) {
    const struct columns *c = context;
    int64_t begin = chunk * c->rows_of_chunk, end = CNN_MIN(begin + c->rows_of_chunk, c->rows);
    for (int64_t row = begin; row < end; row++) {
        const uint8_t *from = c->from + row * c->from_stride;
        uint8_t *to = c->to + row * c->to_stride;
        if (!c->table) memcpy(to, from, (size_t)c->width);
        else
            for (int64_t i = 0; i < c->width; i++) to[i] = c->table[from[i]];
    }
    return CNN_OK;
}

cnn_status cnn_int8_columns(int64_t rows, int64_t width, const uint8_t *table, const uint8_t *from, int64_t from_stride,
                            uint8_t *to, int64_t to_stride) {
    if (rows < 0 || width < 1 || from_stride < width || to_stride < width) return CNN_INVALID;
    int64_t each = CNN_MAX(PIECE / width, 1);
    struct columns c = {rows, width, from_stride, to_stride, each, table, from, to};
    return cnn_parallel(columns_chunk, &c, cnn_ceil_div(rows, each));
}

/* ---- order ---- */

struct flattening {
    int64_t pixels, c;
    const uint8_t *x;
    uint8_t *y;
};

static cnn_status flatten_image(void *context, int64_t image) {
    const struct flattening *f = context;
    const uint8_t *x = f->x + image * f->pixels * f->c;
    uint8_t *y = f->y + image * f->pixels * f->c;
    for (int64_t c = 0; c < f->c; c++)
        for (int64_t i = 0; i < f->pixels; i++) *y++ = x[i * f->c + c];
    return CNN_OK;
}

cnn_status cnn_int8_flatten(int64_t n, int64_t pixels, int64_t c, const uint8_t *x, uint8_t *y) {
    if (n < 0 || pixels < 1 || c < 1) return CNN_INVALID;
    struct flattening f = {pixels, c, x, y};
    return cnn_parallel_sized(flatten_image, &f, n, (double)(n * pixels) * (double)c);
}
