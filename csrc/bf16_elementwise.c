/* Addition, a factor and dropout over maps of bfloat16: a part of elementwise_tmpl.c once more, with loads that expand
 * and stores that round, and the plain loops. elementwise.c has the entry points. */
#include "elementwise.h"

static void add_reference(int64_t count, const void *first, const void *second, void *sum) {
    const uint16_t *a = first, *b = second;
    uint16_t *out = sum;
    for (int64_t i = 0; i < count; i++) out[i] = cnn_bf16_of(cnn_bf16_to_float(a[i]) + cnn_bf16_to_float(b[i]));
}

static void scale_reference(int64_t count, float factor, const void *from, void *to) {
    const uint16_t *x = from;
    uint16_t *y = to;
    for (int64_t i = 0; i < count; i++) y[i] = cnn_bf16_of(factor * cnn_bf16_to_float(x[i]));
}

static void dropout_reference(uint32_t first_key, uint32_t second_key, int32_t threshold, float scale, int64_t count,
                              const void *from, void *to) {
    const uint16_t *x = from;
    uint16_t *y = to;
    for (int64_t i = 0; i < count; i++) {
        bool kept = (int32_t)(elementwise_bits(first_key, second_key, (uint32_t)i) >> 8) >= threshold;
        y[i] = kept ? cnn_bf16_of(cnn_bf16_to_float(x[i]) * scale) : 0;
    }
}

#include "stored_half.h"
#define CNN_TEMPLATE "elementwise_tmpl.c"
#include "foreach_isa.h"
#include "isa_bf16.h"

static const struct value_kernels reference = {add_reference, scale_reference, dropout_reference};
static const struct value_kernels *const tables[] = CNN_TABLES(half_value_kernels);

const struct value_kernels *cnn_bf16_values(void) {
    if (cnn_use_reference()) return &reference;
#if CNN_X86
    if (cnn_words_active() & CNN_WORD_BF16) return &half_value_kernels_bf16;
#endif
    return tables[cnn_table_index()];
}
