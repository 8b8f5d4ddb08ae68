/* Convolutions over bfloat16 as products of matrices, where the CPU multiplies pairs of them: the family, forward and
 * backward-data. The work is cut and windows are gathered as those of float32 are (conv_dense.c): two neighbouring
 * channels lie in 32 bits and move together. bf16_dense_product.c multiplies, sums are float32, and a result is rounded
 * once, after all that is done to it. */
#include "bf16_dense.h"
#include "conv_family.h"

#define FEWEST_CHANNELS 8 /* of a group */

static bool channels_suit(int64_t channels, int64_t groups) {
    return channels / groups >= FEWEST_CHANNELS && channels / groups % 2 == 0;
}

/* Winograd's way is faster even by way of float32. */
static bool suits(const cnn_bf16_conv2d *p, int pass) {
    const cnn_conv2d *s = &p->sizes;
    return p->x == CNN_BFLOAT16 && p->y == CNN_BFLOAT16 && channels_suit(s->c, s->groups) &&
           channels_suit(s->k, s->groups) && !cnn_winograd.suits(s, pass);
}

static bool runs(void) { return cnn_half() != NULL; }

static int64_t workspace_bytes(const cnn_bf16_conv2d *p, int pass) {
    return cnn_dense_workspace(&p->sizes, pass) * (int64_t)sizeof(float);
}

static bool pools(const cnn_bf16_conv2d *p) {
    (void)p;
    return false;
}

/* Arrays of bfloat16 in the place of arrays of float. */
static cnn_finish finish_of(const cnn_bf16_finish *f) {
    if (!f) return (cnn_finish){.activation = CNN_IDENTITY};
    return (cnn_finish){.bias = f->bias, .add = f->add, .activation = f->activation, .gate = f->gate};
}

static cnn_status forward(const cnn_bf16_conv2d *p, const void *x, const float *weight, const void *packed,
                          const cnn_bf16_finish *f, void *y, void *workspace) {
    (void)weight, (void)workspace;
    const cnn_conv2d *s = &p->sizes;
    struct conv_view view = cnn_half_view(cnn_conv_forward_view(s));
    cnn_finish finish = finish_of(f);
    struct dense_product wanted = {.view = &view,
                                   .columns = s->k / s->groups,
                                   .product = cnn_half()->product,
                                   .half = true,
                                   .source = x,
                                   .packed = packed,
                                   .finish = &finish,
                                   .out = y};
    return cnn_dense_multiply(s, &wanted);
}

static cnn_status backward_data(const cnn_bf16_conv2d *p, const void *dy, const float *weight, const void *packed,
                                const cnn_bf16_finish *f, void *dx, void *workspace) {
    (void)weight, (void)workspace;
    const cnn_conv2d *s = &p->sizes;
    const char *at = packed;
    cnn_finish finish = finish_of(f);
    struct dense_product wanted = {.columns = s->c / s->groups,
                                   .product = cnn_half()->product,
                                   .half = true,
                                   .source = dy,
                                   .finish = &finish,
                                   .out = dx};
    for (int64_t class = 0; class < cnn_dense_classes(s); class++) {
        struct conv_view view = cnn_half_view(cnn_dense_class_view(s, class));
        wanted.view = &view;
        wanted.packed = (const float *)at;
        cnn_status status = cnn_dense_multiply(s, &wanted);
        if (status != CNN_OK) return status;
        at += cnn_half_view_packed(s, &view, wanted.columns);
    }
    return CNN_OK;
}

const struct bf16_family cnn_bf16_dense = {.suits = suits,
                                           .runs = runs,
                                           .workspace = workspace_bytes,
                                           .packed = cnn_half_packed,
                                           .pack = cnn_half_pack,
                                           .forward = forward,
                                           .backward_data = backward_data,
                                           .backward_weights = cnn_half_backward_weights,
                                           .pools = pools};
