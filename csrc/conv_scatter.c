/* Backward-data where few input channels would leave most of a vector empty, or where most of what gathering reads is
 * padding: every pixel of dy is multiplied with all the weights at once, [pixels][k] times [k][taps * c], and the
 * products are added to the pixels of dx that its window covers. The product is gemm.c's.
 *
 * Where a row of taps fills vectors and k is small, products wait in no memory: a strip, some pixels of dy below each
 * other times two vectors of the window, is summed over k in registers and added from there. */
#include "conv_family.h"
#include "finish.h"
#include "gemm.h"

/* Behind an array whose runs are handled by whole vectors: the widest one. */
#define ROOM 16

struct scatter_kernels {
    /* Adds the products of dy's rows first … first+rows-1, `stride` floats a pixel, to the image `sums`. */
    void (*add)(const cnn_conv2d *p, const float *products, int64_t stride, int64_t first, int64_t rows, float *sums);
    /* out[at + i] = finish(sums[i]) for a whole image, or a row of it. */
    void (*finish)(const cnn_finish *f, int64_t count, int64_t c, float *sums, int64_t at, float *out);
    int64_t lanes;
    /* Adds what an image's dy sends back to `sums`, a zeroed image with its padding, rows `pitch` floats apart. */
    void (*strips)(const cnn_conv2d *p, const float *dy, const float *packed, int64_t pitch, float *sums);
};

#define FEWEST_ROWS 5 /* of a strip */

/* From ROOM - n on: n lanes that are kept, then lanes that are not. */
static const int32_t kept_lanes[2 * ROOM] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};

#define CNN_TEMPLATE "conv_scatter_tmpl.c"
#include "foreach_isa.h"

static const struct scatter_kernels *const tables[] = CNN_TABLES(scatter_kernels);

#define BAND_PRODUCTS 32768   /* floats of products between multiplying and adding: they stay in L2 */
#define LARGEST_IMAGE 1048576 /* floats of dx, and of a row's products, that a thread keeps */
#define STRIP_DEPTH 64        /* k from which writing products down costs little */

static int64_t columns(const cnn_conv2d *p) { return cnn_round_up(p->kh * p->kw * p->c, CNN_WIDEST_LANES); }

static bool suits(const cnn_conv2d *p, int pass) {
    double taps = (double)(p->kh * p->kw), image = (double)p->h * (double)p->w, k = (double)p->k;
    if (pass != CNN_BACKWARD_DATA || p->groups > 1 || image * (double)p->c > LARGEST_IMAGE) return false;
    if ((double)p->ow * (double)columns(p) > LARGEST_IMAGE) return false;
    double strides = (double)p->stride_h * (double)p->stride_w;
    double gathered = image / strides * taps * (double)cnn_round_up(p->c, CNN_WIDEST_LANES) * k;
    /* An addition waits for memory: it costs as much as some multiply-adds. */
    double scattered = (double)p->oh * (double)p->ow * ((double)columns(p) * k + 8 * taps * (double)p->c);
    return gathered > 1.25 * scattered;
}

/* ---- strips ---- */

/* The image with what windows reach beyond it: rows, and floats from one to the next. */
static int64_t padded_rows(const cnn_conv2d *p) {
    return CNN_MAX((p->oh - 1) * p->stride_h + (p->kh - 1) * p->dilation_h + 1, p->pad_top + p->h);
}
static int64_t padded_pitch(const cnn_conv2d *p) {
    return CNN_MAX((p->ow - 1) * p->stride_w + p->kw, p->pad_left + p->w) * p->c + ROOM;
}

static bool in_strips(const cnn_conv2d *p) {
    if (p->dilation_w > 1 || p->oh < FEWEST_ROWS || p->k > STRIP_DEPTH) return false;
    if ((double)padded_rows(p) * (double)padded_pitch(p) > LARGEST_IMAGE) return false;
    return 4 * p->kh * cnn_round_up(p->kw * p->c, 8) <= 5 * columns(p);
}

/* Half of AVX-512's vectors where whole ones would be emptier. */
static const struct scatter_kernels *strip_kernels(const cnn_conv2d *p) {
    int index = cnn_table_index();
    int64_t run = p->kw * p->c;
    if (index > 1 && cnn_round_up(run, tables[index]->lanes) > cnn_round_up(run, tables[index - 1]->lanes)) index--;
    return tables[index];
}

/* [pairs of vectors][k][2][lanes], zeros behind the end of a row of taps. */
static void pack_strips(const cnn_conv2d *p, const float *weight, float *packed) {
    int64_t lanes = strip_kernels(p)->lanes, run = p->kw * p->c, taps = p->kh * p->kw;
    int64_t vectors = cnn_ceil_div(run, lanes);
    for (int64_t u = 0; u < p->kh * vectors; u++) {
        int64_t s = u / vectors, first = u % vectors * lanes, count = CNN_MIN(lanes, run - first);
        float *to = packed + (u / 2 * p->k * 2 + u % 2) * lanes;
        for (int64_t i = 0; i < count; i++) {
            int64_t t = (first + i) / p->c, c = (first + i) % p->c;
            const float *from = weight + c * taps + s * p->kw + t;
            for (int64_t k = 0; k < p->k; k++) to[k * 2 * lanes + i] = from[k * p->c * taps];
        }
    }
}

