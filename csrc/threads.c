/* The pool of threads, and the scratch memory that each thread owns. cnn_parallel is the only way in.
 *
 * Workers spin for some tens of microseconds after a job, because the next operation of a network usually comes
 * at once, and then sleep. Nobody waits for a worker that has not started on a job: the caller takes chunks itself
 * until none is left and then closes the job, so that a thread which the system keeps off its core delays nothing
 * but the chunk it holds. After a fork the child has no workers and starts its own when it first needs them. */
#include "internal.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#if CNN_X86
#include <immintrin.h>
#endif

#define MAX_THREADS 256
#define SPINS 4000 /* of one pause each: 40 to 200 microseconds, by CPU */

static struct {
    pthread_mutex_t owner;  /* held by the caller whose job it is */
    pthread_mutex_t sleep;  /* guards the going to sleep */
    pthread_cond_t wake;
    int wanted;             /* threads, the caller's included */
    int started;            /* workers that exist */
    atomic_int sleepers;
    atomic_ulong generation; /* of jobs posted */

    /* The job: written while `open` is 0, read by workers that counted themselves into `inside` and then saw
     * `open` at 1. */
    atomic_int open, inside;
    cnn_chunk work;
    void *context;
    int64_t chunks;
    _Atomic int64_t next;
    atomic_int helpers;      /* how many workers may still join: threads may be fewer than workers */
    _Atomic int64_t failed;  /* the lowest chunk that failed, or `chunks` */
    atomic_int failure;
} pool = {.owner = PTHREAD_MUTEX_INITIALIZER, .sleep = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER,
          .wanted = 1};

static __thread bool in_parallel;

/* ---- floating-point state ---- */

static uint64_t flush_denormals(void) {
#if CNN_X86
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040); /* FTZ and DAZ */
    return before;
#elif defined(__aarch64__)
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | (1u << 24)));
    return before;
#else
    return 0;
#endif
}

static void restore_denormals(uint64_t before) {
#if CNN_X86
    _mm_setcsr((unsigned)before);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(before));
#else
    (void)before;
#endif
}

static inline void relax(void) {
#if CNN_X86
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- scratch memory ---- */

static __thread struct { void *memory; size_t bytes; } scratch;
static pthread_key_t scratch_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void forget_workers(void) {
    pthread_mutex_init(&pool.owner, NULL);
    pthread_mutex_init(&pool.sleep, NULL);
    pthread_cond_init(&pool.wake, NULL);
    pool.started = 0;
    atomic_store(&pool.sleepers, 0);
    atomic_store(&pool.open, 0);
    atomic_store(&pool.inside, 0);
    in_parallel = false;
}

static void set_up(void) {
    pthread_key_create(&scratch_key, free);
    pthread_atfork(NULL, NULL, forget_workers);
}

void *cnn_scratch(size_t bytes) {
    if (bytes > scratch.bytes) {
        pthread_once(&once, set_up);
        free(scratch.memory);
        scratch.memory = NULL;
        scratch.bytes = 0;
        size_t rounded = (bytes + 4095) / 4096 * 4096;
        if (rounded < bytes || posix_memalign(&scratch.memory, 64, rounded)) scratch.memory = NULL;
        else scratch.bytes = rounded;
        pthread_setspecific(scratch_key, scratch.memory);
    }
    return scratch.memory;
}

/* ---- the pool ---- */

static void note_failure(int64_t chunk, cnn_status status) {
    int64_t lowest = atomic_load(&pool.failed);
    while (chunk < lowest) {
        if (atomic_compare_exchange_weak(&pool.failed, &lowest, chunk)) {
            atomic_store(&pool.failure, status);
            break;
        }
    }
}

static void take_chunks(void) {
    for (;;) {
        int64_t chunk = atomic_fetch_add(&pool.next, 1);
        if (chunk >= pool.chunks) return;
        cnn_status status = pool.work(pool.context, chunk);
        if (status != CNN_OK) note_failure(chunk, status);
    }
}

static void join_job(void) {
    atomic_fetch_add(&pool.inside, 1);
    if (atomic_load(&pool.open) && atomic_fetch_sub(&pool.helpers, 1) > 0) take_chunks();
    atomic_fetch_sub(&pool.inside, 1);
}

static void wait_for_job(unsigned long seen) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&pool.generation, memory_order_acquire) != seen) return;
        relax();
    }
    pthread_mutex_lock(&pool.sleep);
    atomic_fetch_add(&pool.sleepers, 1);
    while (atomic_load(&pool.generation) == seen) pthread_cond_wait(&pool.wake, &pool.sleep);
    atomic_fetch_sub(&pool.sleepers, 1);
    pthread_mutex_unlock(&pool.sleep);
}

