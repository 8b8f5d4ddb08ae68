/* Which instruction sets this CPU has, and which one the kernels use. Every entry point asks cnn_isa_active();
 * the choice is made once, and Python sets another on behalf of CNN_ISA or of a test. */
#include "internal.h"

#include <stdatomic.h>
#if CNN_X86
#include <cpuid.h>
#endif
#if CNN_AMX
#include <sys/syscall.h>
#include <unistd.h>
#endif

static atomic_int active = -1;

int cnn_isa_supported(int isa) {
    if (isa == CNN_ISA_REFERENCE || isa == CNN_ISA_BASELINE) return 1;
#if CNN_X86
    /* __builtin_cpu_supports asks the operating system's saved-state mask too, not only CPUID. */
    __builtin_cpu_init();
    if (isa == CNN_ISA_AVX2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (isa == CNN_ISA_AVX512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("fma");
#endif
    return 0;
}

static int best(void) {
    for (int isa = CNN_ISA_AVX512; isa > CNN_ISA_BASELINE; isa--)
        if (cnn_isa_supported(isa)) return isa;
    return CNN_ISA_BASELINE;
}

int cnn_isa_active(void) {
    int isa = atomic_load_explicit(&active, memory_order_relaxed);
    if (isa < 0) {
        isa = best();
        atomic_store_explicit(&active, isa, memory_order_relaxed);
    }
    return isa;
}

cnn_status cnn_isa_set(int isa) {
    if (isa < CNN_ISA_REFERENCE || isa > CNN_ISA_AVX512 || !cnn_isa_supported(isa)) return CNN_NO_ISA;
    atomic_store_explicit(&active, isa, memory_order_relaxed);
    return CNN_OK;
}

/* ---- words ---- */

static atomic_int words = -1;

/* Which tiles the CPU has, if the operating system keeps them; Linux then has to be asked once for each process, and
 * threads and children may use them, too. It refuses where a thread's stack for signals is too small. */
static int tiles_granted(void) {
#if CNN_AMX
    static atomic_int granted = -1;
    enum { OSXSAVE = 1 << 27, TILES = 1 << 24, BF16 = 1 << 22, INT8 = 1 << 25, STATE = 3 << 17 };
    enum { REQUEST = 0x1023, TILE_DATA = 18 };
    unsigned eax, ebx, ecx, edx, low, high;
    int known = atomic_load_explicit(&granted, memory_order_relaxed);
    if (known >= 0) return known;
    known = 0;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & OSXSAVE) && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) &&
        (edx & TILES)) {
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        if ((low & STATE) == STATE && syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0)
            known = (edx & BF16 ? CNN_WORD_AMX_BF16 : 0) | (edx & INT8 ? CNN_WORD_AMX_INT8 : 0);
    }
    atomic_store_explicit(&granted, known, memory_order_relaxed);
    return known;
#else
    return 0;
#endif
}

/* Whether AVX2's kernels may use AVX-VNNI: bit 4 of CPUID's leaf 7, 1. */
static bool has_avx_vnni(void) {
#if CNN_AVX_VNNI
    unsigned eax, ebx, ecx, edx;
    return cnn_isa_supported(CNN_ISA_AVX2) && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && eax >= 1 &&
           __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & 1 << 4);
#else
    return false;
#endif
}

static int words_of_cpu(void) {
    int found = 0;
#if CNN_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512vnni")) found |= CNN_WORD_VNNI;
    if (__builtin_cpu_supports("avx512bf16")) found |= CNN_WORD_BF16;
    if (has_avx_vnni()) found |= CNN_WORD_AVX_VNNI;
    if (found & CNN_WORD_BF16) found |= tiles_granted(); /* isa_amx.h has it as well */
#endif
    return found;
}

int cnn_words_active(void) {
    int set = atomic_load_explicit(&words, memory_order_relaxed);
    if (set < 0) {
        set = words_of_cpu();
        atomic_store_explicit(&words, set, memory_order_relaxed);
    }
    enum { AVX2 = CNN_WORD_AVX_VNNI | CNN_WORD_AVX_VNNI_PLAIN, ANY = CNN_WORD_AMX_PLAIN };
    switch (cnn_isa_active()) {
        case CNN_ISA_REFERENCE: return 0;
        case CNN_ISA_BASELINE: return set & ANY;
        case CNN_ISA_AVX2: return set & (AVX2 | ANY);
        default: return set & ~AVX2;
    }
}

cnn_status cnn_words_set(int wanted) {
    enum { PLAIN = CNN_WORD_BF16_PLAIN | CNN_WORD_AMX_PLAIN | CNN_WORD_AVX_VNNI_PLAIN };
    if (wanted < 0 || (wanted & ~(words_of_cpu() | PLAIN))) return CNN_NO_ISA;
    atomic_store_explicit(&words, wanted, memory_order_relaxed);
    return CNN_OK;
}

bool cnn_sizes_fit(int64_t element, int count, const int64_t *sizes) {
    int64_t product = element;
    for (int i = 0; i < count; i++) {
        if (sizes[i] <= 0) return false;
        if (__builtin_mul_overflow(product, sizes[i], &product) || product > ((int64_t)1 << 62)) return false;
    }
    return product > 0;
}
