/* Convolutions of bytes with int8 weights, and dense layers as their 1 x 1 case: entry points, checks, how the work is
 * cut, and the plain loops. int8_conv_tmpl.c multiplies, int8_depthwise.c takes depthwise ones, int8_tiles.c those of
 * some channels where the CPU has tiles; the layers are cnncli/layers/conv.py and linear.py.
 *
 * A block of rows of results is computed at once. The rows of the image that it reads are copied into the thread's
 * scratch memory, with their borders and with channels filled up to whole units of 32 bits, unless they lie in x just so.
 * There a window's row is one run of numbers, which the tiles read without gathering it first. */
#include "int8_conv.h"
#include "int8_depthwise.h"
#include "int8_tiles.h"

/* The bytes of image that a block reads at most, if it has more than one row: with a panel of weights they stay in L2. */
#define BLOCK_BYTES 131072
#define FLAT_COLUMNS 64 /* of a row of results where rows can be cut anywhere */
#define CHUNKS 4        /* wanted for each thread */

static int64_t inputs_of(const cnn_conv2d *p) { return p->c / p->groups; }
static int64_t outputs_of(const cnn_conv2d *p) { return p->k / p->groups; }

/* ---- checks ---- */

int cnn_int8_conv2d_fits(const cnn_conv2d *p) {
    /* A bias takes as much again: it holds the zero point's part. */
    return cnn_conv2d_packed(p, CNN_FORWARD) >= 0 && inputs_of(p) * p->kh * p->kw <= INT32_MAX / (255 * 127) / 2;
}

static bool finish_valid(const cnn_requantise *f) {
    bool range = 0 <= f->zero && f->zero <= 255 && 0 <= f->least && f->least <= f->most && f->most <= 255;
    int64_t size = f->add_multiplier < 0 ? -f->add_multiplier : f->add_multiplier;
    return f->bias && f->multiplier && range && !(f->add && f->real) &&
           (!f->add || (0 <= f->add_zero && f->add_zero <= 255 && size < 1 << 20));
}

/* ---- which kernels ---- */

static const struct int8_conv_kernels *const tables[] = CNN_TABLES(cnn_int8_conv_kernels);
static const struct int8_conv_kernels *const versions[] = CNN_INT8_VERSIONS(cnn_int8_conv_kernels);

static const struct int8_conv_kernels *kernels_of(void) {
    int version = cnn_int8_version();
    return version < 0 ? tables[cnn_table_index()] : versions[version];
}

static bool by_tiles(const cnn_conv2d *p) { return cnn_int8_tiles_suit(p) && cnn_int8_tile_kernels(); }

/* ---- packing ---- */

/* Whether all numbers that a kernel's row reads are one run, without filling each pixel's channels up to whole units:
 * less to multiply where they are few, as in the first layer. */
static bool joined(const cnn_conv2d *p, const struct int8_conv_kernels *k) {
    return p->groups == 1 && p->dilation_w == 1 && inputs_of(p) % k->units != 0;
}

static int64_t run_of(const cnn_conv2d *p, const struct int8_conv_kernels *k) {
    return joined(p, k) ? p->kw * inputs_of(p) : inputs_of(p);
}

/* Bytes of one group's packed weights with these kernels. */
static int64_t group_packed(const cnn_conv2d *p, const struct int8_conv_kernels *k) {
    int64_t runs = joined(p, k) ? p->kh : p->kh * p->kw;
    return runs * cnn_ceil_div(run_of(p, k), k->units) * cnn_round_up(outputs_of(p), k->lanes) * 4;
}

int64_t cnn_int8_conv2d_packed(const cnn_conv2d *p) {
    if (!cnn_int8_conv2d_fits(p)) return -1;
    if (cnn_int8_depthwise_suits(p)) return cnn_int8_depthwise_packed(p);
    int64_t bytes = p->groups * p->kh * p->kw * cnn_round_up(inputs_of(p), 4) * cnn_round_up(outputs_of(p), 16) * 2;
    return cnn_int8_tiles_suit(p) ? CNN_MAX(bytes, cnn_int8_tiles_packed(p)) : bytes;
}

