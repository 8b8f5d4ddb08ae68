/* Activations over maps of bfloat16: pointwise_tmpl.c once more, with loads that expand and stores that round, and the
 * plain loops. pointwise.c has the entry points. */
#include "pointwise.h"

static void forward_reference(int activation, float slope, int64_t count, const void *from, void *to) {
    const uint16_t *x = from;
    uint16_t *y = to;
    for (int64_t i = 0; i < count; i++)
        y[i] = cnn_bf16_of(pointwise_activate(activation, slope, cnn_bf16_to_float(x[i])));
}

static void backward_reference(int activation, float slope, int64_t count, const void *before, const void *behind,
                               const void *from, void *to) {
    const uint16_t *x = before, *y = behind, *dy = from;
    uint16_t *dx = to;
    for (int64_t i = 0; i < count; i++) {
        float in = x ? cnn_bf16_to_float(x[i]) : 0, out = y ? cnn_bf16_to_float(y[i]) : 0;
        dx[i] = cnn_bf16_of(pointwise_slope(activation, slope, in, out) * cnn_bf16_to_float(dy[i]));
    }
}

#include "stored_half.h"
#define CNN_TEMPLATE "pointwise_tmpl.c"
#include "foreach_isa.h"
#include "isa_bf16.h"

static const struct pointwise_kernels reference = {forward_reference, backward_reference};
static const struct pointwise_kernels *const tables[] = CNN_TABLES(half_pointwise_kernels);

const struct pointwise_kernels *cnn_bf16_pointwise(void) {
    if (cnn_use_reference()) return &reference;
#if CNN_X86
    if (cnn_words_active() & CNN_WORD_BF16) return &half_pointwise_kernels_bf16;
#endif
    return tables[cnn_table_index()];
}
