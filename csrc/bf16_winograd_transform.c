/* The transforms before the products of the Winograd convolutions over bfloat16: which version runs.
 * winograd_transform.c calls it; the vector version is winograd_transform_tmpl.c, compiled with CNN_STORED_BF16. */
#include "winograd.h"

#define CNN_STORED_BF16 1
#include "winograd_taps.h"
#define CNN_TEMPLATE "winograd_transform_tmpl.c"
#include "isa_avx512.h"
#include "isa_bf16.h"

const struct winograd_transforms *cnn_bf16_winograd_transforms(void) {
#if CNN_X86
    return cnn_words_active() & CNN_WORD_BF16 ? &winograd_transforms_bf16 : &winograd_transforms_avx512;
#else
    return NULL;
#endif
}