cnn_status cnn_int8_conv2d_pack(const cnn_conv2d *p, const int8_t *weight, int8_t *packed) {
    if (!cnn_int8_conv2d_fits(p)) return CNN_INVALID;
    int64_t each = outputs_of(p) * inputs_of(p) * p->kh * p->kw;
    if (cnn_use_reference()) {
        memcpy(packed, weight, (size_t)(p->groups * each));
        return CNN_OK;
    }
    if (cnn_int8_depthwise_suits(p)) {
        cnn_int8_depthwise_pack(p, weight, packed);
        return CNN_OK;
    }
    if (by_tiles(p)) {
        cnn_int8_tiles_pack(p, weight, packed);
        return CNN_OK;
    }
    const struct int8_conv_kernels *k = kernels_of();
    for (int64_t g = 0; g < p->groups; g++)
        k->pack(p->kh, p->kw, run_of(p, k), inputs_of(p), outputs_of(p), weight + g * each,
                packed + g * group_packed(p, k));
    return CNN_OK;
}

/* ---- plain loops ---- */

struct plain_work {
    const cnn_conv2d *p;
    const uint8_t *x;
    int64_t zero;
    const int8_t *weight;
    const cnn_requantise *finish;
    uint8_t *y;
};

static int32_t plain_sum(const struct plain_work *w, int64_t image, int64_t i, int64_t j, int64_t k) {
    const cnn_conv2d *p = w->p;
    int64_t inputs = inputs_of(p), first = k / outputs_of(p) * inputs;
    int32_t sum = 0;
    for (int64_t s = 0; s < p->kh; s++) {
        for (int64_t t = 0; t < p->kw; t++) {
            int64_t row = i * p->stride_h - p->pad_top + s * p->dilation_h;
            int64_t column = j * p->stride_w - p->pad_left + t * p->dilation_w;
            bool inside = 0 <= row && row < p->h && 0 <= column && column < p->w;
            for (int64_t c = 0; c < inputs; c++) {
                int32_t x = inside ? w->x[((image * p->h + row) * p->w + column) * p->c + first + c] : (int32_t)w->zero;
                sum += x * w->weight[((k * inputs + c) * p->kh + s) * p->kw + t];
            }
        }
    }
    return sum;
}

/* One row of results. */
static cnn_status plain_row(void *context, int64_t row) {
    const struct plain_work *w = context;
    const cnn_conv2d *p = w->p;
    for (int64_t j = 0; j < p->ow; j++) {
        for (int64_t k = 0; k < p->k; k++) {
            int64_t at = (row * p->ow + j) * p->k + k;
            int32_t sum = plain_sum(w, row / p->oh, row % p->oh, j, k);
            if (w->finish->real) w->finish->real[at] = (float)(sum + w->finish->bias[k]) * w->finish->multiplier[k];
            else w->y[at] = cnn_int8_finished(w->finish, at, k, sum);
        }
    }
    return CNN_OK;
}

/* ---- blocks ---- */

struct work {
    struct int8_job job;
    const struct int8_conv_kernels *kernels;
    const uint8_t *x;
    uint8_t zero;
    const int8_t *packed;
    bool in_place, flat;         /* whether tiles read x itself; and then, rows of results may be cut anywhere */
    int64_t pixel, width;        /* of what tiles read: bytes of a pixel, pixels of a row */
    int64_t columns, rows;       /* results of a row; rows in all */
    int64_t block, blocks;       /* rows of a block, blocks … */
    int64_t panels, span, spans; /* … and panels of outputs, panels of a chunk, chunks of panels */
    int64_t source_rows;         /* that a block copies, at most */
};

/* The rows of the image, borders included, that `count` rows of results of one image read. */
static int64_t source_rows(const cnn_conv2d *p, int64_t count) {
    return (count - 1) * p->stride_h + (p->kh - 1) * p->dilation_h + 1;
}

