/* Compiles the file named by CNN_TEMPLATE for AVX2; see foreach_isa.h. Nothing on other processors than x86-64. */
#if CNN_X86

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define ISA_SUFFIX _avx2
#define VLEN 8
#include "simd.h"
#include CNN_TEMPLATE
#undef ISA_SUFFIX
#undef VLEN
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
