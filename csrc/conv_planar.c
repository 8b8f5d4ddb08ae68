/* Convolutions of images to fewer output channels than a vector has lanes, as in LeNet's first layer: vectors run along
 * rows instead, which are copied into planes, one a channel, with zeros around them. Only forward; others that
 * read images, and backward-weights, are conv_first.c's. */
#include "conv_planar.h"

static const struct planar_kernels *const tables[] = CNN_TABLES(cnn_planar_kernels);

#define MOST_CHANNELS 4
#define MOST_TAPS 7 /* of a side */
#define LONGEST_ROW 4096
#define CHUNK_FLOATS 8192 /* results that are worth a chunk */

/* Where vectors along rows are fuller than vectors of eight channels. */
static bool suits(const cnn_conv2d *p, int pass) {
    if (pass != CNN_FORWARD || p->groups > 1 || p->c > MOST_CHANNELS || p->k > MOST_OUTPUTS) return false;
    if (p->stride_h > 1 || p->stride_w > 1 || p->dilation_h > 1 || p->dilation_w > 1) return false;
    if (p->kh > MOST_TAPS || p->kw > MOST_TAPS || p->ow > LONGEST_ROW) return false;
    return p->k * cnn_round_up(p->ow, WIDEST) < 8 * p->ow;
}

static int64_t pitch_of(const cnn_conv2d *p) { return cnn_round_up(p->ow, WIDEST) + WIDEST; }

/* Rows first … first+rows-1 of an image, which may be outside, as planes with their padding. */
static void copy_planes(const cnn_conv2d *p, const float *image, int64_t first, int64_t rows, float *to) {
    int64_t pitch = pitch_of(p), count = CNN_MIN(p->w, pitch - p->pad_left);
    memset(to, 0, (size_t)(rows * p->c * pitch) * sizeof *to);
    for (int64_t r = CNN_MAX(0, -first); r < CNN_MIN(rows, p->h - first); r++) {
        for (int64_t c = 0; c < p->c && count > 0; c++) {
            const float *from = image + (first + r) * p->w * p->c + c;
            float *plane = to + (r * p->c + c) * pitch + p->pad_left;
            if (p->c == 1) memcpy(plane, from, (size_t)count * sizeof *plane);
            else
                for (int64_t j = 0; j < count; j++) plane[j] = from[j * p->c];
        }
    }
}

static int64_t packed_size(const cnn_conv2d *p, int pass) {
    (void)pass;
    return p->kh * p->kw * p->c * p->k;
}

/* OIHW -> [tap row][c][tap][k]. */
static cnn_status pack(const cnn_conv2d *p, int pass, const float *weight, float *packed) {
    (void)pass;
    for (int64_t s = 0; s < p->kh; s++)
        for (int64_t c = 0; c < p->c; c++)
            for (int64_t t = 0; t < p->kw; t++)
                for (int64_t k = 0; k < p->k; k++) *packed++ = weight[((k * p->c + c) * p->kh + s) * p->kw + t];
    return CNN_OK;
}

struct forward_work {
    const cnn_conv2d *p;
    void (*row)(const struct planar_row *row);
    const float *x, *weight;
    const cnn_finish *finish;
    float *y;
    int64_t count, blocks; /* rows of a chunk; chunks of an image */
    bool pooled;
};

/* Rows first … end-1 of an image's results, whose planes begin at x. */
static void single_rows(const struct forward_work *w, struct planar_row row, int64_t image, int64_t first, int64_t end,
                        const float *x) {
    const cnn_conv2d *p = w->p;
    int64_t last = (image * p->oh + end) * p->ow * p->k;
    for (int64_t i = first; i < end; i++) {
        int64_t top = i - p->pad_top, low = CNN_MAX(0, -top), high = CNN_MIN(p->kh, p->h - top);
        row.planes = CNN_MAX(0, high - low) * p->c;
        row.x = x + (i - first + (row.planes ? low : 0)) * row.line;
        row.weight = w->weight + (row.planes ? low : 0) * p->c * p->kw * p->k;
        row.at = (image * p->oh + i) * p->ow * p->k;
        row.room = last - row.at;
        w->row(&row);
    }
}

/* The same, two at a time. Planes outside the image are zeros and count. */
static void pairs_of_rows(const struct forward_work *w, struct planar_row row, int64_t image, int64_t first,
                          int64_t end, const float *x) {
    const cnn_conv2d *p = w->p;
    int64_t rows = p->oh / 2, across = p->ow / 2 * p->k, last = (image * rows + end / 2) * across;
    row.planes = p->kh * p->c;
    row.weight = w->weight;
    for (int64_t i = first; i + 1 < end; i += 2) {
        row.x = x + (i - first) * row.line;
        row.at = (image * rows + i / 2) * across;
        row.room = last - row.at;
        w->row(&row);
    }
}

static cnn_status forward_chunk(void *context, int64_t chunk) {
    const struct forward_work *w = context;
    const cnn_conv2d *p = w->p;
    int64_t image = chunk / w->blocks, first = chunk % w->blocks * w->count, end = CNN_MIN(first + w->count, p->oh);
    int64_t rows = end - first + p->kh - 1, line = p->c * pitch_of(p);
    int64_t pooled = w->pooled ? p->k * pooled_pitch(p->ow) : 0;
    float *x = cnn_scratch((size_t)(rows * line + 2 * pooled) * sizeof *x);
    if (!x) return CNN_NO_MEMORY;
    copy_planes(p, w->x + image * p->h * p->w * p->c, first - p->pad_top, rows, x);
    struct planar_row row = {.pitch = pitch_of(p),
                             .kw = p->kw,
                             .columns = p->ow,
                             .finish = w->finish,
                             .out = w->y,
                             .line = line,
                             .pooled = x + rows * line,
                             .taps = (int32_t *)(x + rows * line + pooled)};
    if (w->pooled) pairs_of_rows(w, row, image, first, end, x);
    else single_rows(w, row, image, first, end, x);
    return CNN_OK;
}

static const cnn_finish nothing = {.activation = CNN_IDENTITY};

static cnn_status forward(const cnn_conv2d *p, const float *x, const float *weight, const float *packed,
                          const cnn_finish *finish, float *y, float *workspace) {
    (void)weight, (void)workspace;
    struct forward_work work = {.p = p,
                                .row = tables[cnn_table_index()]->rows[p->k - 1],
                                .x = x,
                                .weight = packed,
                                .finish = finish ? finish : &nothing,
                                .y = y};
    work.count = CNN_MIN(p->oh, CNN_MAX(1, CHUNK_FLOATS / (p->ow * p->k)));
    work.pooled = work.finish->pooled;
    if (work.pooled) {
        work.row = cnn_planar_pairs()->pairs[p->k - 1];
        work.count = cnn_round_up(work.count, 2);
    }
    work.blocks = cnn_ceil_div(p->oh, work.count);
    return cnn_parallel(forward_chunk, &work, p->n * work.blocks);
}

static int64_t no_workspace(const cnn_conv2d *p, int pass) {
    (void)p, (void)pass;
    return 0;
}

const struct conv_family cnn_planar = {
    .suits = suits, .workspace = no_workspace, .packed = packed_size, .pack = pack, .forward = forward, .pools = true};
