/* Depthwise convolutions over bfloat16. depthwise.c and depthwise_weights.c cut the work, as for float32. Numbers are
 * expanded where they are loaded and rounded where they are stored. Between the two everything is float32, so that
 * results are those of float32 on the same numbers, rounded once. */
#include "bf16_conv.h"
#include "depthwise.h"

static bool suits(const cnn_bf16_conv2d *p, int pass) {
    return p->x == CNN_BFLOAT16 && p->y == CNN_BFLOAT16 && cnn_depthwise_suits(&p->sizes, pass);
}

static bool runs(void) { return !cnn_use_reference(); }

static int64_t workspace(const cnn_bf16_conv2d *p, int pass) {
    return cnn_depthwise_workspace(&p->sizes, pass) * (int64_t)sizeof(float);
}

static int64_t packed_bytes(const cnn_bf16_conv2d *p, int pass) {
    return cnn_depthwise_packed(&p->sizes, pass) * (int64_t)sizeof(float);
}

static bool pools(const cnn_bf16_conv2d *p) {
    (void)p;
    return false;
}

static cnn_status pack(const cnn_bf16_conv2d *p, int pass, const float *weight, void *packed) {
    return cnn_depthwise_pack(&p->sizes, pass, weight, packed);
}

static cnn_status forward(const cnn_bf16_conv2d *p, const void *x, const float *weight, const void *packed,
                          const cnn_bf16_finish *finish, void *y, void *room) {
    (void)weight, (void)room;
    return cnn_depthwise_map(&p->sizes, CNN_FORWARD, CNN_BFLOAT16, x, packed, finish, y);
}

static cnn_status backward_data(const cnn_bf16_conv2d *p, const void *dy, const float *weight, const void *packed,
                                const cnn_bf16_finish *finish, void *dx, void *room) {
    (void)weight, (void)room;
    return cnn_depthwise_map(&p->sizes, CNN_BACKWARD_DATA, CNN_BFLOAT16, dy, packed, finish, dx);
}

static cnn_status backward_weights(const cnn_bf16_conv2d *p, const void *x, const void *dy, float *dweight,
                                   float *dbias, void *room) {
    return cnn_depthwise_weights(&p->sizes, CNN_BFLOAT16, x, dy, dweight, dbias, room);
}

const struct bf16_family cnn_bf16_depthwise = {.suits = suits,
                                               .runs = runs,
                                               .workspace = workspace,
                                               .packed = packed_bytes,
                                               .pack = pack,
                                               .forward = forward,
                                               .backward_data = backward_data,
                                               .backward_weights = backward_weights,
                                               .pools = pools};