/* Copies one row of the image with its borders: row `source` of it, which may be outside. */
static void copy_row(const struct work *w, int64_t group, int64_t image, int64_t source, uint8_t *to) {
    const cnn_conv2d *p = w->job.p;
    const struct int8_conv_kernels *k = w->kernels;
    int64_t c = inputs_of(p), numbers = w->pixel * k->units / 4; /* of a pixel */
    if (source < 0 || source >= p->h) {
        k->fill(w->width * numbers, w->zero, to);
        return;
    }
    const uint8_t *from = w->x + (image * p->h + source) * p->w * p->c + group * c;
    k->fill(p->pad_left * numbers, w->zero, to);
    to += p->pad_left * w->pixel;
    if (numbers == c && p->c == c) k->copy(p->w * c, from, to);
    else k->widen(p->w, c, from, p->c, to);
    k->fill(p->pad_right * numbers, w->zero, to + p->w * w->pixel);
}

/* Fills rows with where the windows of rows begin … end-1 of results lie; copies them there unless they are in place. */
static void find_rows(const struct work *w, int64_t group, int64_t begin, int64_t end, struct int8_row *rows,
                      uint8_t *copies) {
    const cnn_conv2d *p = w->job.p;
    for (int64_t row = begin; row < end;) {
        int64_t image = row / p->oh, first = row % p->oh, count = CNN_MIN(p->oh - first, end - row);
        const uint8_t *at = copies;
        if (w->flat) {
            at = w->x + row * w->columns * p->c;
            count = 1;
        } else if (w->in_place) {
            at = w->x + (image * p->h + first * p->stride_h) * p->w * p->c;
        } else {
            for (int64_t i = 0; i < source_rows(p, count); i++, copies += w->width * w->pixel)
                copy_row(w, group, image, first * p->stride_h - p->pad_top + i, copies);
        }
        for (int64_t i = 0; i < count; i++, row++)
            *rows++ = (struct int8_row){at + i * p->stride_h * w->width * w->pixel,
                                        w->flat ? CNN_MIN(w->columns, p->n * p->oh * p->ow - row * w->columns)
                                                : w->columns,
                                        row * w->columns * p->k};
    }
}

static cnn_status work_chunk(void *context, int64_t chunk) {
    const struct work *w = context;
    const cnn_conv2d *p = w->job.p;
    int64_t span = chunk % w->spans, block = chunk / w->spans % w->blocks, group = chunk / w->spans / w->blocks;
    int64_t begin = block * w->block, end = CNN_MIN(begin + w->block, w->rows);
    size_t list = (size_t)cnn_round_up((end - begin) * (int64_t)sizeof(struct int8_row), CNN_LINE);
    /* The last run may end within a unit, which is read whole. */
    uint8_t *memory = cnn_scratch(list + (size_t)(w->source_rows * w->width * w->pixel) + 4);
    if (!memory) return CNN_NO_MEMORY;
    struct int8_row *rows = (struct int8_row *)memory;
    find_rows(w, group, begin, end, rows, memory + list);
    int64_t outputs = outputs_of(p), most = CNN_INT8_VECTORS * w->kernels->lanes;
    int64_t depth = group_packed(p, w->kernels) / cnn_round_up(outputs, w->kernels->lanes); /* bytes of an output */
    const int8_t *packed = w->packed + group * group_packed(p, w->kernels);
    for (int64_t i = span * w->span; i < CNN_MIN((span + 1) * w->span, w->panels); i++)
        w->kernels->multiply(&w->job, end - begin, rows, group * outputs + i * most, CNN_MIN(most, outputs - i * most),
                             packed + i * most * depth);
    return CNN_OK;
}

/* ---- cutting ---- */