static void *worker(void *argument) {
    unsigned long seen = (unsigned long)(uintptr_t)argument;
    in_parallel = true;
    flush_denormals();
    for (;;) {
        wait_for_job(seen);
        seen = atomic_load(&pool.generation);
        join_job();
    }
    return NULL;
}

/* Called by the owner. A thread that cannot be started is done without. */
static void start_workers(void) {
    pthread_once(&once, set_up);
    while (pool.started < pool.wanted - 1) {
        pthread_t thread;
        pthread_attr_t detached;
        pthread_attr_init(&detached);
        pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
        void *seen = (void *)(uintptr_t)atomic_load(&pool.generation);
        int failed = pthread_create(&thread, &detached, worker, seen);
        pthread_attr_destroy(&detached);
        if (failed) return;
        pool.started++;
    }
}

static cnn_status run_serial(cnn_chunk work, void *context, int64_t chunks) {
    cnn_status first = CNN_OK;
    for (int64_t chunk = 0; chunk < chunks; chunk++) {
        cnn_status status = work(context, chunk);
        if (first == CNN_OK) first = status;
    }
    return first;
}

static cnn_status run_pool(cnn_chunk work, void *context, int64_t chunks) {
    if (pool.started < pool.wanted - 1) start_workers();
    pool.work = work;
    pool.context = context;
    pool.chunks = chunks;
    atomic_store(&pool.next, 0);
    atomic_store(&pool.helpers, (int)CNN_MIN(chunks - 1, pool.wanted - 1));
    atomic_store(&pool.failed, chunks);
    atomic_store(&pool.failure, CNN_OK);
    atomic_store(&pool.open, 1);
    atomic_fetch_add(&pool.generation, 1);
    if (atomic_load(&pool.sleepers) > 0) {
        pthread_mutex_lock(&pool.sleep);
        pthread_cond_broadcast(&pool.wake);
        pthread_mutex_unlock(&pool.sleep);
    }
    take_chunks();
    atomic_store(&pool.open, 0);
    for (int spins = 0; atomic_load(&pool.inside) > 0; spins++) {
        if (spins < SPINS) relax();
        else sched_yield();
    }
    return (cnn_status)atomic_load(&pool.failure);
}

cnn_status cnn_parallel(cnn_chunk work, void *context, int64_t chunks) {
    if (chunks <= 0) return CNN_OK;
    if (in_parallel) return run_serial(work, context, chunks);
    uint64_t before = flush_denormals();
    in_parallel = true;
    cnn_status status;
    if (chunks > 1 && pool.wanted > 1 && pthread_mutex_trylock(&pool.owner) == 0) {
        status = run_pool(work, context, chunks);
        pthread_mutex_unlock(&pool.owner);
    } else {
        status = run_serial(work, context, chunks);
    }
    in_parallel = false;
    restore_denormals(before);
    return status;
}

cnn_status cnn_threads_set(int threads) {
    if (threads < 1 || threads > MAX_THREADS) return CNN_INVALID;
    pthread_mutex_lock(&pool.owner);
    pool.wanted = threads;
    pthread_mutex_unlock(&pool.owner);
    return CNN_OK;
}

int cnn_threads_get(void) { return pool.wanted; }
