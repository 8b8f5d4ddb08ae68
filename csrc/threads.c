/* The pool of threads, and the scratch memory that each thread owns. cnn_parallel is the only way in.
 *
 * Workers spin for some tens of microseconds after a job, because the next operation of a network usually comes
 * at once, and then sleep. Nobody waits for a worker that has not started on a job: the caller takes chunks itself
 * until none is left and then closes the job, so that a thread which the system keeps off its core delays nothing
 * but the chunk it holds. After a fork the child has no workers and starts its own when it first needs them. Workers
 * take no signals: those belong to the program's own threads. */
#include "internal.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_THREADS 256
#define STATUSES 8 /* more than cnn_status has values */
#define SPINS 4000 /* of one pause each: 40 to 200 microseconds, by CPU */
#ifdef CNN_PATIENT /* for ThreadSanitizer (scripts/sanitize.sh): all work is shared, whether that pays or not */
#define SERIAL_WORK 0
#else
#define SERIAL_WORK 500000 /* multiply-adds that are done before another thread has begun */
#endif
#define STACK ((size_t)2 << 20) /* of a worker: the same everywhere, where systems' defaults differ widely */

static struct {
    pthread_mutex_t owner; /* held by the caller whose job it is */
    pthread_mutex_t sleep; /* guards the going to sleep */
    pthread_cond_t wake;
    atomic_int wanted; /* threads, the caller's included */
    int started;       /* workers that exist; the owner's, like `refused` */
    bool refused;      /* the system would start no more: not asked again before the next cnn_threads_set */
    unsigned long begun[MAX_THREADS]; /* the generation when each worker was started; the caller is thread 0 */

    /* Watched by workers that wait, hence a cache line that nothing else is written to. */
    _Alignas(CNN_LINE) atomic_ulong generation; /* of jobs posted */
    atomic_int sleepers;

    /* The job: written while `open` is 0, read by workers that counted themselves into `inside` and then saw
     * `open` at 1. */
    _Alignas(CNN_LINE) atomic_int open;
    atomic_int inside;
    atomic_int helpers; /* how many workers may still join: threads may be fewer than workers */
    int shares;         /* into which the chunks are cut, one for each thread */
    cnn_chunk work;
    void *context;
    _Atomic int64_t failure; /* the lowest chunk that failed * STATUSES + its status; INT64_MAX for none */
    struct {
        _Alignas(CNN_LINE) _Atomic int64_t next;
        int64_t end;
    } share[MAX_THREADS];
} pool = {.owner = PTHREAD_MUTEX_INITIALIZER,
          .sleep = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .wanted = 1};

static __thread bool in_parallel;

/* ---- floating-point state ---- */

/* Sets the whole state, not only the flushing, so that a caller's rounding mode or trapped exceptions change nothing. */
static uint64_t flush_denormals(void) {
#if CNN_X86
    unsigned before = _mm_getcsr();
    _mm_setcsr(0x1f80 | 0x8040); /* as a process starts, and FTZ and DAZ */
    return before;
#elif defined(__aarch64__)
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)1 << 24));
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

static __thread struct {
    void *memory;
    size_t bytes;
} scratch;
static pthread_key_t scratch_key; /* frees it when its thread ends … */
static bool scratch_keyed;        /* … where the system has a key left */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void forget_workers(void) {
    pthread_mutex_init(&pool.owner, NULL);
    pthread_mutex_init(&pool.sleep, NULL);
    pthread_cond_init(&pool.wake, NULL);
    pool.started = 0;
    pool.refused = false;
    atomic_store(&pool.sleepers, 0);
    atomic_store(&pool.open, 0);
    atomic_store(&pool.inside, 0);
    in_parallel = false;
}

static void set_up(void) {
    scratch_keyed = pthread_key_create(&scratch_key, free) == 0;
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
        if (scratch_keyed) pthread_setspecific(scratch_key, scratch.memory);
    }
    return scratch.memory;
}

/* ---- the pool ---- */

static void note_failure(int64_t chunk, cnn_status status) {
    int64_t failure = chunk * STATUSES + status, lowest = atomic_load(&pool.failure);
    while (failure < lowest && !atomic_compare_exchange_weak(&pool.failure, &lowest, failure)) {}
}

/* Where races are looked for, a caller waits, not for long, until somebody shares its work, and who has done a chunk
 * leaves time for others to take the next: a race shows only where two threads run. */
static void be_patient(bool caller) {
#ifdef CNN_PATIENT
    if (!caller) usleep(300);
    for (int i = 0; caller && i < 1000 && atomic_load(&pool.inside) == 0; i++) usleep(50);
#else
    (void)caller;
#endif
}

/* A thread's own share first, then what is left of the others': operations of one network cut their images alike, so
 * that a thread mostly finds in its cache what it wrote there in the operation before. */
