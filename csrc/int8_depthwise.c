/* Depthwise convolutions of bytes, on behalf of int8_conv.c: which layers they take and how the work is cut.
 * int8_depthwise_tmpl.c does it.
 *
 * A dot product goes over taps that lie below each other: four bytes, or two int16, in each lane of 32 bits. Such groups
 * of taps are put together once for a whole row of the image, and every tap of the kernel's row reads them from there.
 * Where they have room for another row's taps, they serve two rows of results. */
#include "int8_depthwise.h"

#define MOST_COLUMNS 8192 /* of a row of the image: its groups of taps take 64 MiB at most */
#define BAND_BYTES 131072 /* of the image that one chunk reads, if it has more than LEAST_ROWS rows of results */
#define LEAST_ROWS 8
#define CHUNKS 4 /* wanted for each thread */

static const struct int8_depthwise_kernels *const tables[] = CNN_TABLES(cnn_int8_depthwise_kernels);
static const struct int8_depthwise_kernels *const versions[] = CNN_INT8_VERSIONS(cnn_int8_depthwise_kernels);

static const struct int8_depthwise_kernels *kernels_of(void) {
    int version = cnn_int8_version();
    return version < 0 ? tables[cnn_table_index()] : versions[version];
}

bool cnn_int8_depthwise_suits(const cnn_conv2d *p) {
    bool depthwise = p->groups == p->c && p->k == p->c && p->kh <= CNN_INT8_SIDE && p->kw <= CNN_INT8_SIDE;
    return depthwise && p->pad_left + p->w + p->pad_right + p->stride_w <= MOST_COLUMNS;
}

static struct int8_depthwise geometry(const cnn_conv2d *p, int64_t units) {
    struct int8_depthwise s = {.p = p, .groups = cnn_ceil_div(p->kh, units), .together = 1};
    if (p->dilation_h == 1 && p->kh + p->stride_h <= s.groups * units) s.together = 2;
    s.of_phase = cnn_ceil_div(p->pad_left + p->w + p->pad_right, p->stride_w);
    s.columns = s.of_phase * p->stride_w;
    for (int64_t t = 0; t < p->kw; t++)
        s.offsets[t] = t * p->dilation_w % p->stride_w * s.of_phase + t * p->dilation_w / p->stride_w;
    s.channel_bytes = s.together * s.groups * p->kw * 4;
    return s;
}

int64_t cnn_int8_depthwise_packed(const cnn_conv2d *p) {
    return cnn_round_up(p->c, 16) * CNN_MAX(geometry(p, 2).channel_bytes, geometry(p, 4).channel_bytes);
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
    int64_t strips;      /* … and strips of channels, of which each chunk has one */
    int64_t span, spans; /* strips of a chunk, chunks of strips */
};

static cnn_status work_chunk(void *context, int64_t chunk) {
    const struct work *w = context;
    const struct int8_depthwise *s = &w->s;
    int64_t span = chunk % w->spans, band = chunk / w->spans % w->bands, image = chunk / w->spans / w->bands;
    int64_t begin = band * w->band, end = CNN_MIN(begin + w->band, s->p->oh), width = w->kernels->width;
    /* The last results of a row are summed with what lies behind them, to be left out. */
    int32_t *taps = cnn_scratch((size_t)((s->groups * s->columns * width + CNN_INT8_COLUMNS * width) * 4));
    if (!taps) return CNN_NO_MEMORY;
    for (int64_t strip = span * w->span; strip < CNN_MIN((span + 1) * w->span, w->strips); strip++)
        w->kernels->rows(s, image, begin, end, strip * width, taps);
    return CNN_OK;
}

/* Bands of rows that stay in L2 while one strip of channels after the other is read from them, and as many chunks as the
 * threads want. Results are exact, so that they do not depend on where work is cut. */
static void cut(struct work *w) {
    const cnn_conv2d *p = w->s.p;
    int64_t threads = cnn_threads_get(), wanted = threads > 1 ? cnn_ceil_div(threads * CHUNKS, p->n) : 1;
    int64_t least = CNN_MIN(p->oh, LEAST_ROWS), most = CNN_MAX(BAND_BYTES / (p->w * p->c) / p->stride_h, least);
    w->strips = cnn_ceil_div(p->c, w->kernels->width);
    most = CNN_MAX(CNN_MIN(most, cnn_ceil_div(p->oh, cnn_ceil_div(wanted, w->strips))), least);
    w->band = cnn_round_up(cnn_ceil_div(p->oh, cnn_ceil_div(p->oh, most)), w->s.together);
    w->bands = cnn_ceil_div(p->oh, w->band);
    w->span = cnn_ceil_div(w->strips, CNN_MIN(cnn_ceil_div(wanted, w->bands), w->strips));
    w->spans = cnn_ceil_div(w->strips, w->span);
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
