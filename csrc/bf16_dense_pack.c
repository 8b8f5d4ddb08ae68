/* Weights for dense convolutions over bfloat16: panels of units, as gemm.h has them of floats. A panel of floats is
 * made first (conv_dense_pack.c), whose rows are joined two by two: two neighbouring channels of one tap. */
#include "bf16_dense.h"

struct pack_work {
    struct dense_weights weights;
    float *packed;
    int64_t depth, group_packed, panels; /* in units */
    const struct gemm_width *width;
    const struct half_kernels *kernels;
};

static cnn_status pack_chunk(void *context, int64_t chunk) {
    const struct pack_work *w = context;
    int64_t columns = w->weights.columns, group = chunk / w->panels, panel = chunk % w->panels;
    int64_t first = cnn_panel_begin(w->width, columns, panel);
    int64_t width = cnn_panel_begin(w->width, columns, panel + 1) - first;
    float *floats = cnn_scratch((size_t)(2 * w->depth * width) * sizeof *floats);
    if (!floats) return CNN_NO_MEMORY;
    cnn_dense_pack_panel(&w->weights, group, first, width, floats);
    w->kernels->join(w->depth, width, floats, w->packed + group * w->group_packed + first * w->depth);
    return CNN_OK;
}

/* The weights of every group over this view of channels. */
static cnn_status pack_view(const cnn_conv2d *s, const struct conv_view *v, bool transposed, const float *weight,
                            void *packed) {
    struct pack_work work = {.weights = cnn_dense_weights(s, v, transposed, weight),
                             .packed = packed,
                             .depth = cnn_view_depth(v) / 2,
                             .width = &cnn_gemm()->width,
                             .kernels = cnn_half()};
    if (work.depth == 0) return CNN_OK;
    work.panels = cnn_panel_count(work.width, work.weights.columns);
    work.group_packed = cnn_packed_size(work.depth, work.weights.columns);
    return cnn_parallel(pack_chunk, &work, work.panels * s->groups);
}

int64_t cnn_half_packed(const cnn_bf16_conv2d *p, int pass) {
    return cnn_dense_packed(&p->sizes, pass) / 2 * (int64_t)sizeof(float);
}

cnn_status cnn_half_pack(const cnn_bf16_conv2d *p, int pass, const float *weight, void *packed) {
    const cnn_conv2d *s = &p->sizes;
    struct conv_view view = cnn_conv_forward_view(s), units;
    char *at = packed;
    if (pass == CNN_FORWARD) return pack_view(s, &view, false, weight, packed);
    for (int64_t class = 0; class < cnn_dense_classes(s); class++) {
        view = cnn_dense_class_view(s, class);
        units = cnn_half_view(view);
        cnn_status status = pack_view(s, &view, true, weight, at);
        if (status != CNN_OK) return status;
        at += cnn_half_view_packed(s, &units, s->c / s->groups);
    }
    return CNN_OK;
}