static void take_chunks(int thread) {
    for (int i = 0; i < pool.shares; i++) {
        int share = (thread + i) % pool.shares;
        for (;;) {
            int64_t chunk = atomic_fetch_add(&pool.share[share].next, 1);
            if (chunk >= pool.share[share].end) break;
            cnn_status status = pool.work(pool.context, chunk);
            if (status != CNN_OK) note_failure(chunk, status);
            be_patient(false);
        }
    }
}

static void join_job(int thread) {
    atomic_fetch_add(&pool.inside, 1);
    if (atomic_load(&pool.open) && atomic_fetch_sub(&pool.helpers, 1) > 0) take_chunks(thread);
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
    int thread = (int)(intptr_t)argument;
    unsigned long seen = pool.begun[thread];
    in_parallel = true;
    flush_denormals();
    for (;;) {
        wait_for_job(seen);
        seen = atomic_load(&pool.generation);
        join_job(thread);
    }
    return NULL;
}

/* Called by the owner. A thread that cannot be started is done without. */
static void start_workers(void) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    sigset_t signals, before;
    sigfillset(&signals); /* inherited by the thread: all that can be blocked but those that its own faults raise */
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&signals, faults[i]);
    pthread_attr_t detached;
    if (pthread_attr_init(&detached)) return;
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&detached, STACK);
    pthread_sigmask(SIG_SETMASK, &signals, &before);
    while (pool.started < atomic_load(&pool.wanted) - 1 && !pool.refused) {
        pthread_t thread;
        int number = pool.started + 1;
        pool.begun[number] = atomic_load(&pool.generation);
        if (pthread_create(&thread, &detached, worker, (void *)(intptr_t)number)) pool.refused = true;
        else pool.started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
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
    int wanted = atomic_load(&pool.wanted);
    if (pool.started < wanted - 1 && !pool.refused) start_workers();
    pool.work = work;
    pool.context = context;
    pool.shares = (int)CNN_MIN(chunks, wanted);
    for (int64_t share = 0, begin = 0; share < pool.shares; share++) {
        int64_t end = begin + chunks / pool.shares + (share < chunks % pool.shares);
        atomic_store_explicit(&pool.share[share].next, begin, memory_order_relaxed);
        pool.share[share].end = begin = end;
    }
    atomic_store(&pool.helpers, (int)CNN_MIN(chunks - 1, wanted - 1));
    atomic_store(&pool.failure, INT64_MAX);
    atomic_store(&pool.open, 1);
    atomic_fetch_add(&pool.generation, 1);
    if (atomic_load(&pool.sleepers) > 0) {
        pthread_mutex_lock(&pool.sleep);
        pthread_cond_broadcast(&pool.wake);
        pthread_mutex_unlock(&pool.sleep);
    }
    be_patient(true);
    take_chunks(0);
    atomic_store(&pool.open, 0);
    for (int spins = 0; atomic_load(&pool.inside) > 0; spins++) {
        if (spins < SPINS) relax();
        else sched_yield();
    }
    int64_t failure = atomic_load(&pool.failure);
    return failure == INT64_MAX ? CNN_OK : (cnn_status)(failure % STATUSES);
}

cnn_status cnn_parallel(cnn_chunk work, void *context, int64_t chunks) {
    if (chunks <= 0) return CNN_OK;
    if (in_parallel) return run_serial(work, context, chunks);
    uint64_t before = flush_denormals();
    in_parallel = true;
    cnn_status status;
    bool shared = chunks > 1 && atomic_load_explicit(&pool.wanted, memory_order_relaxed) > 1;
    if (shared && pthread_mutex_trylock(&pool.owner) == 0) {
        status = run_pool(work, context, chunks);
        pthread_mutex_unlock(&pool.owner);
    } else {
        status = run_serial(work, context, chunks);
    }
    in_parallel = false;
    restore_denormals(before);
    return status;
}

struct serial_work {
    cnn_chunk work;
    void *context;
    int64_t chunks;
};

static cnn_status all_chunks(void *context, int64_t chunk) {
    const struct serial_work *serial = context;
    cnn_status status = CNN_OK;
    for (chunk = 0; chunk < serial->chunks && status == CNN_OK; chunk++) status = serial->work(serial->context, chunk);
    return status;
}

cnn_status cnn_parallel_sized(cnn_chunk work, void *context, int64_t chunks, double multiply_adds) {
    if (multiply_adds >= SERIAL_WORK) return cnn_parallel(work, context, chunks);
    struct serial_work serial = {work, context, chunks};
    return cnn_parallel(all_chunks, &serial, 1);
}

cnn_status cnn_threads_set(int threads) {
    if (threads < 1 || threads > MAX_THREADS) return CNN_INVALID;
    pthread_once(&once, set_up); /* before any lock is taken that a fork could catch */
    pthread_mutex_lock(&pool.owner);
    atomic_store(&pool.wanted, threads);
    pool.refused = false;
    pthread_mutex_unlock(&pool.owner);
    return CNN_OK;
}

int cnn_threads_get(void) { return atomic_load(&pool.wanted); }
