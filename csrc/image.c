/* From stored images to a batch: uint8 NHWC -> normalised float32 NHWC, with the shifts and flips that training
 * adds, in one pass. The vector version is image_tmpl.c; cnncli/data/batches.py decides who is shifted how. */
#include "image.h"

struct image_kernels {
    /* y[i] = x[i] * scale[i mod c] + shift[i mod c]; scale and shift hold c * LANES floats, repeating. */
    void (*normalise)(int64_t count, int64_t c, const uint8_t *x, const float *scale, const float *shift, float *y);
};

#define MAX_CHANNELS 16
#define MOVED 8192 /* bytes of moved rows before they are normalised */
#define LANES 16   /* the widest vector: scale and shift repeat at least that often */

static void normalise_reference(int64_t count, int64_t c, const uint8_t *x, const float *scale, const float *shift,
                                float *y) {
    for (int64_t i = 0; i < count; i++) y[i] = x[i] * scale[i % c] + shift[i % c];
}

#define CNN_TEMPLATE "image_tmpl.c"
#include "foreach_isa.h"

static const struct image_kernels reference = {normalise_reference};
static const struct image_kernels *const tables[] = CNN_TABLES(image_kernels);

struct image_work {
    const struct image_kernels *kernels;
    int64_t images, per_chunk, h, w, c;
    const uint8_t *x;
    const int64_t *rows, *moves;
    float *y;
    float scale[MAX_CHANNELS * LANES], shift[MAX_CHANNELS * LANES];
};

/* Mirrors an index at the borders without repeating them: -1 -> 1, n -> n - 2. */
static int64_t reflect(int64_t i, int64_t n) {
    if (n == 1) return 0;
    while (i < 0 || i >= n) i = i < 0 ? -i : 2 * (n - 1) - i;
    return i;
}

/* Fills a row of pixels, mirrored at the borders: pixel i is source's pixel first + i, or first - i if flipped. `c` is
 * a constant in the calls below. */
static inline __attribute__((always_inline)) void moved_row(int64_t w, int64_t c, const uint8_t *restrict source,
                                                            int64_t first, bool flipped, uint8_t *restrict line) {
    const int64_t step = flipped ? -1 : 1;
    const int64_t inside = CNN_MIN(w, CNN_MAX(0, flipped ? first - w + 1 : -first));
    const int64_t outside = CNN_MAX(inside, CNN_MIN(w, flipped ? first + 1 : w - first));
    for (int64_t i = 0; i < inside; i++) memcpy(line + i * c, source + reflect(first + step * i, w) * c, (size_t)c);
    for (int64_t i = outside; i < w; i++) memcpy(line + i * c, source + reflect(first + step * i, w) * c, (size_t)c);
    if (!flipped) memcpy(line + inside * c, source + (first + inside) * c, (size_t)((outside - inside) * c));
    else
        for (int64_t i = inside; i < outside; i++) memcpy(line + i * c, source + (first - i) * c, (size_t)c);
}

/* One image, moved: y[row][column] = x[row + dy][column' + dx], mirrored at the borders, where column' counts from
 * the right if flipped. Some rows are put together in bytes first, so that the arithmetic is one straight pass. */
static cnn_status moved_image(const struct image_work *work, const uint8_t *x, const int64_t *move, float *y) {
    const int64_t h = work->h, line = work->w * work->c, rows = CNN_MIN(h, CNN_MAX(1, MOVED / line));
    const bool flipped = move[2] != 0;
    const int64_t start = move[1] + (flipped ? work->w - 1 : 0);
    uint8_t *bytes = cnn_scratch((size_t)(rows * line));
    if (!bytes) return CNN_NO_MEMORY;
    for (int64_t first = 0; first < h; first += rows) {
        const int64_t count = CNN_MIN(rows, h - first);
        for (int64_t row = 0; row < count; row++) {
            const uint8_t *source = x + reflect(first + row + move[0], h) * line;
            if (work->c == 1) moved_row(work->w, 1, source, start, flipped, bytes + row * line);
            else if (work->c == 3) moved_row(work->w, 3, source, start, flipped, bytes + row * line);
            else moved_row(work->w, work->c, source, start, flipped, bytes + row * line);
        }
        work->kernels->normalise(count * line, work->c, bytes, work->scale, work->shift, y + first * line);
    }
    return CNN_OK;
}

static cnn_status image_chunk(void *context, int64_t chunk) {
    const struct image_work *work = context;
    const int64_t size = work->h * work->w * work->c;
    const int64_t end = CNN_MIN(work->images, (chunk + 1) * work->per_chunk);
    for (int64_t i = chunk * work->per_chunk; i < end; i++) {
        const uint8_t *x = work->x + (work->rows ? work->rows[i] : i) * size;
        const int64_t *move = work->moves ? work->moves + 3 * i : NULL;
        if (move && (move[0] || move[1] || move[2])) {
            cnn_status status = moved_image(work, x, move, work->y + i * size);
            if (status != CNN_OK) return status;
        } else {
            work->kernels->normalise(size, work->c, x, work->scale, work->shift, work->y + i * size);
        }
    }
    return CNN_OK;
}

bool cnn_images_valid(const cnn_images *p) {
    const int64_t sizes[] = {CNN_MAX(p->n, p->stored), p->h, p->w, p->c};
    if (!cnn_sizes_fit(sizeof(float), 4, sizes) || p->n < 0 || p->c > MAX_CHANNELS) return false;
    if (!p->rows && p->n > p->stored) return false;
    for (int64_t i = 0; i < p->n; i++) {
        if (p->rows && (p->rows[i] < 0 || p->rows[i] >= p->stored)) return false;
        const int64_t *move = p->moves ? p->moves + 3 * i : NULL;
        if (move && (move[0] > p->h || move[0] < -p->h || move[1] > p->w || move[1] < -p->w)) return false;
    }
    return true;
}

cnn_status cnn_image_batch(const cnn_images *p, float *y) {
    if (p->n == 0) return CNN_OK;
    if (!cnn_images_valid(p)) return CNN_INVALID;
    struct image_work work = {
        .kernels = cnn_use_reference() ? &reference : tables[cnn_table_index()],
        .images = p->n,
        .per_chunk = CNN_MAX(1, CNN_PIECE / (p->h * p->w * p->c)),
        .h = p->h,
        .w = p->w,
        .c = p->c,
        .x = p->x,
        .rows = p->rows,
        .moves = p->moves,
        .y = y,
    };
    for (int64_t i = 0; i < p->c * LANES; i++) {
        work.scale[i] = p->scale[i % p->c];
        work.shift[i] = p->shift[i % p->c];
    }
    return cnn_parallel(image_chunk, &work, cnn_ceil_div(p->n, work.per_chunk));
}

cnn_status cnn_image_histogram(int64_t pixels, int64_t c, const uint8_t *x, int64_t *counts) {
    const int64_t sizes[] = {CNN_MAX(1, pixels), c};
    if (!cnn_sizes_fit(1, 2, sizes) || pixels < 0) return CNN_INVALID;
    if (c == 1) { /* four tables: neighbours are often equal, and a counter just written cannot be read at once */
        int64_t tables[4][256] = {{0}};
        for (int64_t i = 0; i < pixels; i++) tables[i % 4][x[i]]++;
        for (int64_t value = 0; value < 256; value++)
            counts[value] += tables[0][value] + tables[1][value] + tables[2][value] + tables[3][value];
        return CNN_OK;
    }
    for (int64_t i = 0; i < pixels; i++)
        for (int64_t k = 0; k < c; k++) counts[256 * k + x[i * c + k]]++;
    return CNN_OK;
}
