/* A Cortex-M3 without an operating system that classifies images.h's images and prints, for each, its class and its
 * logits: test_cortex_m.py compiles it with the classifier.c that was exported, and runs it under QEMU. Output and the
 * end go through semihosting. Nothing is linked but what stands here, so that a call of a library does not link. */
#include <stddef.h>
#include <stdint.h>

#include "images.h"

int classify(const uint8_t *pixels);
extern const char *const class_names[];
extern const int class_count;
extern int32_t class_logits[];

extern uint32_t stack_top, bss_start, bss_end; /* the linker's */
void reset(void);
static void fault(void);
void *memset(void *to, int value, size_t count);
void *memcpy(void *to, const void *from, size_t count);

__attribute__((section(".vectors"), used)) static const void *const vectors[] = {
    &stack_top, (const void *)reset, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault, (const void *)fault};

static void host(uint32_t operation, const void *argument) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

static void print(const char *text) { host(4, text); }

static void print_number(int32_t value) {
    char text[16], *at = text + sizeof text;
    uint32_t size = value < 0 ? 0 - (uint32_t)value : (uint32_t)value;
    *--at = 0;
    do *--at = (char)('0' + size % 10);
    while (size /= 10);
    if (value < 0) *--at = '-';
    print(at);
    print(" ");
}

static void fault(void) {
    print("fault\n");
    host(0x18, (const void *)0x20024); /* ADP_Stopped_InternalError */
    for (;;) {}
}

/* Compilers call these, also where nobody wrote it. */
void *memset(void *to, int value, size_t count) {
    volatile uint8_t *at = to;
    while (count--) *at++ = (uint8_t)value;
    return to;
}

void *memcpy(void *to, const void *from, size_t count) {
    volatile uint8_t *at = to;
    const uint8_t *x = from;
    while (count--) *at++ = *x++;
    return to;
}

#define ALIAS(name, of) __asm__(".global " #name "\n.thumb_set " #name ", " #of "\n")
ALIAS(__aeabi_memcpy, memcpy);
ALIAS(__aeabi_memcpy4, memcpy);

/* The ABI's order of arguments is another one. */
void __aeabi_memclr(void *to, size_t count);
void __aeabi_memclr4(void *to, size_t count);
void __aeabi_memclr(void *to, size_t count) { memset(to, 0, count); }
void __aeabi_memclr4(void *to, size_t count) { memset(to, 0, count); }

void reset(void) {
    for (uint32_t *at = &bss_start; at < &bss_end; at++) *at = 0xa5a5a5a5; /* classify begins with no value */
    for (int i = 0; i < IMAGES; i++) {
        print_number(classify(images + i * IMAGE_BYTES));
        for (int k = 0; k < class_count; k++) print_number(class_logits[k]);
        print(class_names[0]);
        print("\n");
    }
    host(0x18, (const void *)0x20026); /* ADP_Stopped_ApplicationExit */
    for (;;) {}
}