/* ---- the family ---- */

static int64_t no_workspace(const cnn_conv2d *p, int pass) {
    (void)p, (void)pass;
    return 0;
}

static int64_t packed_size(const cnn_conv2d *p, int pass) {
    (void)pass;
    if (in_strips(p)) return p->k * (p->kh * cnn_round_up(p->kw * p->c, ROOM) + ROOM);
    return cnn_packed_size(p->k, columns(p));
}

/* Panels of columns (tap, channel); their depth is k. */
static cnn_status pack(const cnn_conv2d *p, int pass, const float *weight, float *packed) {
    (void)pass;
    const struct gemm_width *width = &cnn_gemm()->width;
    int64_t taps = p->kh * p->kw, all = columns(p);
    memset(packed, 0, (size_t)packed_size(p, pass) * sizeof *packed);
    if (in_strips(p)) {
        pack_strips(p, weight, packed);
        return CNN_OK;
    }
    for (int64_t panel = 0, tap = 0, c = 0; panel < cnn_panel_count(width, all); panel++) {
        int64_t first = cnn_panel_begin(width, all, panel), step = cnn_panel_begin(width, all, panel + 1) - first;
        for (int64_t column = 0; column < step && tap < taps; column++) {
            float *to = packed + first * p->k + column;
            const float *from = weight + c * taps + tap;
            for (int64_t k = 0; k < p->k; k++) to[k * step] = from[k * p->c * taps];
            if (++c == p->c) c = 0, tap++;
        }
    }
    return CNN_OK;
}

struct scatter_work {
    const cnn_conv2d *p;
    const struct scatter_kernels *kernels;
    const struct gemm_kernels *gemm;
    const float *dy, *packed;
    const cnn_finish *finish;
    float *dx;
    int64_t band; /* rows of dy */
};

static cnn_status scatter_image(void *context, int64_t image) {
    const struct scatter_work *w = context;
    const cnn_conv2d *p = w->p;
    int64_t count = p->h * p->w * p->c, stride = columns(p), pixels = w->band * p->ow;
    size_t floats = (size_t)(count + pixels * stride + 3 * ROOM);
    float *sums = cnn_scratch(floats * sizeof *sums + (size_t)pixels * sizeof(int64_t));
    if (!sums) return CNN_NO_MEMORY;
    float *products = sums + cnn_round_up(count + ROOM, 16);
    int64_t *offsets = (int64_t *)(products + pixels * stride);
    for (int64_t i = 0; i < pixels; i++) offsets[i] = i * stride;
    memset(sums, 0, (size_t)count * sizeof *sums);
    struct gemm_product product = {.stride = p->k,
                                   .depth = p->k,
                                   .packed = w->packed,
                                   .columns = stride,
                                   .whole_depth = p->k,
                                   .panels = cnn_panel_count(&w->gemm->width, stride),
                                   .out = products,
                                   .offsets = offsets};
    for (int64_t row = 0; row < p->oh; row += w->band) {
        int64_t rows = CNN_MIN(w->band, p->oh - row);
        product.a = w->dy + (image * p->oh + row) * p->ow * p->k;
        product.rows = rows * p->ow;
        w->gemm->product(&product);
        w->kernels->add(p, products, stride, row, rows, sums);
    }
    w->kernels->finish(w->finish, count, p->c, sums, image * count, w->dx);
    return CNN_OK;
}

static cnn_status strip_image(void *context, int64_t image) {
    const struct scatter_work *w = context;
    const cnn_conv2d *p = w->p;
    int64_t pitch = padded_pitch(p), rows = padded_rows(p), count = p->w * p->c;
    float *sums = cnn_scratch((size_t)(rows * pitch) * sizeof *sums);
    if (!sums) return CNN_NO_MEMORY;
    memset(sums, 0, (size_t)(rows * pitch) * sizeof *sums);
    w->kernels->strips(p, w->dy + image * p->oh * p->ow * p->k, w->packed, pitch, sums);
    for (int64_t y = 0; y < p->h; y++)
        w->kernels->finish(w->finish, count, p->c, sums + (y + p->pad_top) * pitch + p->pad_left * p->c,
                           (image * p->h + y) * count, w->dx);
    return CNN_OK;
}

static cnn_status backward_data(const cnn_conv2d *p, const float *dy, const float *weight, const float *packed,
                                const cnn_finish *finish, float *dx, float *workspace) {
    (void)weight, (void)workspace;
    struct scatter_work work = {p,          tables[cnn_table_index()],
                                cnn_gemm(), dy,
                                packed,     finish,
                                dx,         CNN_MAX(1, BAND_PRODUCTS / (p->ow * columns(p)))};
    work.band = CNN_MIN(work.band, p->oh);
    if (in_strips(p)) {
        work.kernels = strip_kernels(p);
        return cnn_parallel(strip_image, &work, p->n);
    }
    return cnn_parallel(scatter_image, &work, p->n);
}

const struct conv_family cnn_scatter = {
    .suits = suits, .workspace = no_workspace, .packed = packed_size, .pack = pack, .backward_data = backward_data};
