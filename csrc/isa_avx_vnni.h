/* Compiles the file named by CNN_TEMPLATE for AVX2 with AVX-VNNI, the word CNN_WORD_AVX_VNNI; see foreach_isa.h. Nothing
 * where CNN_AVX_VNNI is 0. */
#if CNN_AVX_VNNI

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,avxvnni"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,avxvnni")
#endif
#define ISA_SUFFIX _avx_vnni
#define VLEN 8
#define CNN_VNNI 1
#include "simd.h"
#include CNN_TEMPLATE
#undef ISA_SUFFIX
#undef VLEN
#undef CNN_VNNI
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
