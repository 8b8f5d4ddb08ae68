/* Convolutions over bfloat16: entry points, checks, and the choice of a family for each layer and pass. bf16_conv.h has
 * the table of families and what one is. */
#include "bf16_conv.h"

/* ---- checks ---- */

static bool valid(const cnn_bf16_conv2d *p, int pass) {
    if (pass < CNN_FORWARD || pass > CNN_BACKWARD_WEIGHTS) return false;
    if (p->x < CNN_FLOAT32 || p->x > CNN_BFLOAT16 || p->y < CNN_FLOAT32 || p->y > CNN_BFLOAT16) return false;
    return p->x + p->y > 0 && cnn_conv2d_workspace(&p->sizes, pass) >= 0;
}

static bool finish_valid(const cnn_bf16_conv2d *p, const cnn_bf16_finish *f) {
    if (!f) return true;
    if (f->activation < CNN_IDENTITY || f->activation > CNN_RELU6) return false;
    return !f->pooled || (cnn_bf16_conv2d_pools(p) && !f->add && !f->gate);
}

/* ---- choices ---- */

#define CNN_BF16_LISTED(name) &name,
static const struct bf16_family *const families[] = {CNN_BF16_FAMILIES(CNN_BF16_LISTED)};

/* By shape, and by what instruction set and words are active: workspace, packed weights and results belong to these. */
static const struct bf16_family *chosen(const cnn_bf16_conv2d *p, int pass) {
    int i = 0;
    while (!families[i]->suits(p, pass) || (families[i]->runs && !families[i]->runs())) i++;
    return families[i];
}

/* ---- entry points ---- */

int cnn_bf16_conv2d_pools(const cnn_bf16_conv2d *p) {
    if (!valid(p, CNN_FORWARD) || p->sizes.oh < 2 || p->sizes.ow < 2) return 0;
    return chosen(p, CNN_FORWARD)->pools(p);
}

int64_t cnn_bf16_conv2d_workspace(const cnn_bf16_conv2d *p, int pass) {
    return valid(p, pass) ? chosen(p, pass)->workspace(p, pass) : -1;
}

int64_t cnn_bf16_conv2d_packed(const cnn_bf16_conv2d *p, int pass) {
    return valid(p, pass) && pass != CNN_BACKWARD_WEIGHTS ? chosen(p, pass)->packed(p, pass) : -1;
}

cnn_status cnn_bf16_conv2d_pack(const cnn_bf16_conv2d *p, int pass, const float *weight, void *packed) {
    if (!valid(p, pass) || pass == CNN_BACKWARD_WEIGHTS) return CNN_INVALID;
    return chosen(p, pass)->packed(p, pass) ? chosen(p, pass)->pack(p, pass, weight, packed) : CNN_OK;
}

cnn_status cnn_bf16_conv2d_forward(const cnn_bf16_conv2d *p, const void *x, const float *weight, const void *packed,
                                   const cnn_bf16_finish *finish, void *y, void *workspace) {
    if (!valid(p, CNN_FORWARD) || !finish_valid(p, finish)) return CNN_INVALID;
    return chosen(p, CNN_FORWARD)->forward(p, x, weight, packed, finish, y, workspace);
}

cnn_status cnn_bf16_conv2d_backward_data(const cnn_bf16_conv2d *p, const void *dy, const float *weight,
                                         const void *packed, const cnn_bf16_finish *finish, void *dx, void *workspace) {
    if (!valid(p, CNN_BACKWARD_DATA) || !finish_valid(p, finish) || (finish && finish->pooled)) return CNN_INVALID;
    return chosen(p, CNN_BACKWARD_DATA)->backward_data(p, dy, weight, packed, finish, dx, workspace);
}

cnn_status cnn_bf16_conv2d_backward_weights(const cnn_bf16_conv2d *p, const void *x, const void *dy, float *dweight,
                                            float *dbias, void *workspace) {
    if (!valid(p, CNN_BACKWARD_WEIGHTS)) return CNN_INVALID;
    return chosen(p, CNN_BACKWARD_WEIGHTS)->backward_weights(p, x, dy, dweight, dbias, workspace);
}
