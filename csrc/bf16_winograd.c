/* Winograd convolutions over bfloat16, where the CPU has dot products of it. The work is cut as for float32, by
 * winograd.c and winograd_weights.c. What differs is what the templates make of CNN_STORED_BF16: pixels are read and
 * results stored as bfloat16, and so are V, W and U, whose products are added up as float32. */
#include "bf16_conv.h"
#include "winograd.h"

static bool suits(const cnn_bf16_conv2d *p, int pass) {
    return p->x == CNN_BFLOAT16 && p->y == CNN_BFLOAT16 && cnn_winograd_suits(&p->sizes, pass);
}

static bool runs(void) { return cnn_words_active() & (CNN_WORD_BF16 | CNN_WORD_BF16_PLAIN); }

static int64_t workspace(const cnn_bf16_conv2d *p, int pass) {
    return cnn_winograd_workspace(&p->sizes, pass, true) * (int64_t)sizeof(float);
}

static int64_t packed_bytes(const cnn_bf16_conv2d *p, int pass) {
    return cnn_winograd_packed(&p->sizes, pass, true) * (int64_t)sizeof(float);
}

static bool pools(const cnn_bf16_conv2d *p) {
    (void)p;
    return true;
}

static cnn_status pack(const cnn_bf16_conv2d *p, int pass, const float *weight, void *packed) {
    return cnn_winograd_pack(&p->sizes, pass, true, weight, packed);
}

static cnn_status forward(const cnn_bf16_conv2d *p, const void *x, const float *weight, const void *packed,
                          const cnn_bf16_finish *finish, void *y, void *room) {
    (void)weight;
    return cnn_winograd_map(&p->sizes, CNN_FORWARD, true, x, packed, finish, y, room);
}

static cnn_status backward_data(const cnn_bf16_conv2d *p, const void *dy, const float *weight, const void *packed,
                                const cnn_bf16_finish *finish, void *dx, void *room) {
    (void)weight;
    return cnn_winograd_map(&p->sizes, CNN_BACKWARD_DATA, true, dy, packed, finish, dx, room);
}

static cnn_status backward_weights(const cnn_bf16_conv2d *p, const void *x, const void *dy, float *dweight,
                                   float *dbias, void *room) {
    return cnn_winograd_weights(&p->sizes, true, x, dy, dweight, dbias, room);
}

const struct bf16_family cnn_bf16_winograd = {.suits = suits,
                                              .runs = runs,
                                              .workspace = workspace,
                                              .packed = packed_bytes,
                                              .pack = pack,
                                              .forward = forward,
                                              .backward_data = backward_data,
                                              .backward_weights = backward_weights,
                                              .pools = pools};
