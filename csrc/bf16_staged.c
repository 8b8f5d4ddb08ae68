/* Convolutions over bfloat16 by way of float32: a few images at a time become float32 in workspace, the convolution of
 * float32 (conv.c) runs over them, and its results are rounded. Few enough that all of it stays in the outer cache: what
 * memory is read and written for is half of what float32 takes, at any instruction set and for any shape. */
#include "bf16_conv.h"

#define STAGE_FLOATS ((int64_t)1 << 19) /* of x and y, of the images that are taken at once: 2 MiB … */
#define STAGE_IMAGES 2                  /* … but so many images at least, for threads to share */

/* How many images at once: by shape, and by n only where there are few. */
static int64_t stage_images(const cnn_conv2d *s) {
    int64_t each = s->h * s->w * s->c + s->oh * s->ow * s->k;
    return CNN_MIN(s->n, CNN_MAX(STAGE_FLOATS / each, STAGE_IMAGES));
}

static cnn_conv2d part(const cnn_conv2d *s, int64_t images) {
    cnn_conv2d some = *s;
    some.n = images;
    return some;
}

static int64_t lines(int64_t bytes) { return cnn_round_up(bytes, CNN_LINE); }
static int64_t array_bytes(int64_t floats) { return lines(floats * (int64_t)sizeof(float)); }

static int64_t x_floats(const cnn_conv2d *s) { return s->h * s->w * s->c; }
static int64_t y_floats(const cnn_conv2d *s) { return s->oh * s->ow * s->k; }
static int64_t weight_floats(const cnn_conv2d *s) { return s->k * (s->c / s->groups) * s->kh * s->kw; }

/* Workspace holds x and y of some images as float32, then, by pass, the gate or gradients of some images, then what the
 * convolution of float32 needs for as many images, and for the last ones, which may be fewer. */
static int64_t own_bytes(const cnn_conv2d *s, int pass) {
    int64_t images = stage_images(s), maps = array_bytes(images * x_floats(s)) + array_bytes(images * y_floats(s));
    if (pass == CNN_BACKWARD_WEIGHTS) return maps + array_bytes(weight_floats(s)) + array_bytes(s->k);
    return maps + array_bytes(images * (pass == CNN_FORWARD ? y_floats(s) : x_floats(s)));
}

static int64_t workspace(const cnn_bf16_conv2d *p, int pass) {
    const cnn_conv2d *s = &p->sizes;
    int64_t images = stage_images(s), last = s->n % images;
    cnn_conv2d whole = part(s, images), rest = part(s, last ? last : images);
    int64_t most = CNN_MAX(cnn_conv2d_workspace(&whole, pass), cnn_conv2d_workspace(&rest, pass));
    return own_bytes(s, pass) + lines(most);
}

static bool suits(const cnn_bf16_conv2d *p, int pass) {
    (void)p, (void)pass;
    return true;
}

static int64_t packed_bytes(const cnn_bf16_conv2d *p, int pass) { return cnn_conv2d_packed(&p->sizes, pass); }
static bool pools(const cnn_bf16_conv2d *p) { return cnn_conv2d_pools(&p->sizes); }

static cnn_status pack(const cnn_bf16_conv2d *p, int pass, const float *weight, void *packed) {
    return cnn_conv2d_pack(&p->sizes, pass, weight, packed);
}

/* Numbers from … of an array as float32: where they lie, if they are that, otherwise in `room`. */
static cnn_status staged(const void *array, int storage, int64_t from, int64_t count, float *room, const float **at) {
    *at = array && storage == CNN_FLOAT32 ? (const float *)array + from : array ? room : NULL;
    if (!array || storage == CNN_FLOAT32) return CNN_OK;
    return cnn_bf16_expand(count, (const uint16_t *)array + from, room);
}

/* A pass whose result is a map: forward from x to y or backward from dy to dx. */
struct map_pass {
    const cnn_conv2d *sizes;
    int pass, from_storage, to_storage;
    int64_t from_floats, to_floats, result_floats; /* of an image; of what is stored where results are pooled */
    const void *from;
    const float *weight, *packed;
    const cnn_bf16_finish *finish;
    void *to;
};

