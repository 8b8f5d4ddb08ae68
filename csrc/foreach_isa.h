/* Compiles the file named by CNN_TEMPLATE once for each instruction set. Inside it, ISA(name) is the name with
 * the instruction set's suffix, VLEN the floats in a vector, and simd.h's vector words are at hand. An
 * operation's .c file defines CNN_TEMPLATE and includes this once, after internal.h.
 *
 * The instruction set is set by pragma and not by compiler flag, because a cffi extension has one list of flags
 * for all its sources, and what ships must run on the oldest CPU. */

#define CNN_PASTE_(a, b) a##b
#define CNN_PASTE(a, b) CNN_PASTE_(a, b)
#define ISA(name) CNN_PASTE(name, ISA_SUFFIX)

#define ISA_SUFFIX _baseline
#define VLEN 4
#include "simd.h"
#include CNN_TEMPLATE
#undef ISA_SUFFIX
#undef VLEN

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

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")
#endif
#define ISA_SUFFIX _avx512
#define VLEN 16
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
