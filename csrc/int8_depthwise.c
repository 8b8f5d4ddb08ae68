/* Depthwise convolutions of bytes, on behalf of int8_conv.c: which layers they take and how the work is cut.
 * int8_depthwise_tmpl.c does it.
 *
 * A dot product goes over taps that lie below each other: four bytes, or two int16, in each lane of 32 bits. Such groups
 * of taps are made for a whole row of the image at once, and every tap of the kernel's row reads them from there. Where a
 * group has room for one row more, it serves two rows of results. */
#include "int8_depthwise.h"

#define BAND_BYTES 131072        /* of the image that one chunk reads, if it has more than one row of results */
#define MEMORY_BYTES (16 << 20)  /* for groups of taps, at most */
#define CHUNKS 4                 /* wanted for each thread */
#define LINE_COLUMNS 4           /* columns of the widest vector */

static const struct int8_depthwise_kernels *const tables[] = CNN_TABLES(cnn_int8_depthwise_kernels);

static const struct int8_depthwise_kernels *kernels_of(void) {
#if CNN_X86
    if (cnn_words_active() & CNN_WORD_VNNI) return &cnn_int8_depthwise_kernels_vnni;
#endif
    return tables[cnn_table_index()];
}

/* Columns of one phase, in whole vectors. What a vector reads beyond is of another phase or group, and not used. */
static int64_t columns_of_phase(const cnn_conv2d *p) {
    int64_t width = p->pad_left + p->w + p->pad_right;
    return cnn_round_up(cnn_ceil_div(width, p->stride_w), LINE_COLUMNS);
}

static struct int8_depthwise geometry(const cnn_conv2d *p, int64_t units) {
    struct int8_depthwise s = {.p = p, .groups = cnn_ceil_div(p->kh, units), .together = 1};
    if (p->dilation_h == 1 && p->kh + p->stride_h <= s.groups * units) s.together = 2;
    s.of_phase = columns_of_phase(p);
    s.columns = s.of_phase * p->stride_w;
    for (int64_t t = 0; t < p->kw; t++)
        s.offsets[t] = t * p->dilation_w % p->stride_w * s.of_phase + t * p->dilation_w / p->stride_w;
    s.ring = (p->kh - 1) * p->dilation_h + 1 + (s.together - 1) * p->stride_h;
    s.block_bytes = s.together * s.groups * p->kw * CNN_INT8_BLOCK * 4;
    s.blocks = cnn_ceil_div(p->c, CNN_INT8_BLOCK);
    return s;
}

static int64_t taps_bytes(const struct int8_depthwise *s) {
    return (s->groups * s->columns + LINE_COLUMNS) * CNN_INT8_BLOCK * 4;
}

static int64_t ring_bytes(const struct int8_depthwise *s) { return s->ring * s->columns * CNN_INT8_BLOCK; }

bool cnn_int8_depthwise_suits(const cnn_conv2d *p) {
    int64_t limit = MEMORY_BYTES / (CNN_INT8_BLOCK * CNN_INT8_SIDE * 4);
    if (p->groups != p->c || p->k != p->c || p->kh > CNN_INT8_SIDE || p->kw > CNN_INT8_SIDE) return false;
    if (p->stride_w > limit || p->stride_h > limit || p->dilation_h > limit) return false;
    return p->pad_left + p->w + p->pad_right <= limit && columns_of_phase(p) * p->stride_w <= limit &&
           ((p->kh - 1) * p->dilation_h + 1 + p->stride_h) * columns_of_phase(p) * p->stride_w <= limit * 16;
}

int64_t cnn_int8_depthwise_packed(const cnn_conv2d *p) {
    struct int8_depthwise two = geometry(p, 2), four = geometry(p, 4);
    return two.blocks * CNN_MAX(two.block_bytes, four.block_bytes);
}

void cnn_int8_depthwise_pack(const cnn_conv2d *p, const int8_t *weight, int8_t *packed) {
    const struct int8_depthwise_kernels *k = kernels_of();
    struct int8_depthwise s = geometry(p, k->units);
    k->pack(&s, weight, packed);
}

/* ---- cutting ---- */

struct work {
    struct int8_depthwise s;
    const struct int8_depthwise_kernels *kernels;
    int64_t band, bands; /* rows of results of a chunk, chunks of an image … */
    int64_t span, spans; /* … and blocks of channels of a chunk, chunks of channels */
};

static cnn_status work_chunk(void *context, int64_t chunk) {
    const struct work *w = context;
    int64_t span = chunk % w->spans, band = chunk / w->spans % w->bands, image = chunk / w->spans / w->bands;
    int64_t begin = band * w->band, end = CNN_MIN(begin + w->band, w->s.p->oh);
    uint8_t *memory = cnn_scratch((size_t)(taps_bytes(&w->s) + ring_bytes(&w->s)));
    if (!memory) return CNN_NO_MEMORY;
    struct int8_depthwise_memory m = {.ring = memory + taps_bytes(&w->s), .taps = (int32_t *)memory};
    for (int64_t block = span * w->span; block < CNN_MIN((span + 1) * w->span, w->s.blocks); block++)
        w->kernels->rows(&w->s, image, begin, end, block, m);
    return CNN_OK;
}

/* Bands of rows that stay in L2 while one block of channels after the other is read from them, and as many chunks as the
 * threads want. Results are exact, so that they do not depend on where work is cut. */
static void cut(struct work *w) {
    const cnn_conv2d *p = w->s.p;
    int64_t threads = cnn_threads_get(), wanted = threads > 1 ? threads * CHUNKS : 1;
    int64_t most = CNN_MAX(BAND_BYTES / (p->stride_h * p->w * p->c), CNN_MIN(p->oh, 8));
    w->bands = cnn_ceil_div(p->oh, most);
    w->band = cnn_round_up(cnn_ceil_div(p->oh, w->bands), w->s.together);
    w->bands = cnn_ceil_div(p->oh, w->band);
    w->spans = CNN_MIN(cnn_ceil_div(wanted, p->n * w->bands), w->s.blocks);
    w->span = cnn_ceil_div(w->s.blocks, w->spans);
    w->spans = cnn_ceil_div(w->s.blocks, w->span);
}

cnn_status cnn_int8_depthwise_forward(const cnn_conv2d *p, const uint8_t *x, int64_t zero_x, const int8_t *packed,
                                      const cnn_requantise *finish, uint8_t *y) {
    struct work w = {.kernels = kernels_of()};
    w.s = geometry(p, w.kernels->units);
    w.s.finish = finish;
    w.s.x = x;
    w.s.zero = (uint8_t)zero_x;
    w.s.packed = packed;
    w.s.y = y;
    cut(&w);
    double multiply_adds = (double)(p->n * p->oh * p->ow) * (double)(p->c * p->kh * p->kw);
    return cnn_parallel_sized(work_chunk, &w, p->n * w.bands * w.spans, multiply_adds);
}