static cnn_status map_images(const struct map_pass *m, int64_t first, int64_t images, char *room) {
    cnn_conv2d some = part(m->sizes, images);
    int64_t all = stage_images(m->sizes);
    float *in = (float *)room, *out = (float *)(room += array_bytes(all * m->from_floats));
    float *gate = (float *)(room += array_bytes(all * m->to_floats));
    room += array_bytes(all * m->to_floats);
    const float *from;
    cnn_finish finish = {.activation = CNN_IDENTITY};
    const cnn_bf16_finish *f = m->finish;
    int64_t at = first * m->result_floats, count = images * m->result_floats;
    cnn_status status = staged(m->from, m->from_storage, first * m->from_floats, images * m->from_floats, in, &from);
    if (f) {
        finish = (cnn_finish){.bias = f->bias,
                              .activation = f->activation,
                              .pooled = f->pooled,
                              .taps = f->taps ? f->taps + at : NULL};
        if (status == CNN_OK) status = staged(f->add, m->to_storage, at, count, out, &finish.add);
        if (status == CNN_OK) status = staged(f->gate, m->to_storage, at, count, gate, &finish.gate);
    }
    if (status != CNN_OK) return status;
    float *to = m->to_storage == CNN_FLOAT32 ? (float *)m->to + at : out;
    status = m->pass == CNN_FORWARD ? cnn_conv2d_forward(&some, from, m->weight, m->packed, &finish, to, room)
                                    : cnn_conv2d_backward_data(&some, from, m->weight, m->packed, &finish, to, room);
    if (status != CNN_OK || m->to_storage == CNN_FLOAT32) return status;
    return cnn_bf16_round(count, out, (uint16_t *)m->to + at);
}

static cnn_status map(const struct map_pass *m, void *room) {
    int64_t images = stage_images(m->sizes);
    for (int64_t first = 0; first < m->sizes->n; first += images) {
        cnn_status status = map_images(m, first, CNN_MIN(images, m->sizes->n - first), room);
        if (status != CNN_OK) return status;
    }
    return CNN_OK;
}

static cnn_status forward(const cnn_bf16_conv2d *p, const void *x, const float *weight, const void *packed,
                          const cnn_bf16_finish *finish, void *y, void *room) {
    const cnn_conv2d *s = &p->sizes;
    int64_t result = finish && finish->pooled ? (s->oh / 2) * (s->ow / 2) * s->k : y_floats(s);
    struct map_pass m = {s, CNN_FORWARD, p->x, p->y, x_floats(s), y_floats(s), result, x, weight, packed, finish, y};
    return map(&m, room);
}

static cnn_status backward_data(const cnn_bf16_conv2d *p, const void *dy, const float *weight, const void *packed,
                                const cnn_bf16_finish *finish, void *dx, void *room) {
    const cnn_conv2d *s = &p->sizes;
    struct map_pass m = {
        s, CNN_BACKWARD_DATA, p->y, p->x, y_floats(s), x_floats(s), x_floats(s), dy, weight, packed, finish, dx};
    return map(&m, room);
}

/* The gradients of some images after the other's, added up in this order. */
static cnn_status backward_weights(const cnn_bf16_conv2d *p, const void *x, const void *dy, float *dweight,
                                   float *dbias, void *workspace) {
    const cnn_conv2d *s = &p->sizes;
    int64_t images = stage_images(s), weights = weight_floats(s);
    char *room = workspace;
    float *x_room = (float *)room, *dy_room = (float *)(room += array_bytes(images * x_floats(s)));
    float *dweights = (float *)(room += array_bytes(images * y_floats(s)));
    float *dbiases = (float *)(room += array_bytes(weights));
    room += array_bytes(s->k);
    for (int64_t first = 0; first < s->n; first += images) {
        int64_t count = CNN_MIN(images, s->n - first);
        cnn_conv2d some = part(s, count);
        const float *from, *gradient;
        cnn_status status = staged(x, p->x, first * x_floats(s), count * x_floats(s), x_room, &from);
        if (status == CNN_OK) status = staged(dy, p->y, first * y_floats(s), count * y_floats(s), dy_room, &gradient);
        if (status == CNN_OK)
            status = cnn_conv2d_backward_weights(&some, from, gradient, first ? dweights : dweight,
                                                 dbias && first ? dbiases : dbias, room);
        if (status == CNN_OK && first) status = cnn_add(weights, dweight, dweights, dweight);
        if (status == CNN_OK && first && dbias) status = cnn_add(s->k, dbias, dbiases, dbias);
        if (status != CNN_OK) return status;
    }
    return CNN_OK;
}

const struct bf16_family cnn_bf16_staged = {.suits = suits,
                                            .workspace = workspace,
                                            .packed = packed_bytes,
                                            .pack = pack,
                                            .forward = forward,
                                            .backward_data = backward_data,
                                            .backward_weights = backward_weights,
                                            .pools = pools};
