/* Backward-data where few input channels would leave most of a vector empty, or where most of what gathering reads is
 * padding: every pixel of dy is multiplied with all the weights at once, [pixels][k] times [k][taps * c], and the
 * products are added to the pixels of dx that its window covers. conv.c asks cnn_scatter_suits; the product is
 * gemm.c's. */
#include "conv.h"
#include "gemm.h"

/* Behind an array whose runs are handled by whole vectors: the widest one. */
#define ROOM 16

struct scatter_kernels {
    /* Adds the products of dy's rows first … first+rows-1, `stride` floats a pixel, to the image `sums`. */
    void (*add)(const cnn_conv2d *p, const float *products, int64_t stride, int64_t first, int64_t rows, float *sums);
    /* out[at + i] = finish(sums[i]) for a whole image. */
    void (*finish)(const cnn_finish *f, int64_t count, int64_t c, float *sums, int64_t at, float *out);
};

/* From ROOM - n on: n lanes that are kept, then lanes that are not. */
static const int32_t kept_lanes[2 * ROOM] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};

#define CNN_TEMPLATE "conv_scatter_tmpl.c"
#include "foreach_isa.h"

static const struct scatter_kernels *const tables[] = CNN_TABLES(scatter_kernels);

#define BAND_PRODUCTS 32768    /* floats of products between multiplying and adding: they stay in L2 */
#define LARGEST_IMAGE 1048576  /* floats of dx, and of a row's products, that a thread keeps */

static int64_t columns(const cnn_conv2d *p) { return cnn_round_up(p->kh * p->kw * p->c, CNN_WIDEST_LANES); }

bool cnn_scatter_suits(const cnn_conv2d *p, int pass) {
    double taps = (double)(p->kh * p->kw), image = (double)p->h * (double)p->w, k = (double)p->k;
    if (pass != CNN_BACKWARD_DATA || p->groups > 1 || image * (double)p->c > LARGEST_IMAGE) return false;
    if ((double)p->ow * (double)columns(p) > LARGEST_IMAGE) return false;
    double strides = (double)p->stride_h * (double)p->stride_w;
    double gathered = image / strides * taps * (double)cnn_round_up(p->c, CNN_WIDEST_LANES) * k;
    /* An addition waits for memory: it costs as much as some multiply-adds. */
    double scattered = (double)p->oh * (double)p->ow * ((double)columns(p) * k + 8 * taps * (double)p->c);
    return gathered > 1.25 * scattered;
}

static int64_t no_workspace(const cnn_conv2d *p, int pass) {
    (void)p, (void)pass;
    return 0;
}

static int64_t packed_size(const cnn_conv2d *p, int pass) {
    (void)pass;
    return cnn_packed_size(p->k, columns(p));
}

/* Panels of columns (tap, channel); their depth is k. */
static cnn_status pack(const cnn_conv2d *p, int pass, const float *weight, float *packed) {
    (void)pass;
    const struct gemm_width *width = &cnn_gemm()->width;
    int64_t taps = p->kh * p->kw, all = columns(p);
    memset(packed, 0, (size_t)packed_size(p, pass) * sizeof *packed);
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
    struct gemm_product product = {.stride = p->k, .depth = p->k, .packed = w->packed, .columns = stride,
                                   .whole_depth = p->k, .panels = cnn_panel_count(&w->gemm->width, stride),
                                   .out = products, .offsets = offsets};
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

static cnn_status backward_data(const cnn_conv2d *p, const float *dy, const float *weight, const float *packed,
                                const cnn_finish *finish, float *dx, float *workspace) {
    (void)weight, (void)workspace;
    struct scatter_work work = {p, tables[cnn_table_index()], cnn_gemm(), dy, packed, finish, dx,
                                CNN_MAX(1, BAND_PRODUCTS / (p->ow * columns(p)))};
    work.band = CNN_MIN(work.band, p->oh);
    return cnn_parallel(scatter_image, &work, p->n);
}

const struct conv_family cnn_scatter = {no_workspace, packed_size, pack, NULL, backward_data, NULL};
