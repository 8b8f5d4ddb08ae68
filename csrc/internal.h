/* What every operation's file shares: checked sizes, the parallel loop, scratch memory and the dispatch table.
 * README.md says how this folder is laid out and how a kernel is added; pointwise.c is the shortest example. */
#ifndef CNN_INTERNAL_H
#define CNN_INTERNAL_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cnn.h"
#include "cnn_bf16.h"
#include "cnn_int8.h"

#if defined(__x86_64__) || defined(_M_X64)
#define CNN_X86 1
#include <immintrin.h>
#else
#define CNN_X86 0
#endif
#if defined(__aarch64__)
#include <arm_neon.h>
#endif

/* Whether the compiler's assembler knows AMX and there is an operating system that lets us use it. */
#if CNN_X86 && defined(__linux__) && (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)
#define CNN_AMX 1
#else
#define CNN_AMX 0
#endif

/* Whether the compiler knows AVX-VNNI. */
#if CNN_X86 && (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)
#define CNN_AVX_VNNI 1
#else
#define CNN_AVX_VNNI 0
#endif

/* Four lanes of a and b, which have four each; a's are 0 … 3, b's 4 … 7. */
#if defined(__clang__)
#define CNN_MIX(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define CNN_MIX(a, b, i, j, k, l) __builtin_shuffle(a, b, (int __attribute__((vector_size(16)))){i, j, k, l})
#endif

#define CNN_MIN(a, b) ((a) < (b) ? (a) : (b))
#define CNN_MAX(a, b) ((a) > (b) ? (a) : (b))

static inline int64_t cnn_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t cnn_round_up(int64_t a, int64_t b) { return cnn_ceil_div(a, b) * b; }

/* Whether the product of `count` sizes is positive and, times `element` bytes, fits into 2^62: everything that
 * indexes memory is checked with this once, at the boundary. */
bool cnn_sizes_fit(int64_t element, int count, const int64_t *sizes);

/* One chunk of an operation's work. Chunks are cut by shape alone, never by the number of threads, and whatever
 * they sum is added in chunk order: that is what makes results independent of the number of threads. */
typedef cnn_status (*cnn_chunk)(void *context, int64_t chunk);

/* Runs work(context, 0 … chunks-1), on the pool where it is free, otherwise in the calling thread. Denormals are
 * flushed to zero while chunks run and the caller's floating-point state is put back. Returns the first failure
 * in chunk order; CNN_OK if there was none. */
cnn_status cnn_parallel(cnn_chunk work, void *context, int64_t chunks);

/* The same, but in the calling thread alone where there is too little work to share: so many multiply-adds in all. */
cnn_status cnn_parallel_sized(cnn_chunk work, void *context, int64_t chunks, double multiply_adds);

/* 64-byte aligned memory that belongs to the calling thread and lasts until its next call of cnn_scratch; NULL
 * where there is none left. Contents are not kept from one call to the next. */
void *cnn_scratch(size_t bytes);

/* Picks a vector kernel's table for the active ISA. `tables` is CNN_TABLES(name); never called for the
 * reference, which the entry points handle themselves. */
#if CNN_X86
#define CNN_TABLES(name) {&name##_baseline, &name##_avx2, &name##_avx512}
#else
#define CNN_TABLES(name) {&name##_baseline}
#endif
static inline bool cnn_use_reference(void) { return cnn_isa_active() == CNN_ISA_REFERENCE; }
static inline int cnn_table_index(void) { return cnn_isa_active() - CNN_ISA_BASELINE; }

/* Declares the tables that lie in a file for each instruction set. */
#define CNN_DECLARE_TABLES(kernels, name) extern const struct kernels name##_baseline, name##_avx2, name##_avx512

/* In a template: the name with the instruction set's suffix. */
#define CNN_PASTE_(a, b) a##b
#define CNN_PASTE(a, b) CNN_PASTE_(a, b)
#define ISA(name) CNN_PASTE(name, ISA_SUFFIX)

/* Elementwise work is cut into pieces of this many floats: 64 KiB, enough to hide the cost of a chunk. */
#define CNN_PIECE 16384

#define CNN_LINE 64 /* bytes of a cache line, on most machines */

#endif
