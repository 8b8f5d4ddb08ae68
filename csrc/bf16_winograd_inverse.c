/* The transforms behind the products of the Winograd convolutions over bfloat16: which version runs. winograd_inverse.c
 * calls it; the vector version is winograd_inverse_tmpl.c, compiled with CNN_STORED_BF16. */
#include "winograd.h"

#define CNN_STORED_BF16 1
#define CNN_TEMPLATE "winograd_inverse_tmpl.c"
#include "isa_avx512.h"
#include "isa_bf16.h"

const struct winograd_inverses *cnn_bf16_winograd_inverses(void) {
#if CNN_X86
    return cnn_words_active() & CNN_WORD_BF16 ? &winograd_inverses_bf16 : &winograd_inverses_avx512;
#else
    return NULL;
#endif
}
