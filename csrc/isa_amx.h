/* Compiles the file named by CNN_TEMPLATE for AVX-512 with bfloat16 and AMX's tiles, the words CNN_WORD_AMX_BF16 and
 * CNN_WORD_AMX_INT8; see foreach_isa.h. Nothing where CNN_AMX is 0. Tiles need no target of their own: tiles.h writes
 * their instructions. */
#if CNN_AMX

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,prefer-vector-width=512")
#endif
#define ISA_SUFFIX _amx
#define VLEN 16
#define CNN_BF16 1
#define CNN_TILES 1
#include "simd.h"
#include CNN_TEMPLATE
#undef ISA_SUFFIX
#undef VLEN
#undef CNN_BF16
#undef CNN_TILES
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
