/* Depthwise convolutions' backward-weights over bfloat16: which version runs. depthwise_weights.c calls it; the vector
 * version is depthwise_weights_tmpl.c once more, with loads that expand. Gradients of weights are float32: nothing is
 * rounded, so that the instructions for bfloat16 have no part in it. */
#include "depthwise_weights.h"

#include "stored_half.h"
#define CNN_TEMPLATE "depthwise_weights_tmpl.c"
#include "foreach_isa.h"

static const struct depthwise_weights_kernels *const tables[] = CNN_TABLES(half_depthwise_weights_kernels);

const struct depthwise_weights_kernels *cnn_bf16_depthwise_weights(int64_t channels) {
    int index = cnn_table_index();
    while (index > 0 && tables[index]->lanes > channels) index--;
    return tables[index];
}
