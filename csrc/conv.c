/* Convolutions: entry points, checks, and the choice of a family for each layer and pass. conv_family.h has the table
 * of families and what one is, conv_reference.c the plain loops; the layers are cnncli/layers/conv.py and linear.py. */
#include "conv_family.h"
#include "gemm.h"

/* ---- checks ---- */

#define LARGEST ((int64_t)1 << 40) /* of a single size: sums of a few products of two still fit */

static bool sizes_valid(const cnn_conv2d *p) {
    int64_t sizes[] = {p->n,        p->h,        p->w,          p->c,          p->k,      p->kh, p->kw,
                       p->stride_h, p->stride_w, p->dilation_h, p->dilation_w, p->groups, p->oh, p->ow};
    int64_t pads[] = {p->pad_top, p->pad_bottom, p->pad_left, p->pad_right};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i] < 1 || sizes[i] > LARGEST) return false;
    for (size_t i = 0; i < sizeof pads / sizeof *pads; i++)
        if (pads[i] < 0 || pads[i] > LARGEST) return false;
    return p->c % p->groups == 0 && p->k % p->groups == 0;
}

/* Whether `out` results of `taps` taps fill a side. */
static bool side_valid(int64_t side, int64_t before, int64_t after, int64_t taps, int64_t dilation, int64_t stride,
                       int64_t out) {
    int64_t reach;
    if (__builtin_mul_overflow(taps - 1, dilation, &reach) || reach > LARGEST * 4) return false;
    int64_t room = side + before + after - reach - 1;
    return room >= 0 && room / stride + 1 == out;
}

static bool valid(const cnn_conv2d *p) {
    if (!sizes_valid(p)) return false;
    if (!side_valid(p->h, p->pad_top, p->pad_bottom, p->kh, p->dilation_h, p->stride_h, p->oh)) return false;
    if (!side_valid(p->w, p->pad_left, p->pad_right, p->kw, p->dilation_w, p->stride_w, p->ow)) return false;
    /* 64: packed weights are padded to whole panels, and backward-weights keeps several partial sums. */
    int64_t x[] = {p->n, p->h, p->w, p->c}, y[] = {p->n, p->oh, p->ow, p->k};
    int64_t weight[] = {p->k + CNN_WIDEST_PANEL, p->c + CNN_WIDEST_PANEL, p->kh, p->kw, 64};
    return cnn_sizes_fit(sizeof(float), 4, x) && cnn_sizes_fit(sizeof(float), 4, y) &&
           cnn_sizes_fit(sizeof(float), 5, weight);
}

static bool finish_valid(const cnn_finish *f) {
    return !f || (f->activation >= CNN_IDENTITY && f->activation <= CNN_RELU6);
}

/* ---- choices ---- */

#define CNN_LISTED(name) &name,
static const struct conv_family *const families[] = {CNN_CONV_FAMILIES(CNN_LISTED)};

/* The same on every instruction set, because packed weights and workspace have one size on all of them. */
static const struct conv_family *chosen(const cnn_conv2d *p, int pass) {
    int i = 0;
    while (!families[i]->suits(p, pass)) i++;
    return families[i];
}

static const struct conv_family *running(const cnn_conv2d *p, int pass) {
    return cnn_use_reference() ? &cnn_conv_reference : chosen(p, pass);
}

/* ---- entry points ---- */

int cnn_conv2d_pools(const cnn_conv2d *p) {
    return valid(p) && p->oh > 1 && p->ow > 1 && chosen(p, CNN_FORWARD)->pools;
}

static bool pooling_valid(const cnn_conv2d *p, const cnn_finish *f) {
    return !f || !f->pooled || (cnn_conv2d_pools(p) && !f->add && !f->gate);
}

int64_t cnn_conv2d_workspace(const cnn_conv2d *p, int pass) {
    if (!valid(p) || pass < CNN_FORWARD || pass > CNN_BACKWARD_WEIGHTS) return -1;
    return chosen(p, pass)->workspace(p, pass) * (int64_t)sizeof(float);
}

int64_t cnn_conv2d_packed(const cnn_conv2d *p, int pass) {
    if (!valid(p) || pass < CNN_FORWARD || pass > CNN_BACKWARD_DATA) return -1;
    return chosen(p, pass)->packed(p, pass) * (int64_t)sizeof(float);
}

cnn_status cnn_conv2d_pack(const cnn_conv2d *p, int pass, const float *weight, float *packed) {
    if (!valid(p) || pass < CNN_FORWARD || pass > CNN_BACKWARD_DATA) return CNN_INVALID;
    if (cnn_use_reference() || !chosen(p, pass)->packed(p, pass)) return CNN_OK;
    return chosen(p, pass)->pack(p, pass, weight, packed);
}

cnn_status cnn_conv2d_forward(const cnn_conv2d *p, const float *x, const float *weight, const float *packed,
                              const cnn_finish *finish, float *y, void *workspace) {
    if (!valid(p) || !finish_valid(finish) || !pooling_valid(p, finish)) return CNN_INVALID;
    return running(p, CNN_FORWARD)->forward(p, x, weight, packed, finish, y, workspace);
}

cnn_status cnn_conv2d_backward_data(const cnn_conv2d *p, const float *dy, const float *weight, const float *packed,
                                    const cnn_finish *finish, float *dx, void *workspace) {
    if (!valid(p) || !finish_valid(finish) || (finish && finish->pooled)) return CNN_INVALID;
    return running(p, CNN_BACKWARD_DATA)->backward_data(p, dy, weight, packed, finish, dx, workspace);
}

cnn_status cnn_conv2d_backward_weights(const cnn_conv2d *p, const float *x, const float *dy, float *dweight,
                                       float *dbias, void *workspace) {
    if (!valid(p)) return CNN_INVALID;
    return running(p, CNN_BACKWARD_WEIGHTS)->backward_weights(p, x, dy, dweight, dbias, workspace);
}
