/* Compiles the file named by CNN_TEMPLATE as isa_avx_vnni.h does, but with AVX2's own instructions: for tests, the word
 * CNN_WORD_AVX_VNNI_PLAIN. Nothing on other processors than x86-64. */
#if CNN_X86

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define ISA_SUFFIX _avx_vnni_plain
#define VLEN 8
#define CNN_VNNI 1
#define CNN_VNNI_PLAIN 1
#include "simd.h"
#include CNN_TEMPLATE
#undef ISA_SUFFIX
#undef VLEN
#undef CNN_VNNI
#undef CNN_VNNI_PLAIN
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