/* How tiles read the windows: from x where numbers lie as the kernels want them and nothing is beyond the borders. */
static void lay_out(struct work *w) {
    const cnn_conv2d *p = w->job.p;
    int64_t c = inputs_of(p), bytes = 4 / w->kernels->units;
    bool inside = !(p->pad_top | p->pad_bottom | p->pad_left | p->pad_right);
    w->in_place = bytes == 1 && p->groups == 1 && c % w->kernels->units == 0 && inside;
    w->flat = w->in_place && p->kh == 1 && p->kw == 1 && p->stride_h == 1 && p->stride_w == 1;
    w->pixel = (joined(p, w->kernels) ? c : cnn_round_up(c, w->kernels->units)) * bytes;
    w->width = p->pad_left + p->w + p->pad_right;
    w->columns = w->flat ? FLAT_COLUMNS : p->ow;
    w->rows = w->flat ? cnn_ceil_div(p->n * p->oh * p->ow, FLAT_COLUMNS) : p->n * p->oh;
    bool together = p->dilation_w == 1; /* the taps of a row lie side by side */
    w->job.windows = (struct int8_windows){.rows = p->kh,
                                           .taps = together ? 1 : p->kw,
                                           .next_row = p->dilation_h * w->width * w->pixel,
                                           .next_tap = p->dilation_w * w->pixel,
                                           .run = cnn_ceil_div((together ? p->kw : 1) * w->pixel, 4),
                                           .step = p->stride_w * w->pixel};
}

/* Blocks of rows that fit into L2, and as many chunks as the threads want. Results are exact, so that they do not depend
 * on where work is cut. */
static void cut(struct work *w) {
    const cnn_conv2d *p = w->job.p;
    int64_t row = w->flat ? FLAT_COLUMNS * p->c : p->stride_h * w->width * w->pixel;
    int64_t threads = cnn_threads_get(), wanted = threads > 1 ? threads * CHUNKS : 1;
    int64_t most = CNN_MAX(BLOCK_BYTES / row, 1), least = cnn_ceil_div(w->rows, wanted);
    w->blocks = cnn_ceil_div(w->rows, CNN_MIN(most, CNN_MAX(least, CNN_MIN(most, 4))));
    w->block = cnn_ceil_div(w->rows, w->blocks);
    w->blocks = cnn_ceil_div(w->rows, w->block);
    /* A block of several images copies the rows above and below each. */
    int64_t images = w->flat ? 0 : CNN_MIN(cnn_ceil_div(w->block - 1, p->oh) + 1, p->n);
    w->source_rows = w->in_place ? 0 : source_rows(p, w->block) + images * source_rows(p, 1);
    w->panels = cnn_ceil_div(outputs_of(p), CNN_INT8_VECTORS * w->kernels->lanes);
    w->span = cnn_ceil_div(w->panels, CNN_MIN(cnn_ceil_div(wanted, w->blocks * p->groups), w->panels));
    w->spans = cnn_ceil_div(w->panels, w->span);
}

cnn_status cnn_int8_conv2d_forward(const cnn_conv2d *p, const uint8_t *x, int64_t zero_x, const int8_t *packed,
                                   const cnn_requantise *finish, uint8_t *y) {
    if (!cnn_int8_conv2d_fits(p) || !finish_valid(finish) || zero_x < 0 || zero_x > 255) return CNN_INVALID;
    double multiply_adds = (double)(p->n * p->oh * p->ow) * (double)(p->k * inputs_of(p)) * (double)(p->kh * p->kw);
    if (cnn_use_reference()) {
        struct plain_work plain = {p, x, zero_x, packed, finish, y};
        return cnn_parallel_sized(plain_row, &plain, p->n * p->oh, multiply_adds);
    }
    if (cnn_int8_depthwise_suits(p)) return cnn_int8_depthwise_forward(p, x, zero_x, packed, finish, y);
    if (by_tiles(p)) return cnn_int8_tiles_forward(p, x, zero_x, packed, finish, y);
    struct work w = {.job = {.p = p, .finish = finish, .y = y},
                     .kernels = kernels_of(),
                     .x = x,
                     .zero = (uint8_t)zero_x,
                     .packed = packed};
    lay_out(&w);
    cut(&w);
    return cnn_parallel_sized(work_chunk, &w, w.spans * w.blocks * p->groups, multiply_adds);
}
