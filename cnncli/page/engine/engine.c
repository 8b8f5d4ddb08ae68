/* What a page computes with: all of export/runtime.c as one WebAssembly module, whose functions the page's script calls
 * (engine.js). `sh scripts/build_engine.sh` makes engine.wasm of it. SIMD, but nothing whose result depends on the
 * machine: no fused multiply-add, no relaxed SIMD, no threads. */
#include <stddef.h>
#include <stdint.h>

#define PART __attribute__((visibility("default")))

/* Memory is taken from the end of what has been taken, and given back to a mark, all that came after it at once. */
extern unsigned char __heap_base;
static uintptr_t end_of_taken;

PART uintptr_t taken(void) {
    if (!end_of_taken) end_of_taken = (uintptr_t)&__heap_base;
    return end_of_taken;
}

PART void give_back_to(uintptr_t mark) { end_of_taken = mark; }

PART void *malloc(size_t bytes) {
    uintptr_t begin = (taken() + 15) & ~(uintptr_t)15, pages = ((uintptr_t)bytes + begin + 65535) >> 16;
    if ((uintptr_t)bytes + begin < begin) return NULL;
    if (pages > __builtin_wasm_memory_size(0) &&
        __builtin_wasm_memory_grow(0, pages - __builtin_wasm_memory_size(0)) == (size_t)-1)
        return NULL;
    end_of_taken = begin + bytes;
    return (void *)begin;
}

void free(void *taken_by_malloc) { (void)taken_by_malloc; }

#include "../../export/runtime.c"

#include "head.c"

/* Numbers of 16 bits as floats: page/program.py stores them so where a network is large. */
PART void widen(const uint16_t *x, long count, float *y) {
    for (long i = 0; i < count; i++) {
        uint32_t size = (uint32_t)(x[i] & 0x7fff) << 13, sign = (uint32_t)(x[i] & 0x8000) << 16;
        float value;
        memcpy(&value, &size, sizeof value);
        value *= 0x1p112f; /* the exponent's other bias; denormal numbers become what they are */
        memcpy(&size, &value, sizeof value);
        size |= sign;
        memcpy(y + i, &size, sizeof value);
    }
}
