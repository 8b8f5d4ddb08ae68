/* Preloaded: lets the n-th request for memory of at least so many bytes fail, and all later ones for a while if asked to.
 * test_memory.py sets the two with failing_malloc_at. Requests below that size are left alone: they are the
 * interpreter's own, which answers for them itself. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

static atomic_long left; /* requests until one fails; 0: none does */
static atomic_size_t least;
static atomic_long failed;

void failing_malloc_at(long n, size_t bytes) {
    atomic_store(&left, 0);
    atomic_store(&failed, 0);
    atomic_store(&least, bytes);
    atomic_store(&left, n);
}

long failing_malloc_failed(void) { return atomic_load(&failed); }

static int fails(size_t bytes) {
    if (bytes < atomic_load(&least) || atomic_load(&left) <= 0) return 0;
    if (atomic_fetch_sub(&left, 1) != 1) return 0;
    atomic_fetch_add(&failed, 1);
    return 1;
}

void *malloc(size_t bytes) {
    static void *(*real)(size_t);
    if (!real) real = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    if (!fails(bytes)) return real(bytes);
    errno = ENOMEM;
    return NULL;
}

void *realloc(void *memory, size_t bytes) {
    static void *(*real)(void *, size_t);
    if (!real) real = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
    if (!fails(bytes)) return real(memory, bytes);
    errno = ENOMEM;
    return NULL;
}

int posix_memalign(void **memory, size_t alignment, size_t bytes) {
    static int (*real)(void **, size_t, size_t);
    if (!real) real = (int (*)(void **, size_t, size_t))dlsym(RTLD_NEXT, "posix_memalign");
    return fails(bytes) ? ENOMEM : real(memory, alignment, bytes);
}
