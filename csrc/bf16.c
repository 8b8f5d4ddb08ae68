/* From bfloat16 to float32 and back. Entry points, checks and the plain-loop reference; the vector version is
 * bf16_tmpl.c. */
#include "bf16_numbers.h"

struct bf16_kernels {
    void (*expand)(int64_t count, const uint16_t *x, float *y);
    void (*round)(int64_t count, const float *x, uint16_t *y);
};

static void expand_reference(int64_t count, const uint16_t *x, float *y) {
    for (int64_t i = 0; i < count; i++) y[i] = cnn_bf16_to_float(x[i]);
}

static void round_reference(int64_t count, const float *x, uint16_t *y) {
    for (int64_t i = 0; i < count; i++) y[i] = cnn_bf16_of(x[i]);
}

#define CNN_TEMPLATE "bf16_tmpl.c"
#include "foreach_isa.h"
#include "isa_bf16.h"

static const struct bf16_kernels reference = {expand_reference, round_reference};
static const struct bf16_kernels *const tables[] = CNN_TABLES(bf16_kernels);

static const struct bf16_kernels *kernels(void) {
    if (cnn_use_reference()) return &reference;
#if CNN_X86
    if (cnn_words_active() & CNN_WORD_BF16) return &bf16_kernels_bf16;
#endif
    return tables[cnn_table_index()];
}

void cnn_bf16_expand_some(int64_t count, const uint16_t *x, float *y) { kernels()->expand(count, x, y); }
void cnn_bf16_round_some(int64_t count, const float *x, uint16_t *y) { kernels()->round(count, x, y); }

struct convert_work {
    int64_t count;
    const uint16_t *half_in;
    const float *float_in;
    uint16_t *half_out;
    float *float_out;
};

static cnn_status convert_piece(void *context, int64_t piece) {
    const struct convert_work *w = context;
    int64_t at = piece * CNN_PIECE, count = CNN_MIN(CNN_PIECE, w->count - at);
    if (w->half_in) kernels()->expand(count, w->half_in + at, w->float_out + at);
    else kernels()->round(count, w->float_in + at, w->half_out + at);
    return CNN_OK;
}

static cnn_status convert(const struct convert_work *w) {
    if (!cnn_sizes_fit(sizeof(float), 1, &w->count)) return CNN_INVALID;
    return cnn_parallel(convert_piece, (void *)w, cnn_ceil_div(w->count, CNN_PIECE));
}

cnn_status cnn_bf16_expand(int64_t count, const uint16_t *x, float *y) {
    return convert(&(struct convert_work){.count = count, .half_in = x, .float_out = y});
}

cnn_status cnn_bf16_round(int64_t count, const float *x, uint16_t *y) {
    return convert(&(struct convert_work){.count = count, .float_in = x, .half_out = y});
}
