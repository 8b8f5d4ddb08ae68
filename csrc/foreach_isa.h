/* Compiles the file named by CNN_TEMPLATE once for each instruction set. Inside it, ISA(name) is the name with
 * the instruction set's suffix, VLEN the floats in a vector, and simd.h's vector words are at hand. An
 * operation's .c file defines CNN_TEMPLATE and includes this once, after internal.h. Where a template takes seconds to
 * compile, a file for each instruction set (gemm_avx2.c) includes one of the three below instead, so that they are
 * compiled side by side.
 *
 * The instruction set is set by pragma and not by compiler flag, because a cffi extension has one list of flags
 * for all its sources, and what ships must run on the oldest CPU. */
#include "isa_baseline.h"

#include "isa_avx2.h"

#include "isa_avx512.h"
