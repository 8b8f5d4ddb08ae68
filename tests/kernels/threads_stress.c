/* Drives csrc/threads.c the way that hurts: several threads post jobs of all sizes at once while another changes the
 * number of threads, jobs nest, chunks fail, and now and then the process forks. scripts/sanitize.sh runs it under
 * ThreadSanitizer, test_threads.py without. Exits 0 where every chunk ran once and every failure was the first one.
 * "stress ROUNDS FORKS race" has a race put in, for seeing that it is noticed. */
#include "internal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLERS 3
#define MOST 300

static int rounds;
static bool racing;
static atomic_int wrong, running;

struct job {
    int64_t chunks, fails, last; /* chunks fails … last fail; each has its own status */
    int ran[MOST];
    bool nested;
};

static cnn_status tick(void *context, int64_t chunk) {
    (void)chunk;
    ++*(int *)context; /* no atomic: a nested job runs in one thread */
    return CNN_OK;
}

static cnn_status run_chunk(void *context, int64_t chunk) {
    struct job *job = context;
    int ticks = 0;
    if (job->nested && (cnn_parallel(tick, &ticks, 7) != CNN_OK || ticks != 7)) atomic_fetch_add(&wrong, 1);
    char *memory = cnn_scratch((size_t)(chunk % 5 + 1) * 1000);
    if (memory) memory[chunk] = 1;
    job->ran[chunk]++; /* no atomic: two threads on one chunk would be a race, and reported */
    if (racing) job->ran[0]++;
    if (chunk == job->fails) return CNN_NO_MEMORY;
    return chunk > job->fails && chunk <= job->last ? CNN_INVALID : CNN_OK;
}

static void run_job(unsigned *random) {
    struct job job = {.chunks = rand_r(random) % MOST, .fails = MOST, .last = MOST, .nested = rand_r(random) % 4 == 0};
    if (rand_r(random) % 3 == 0) job.fails = rand_r(random) % MOST, job.last = job.fails + rand_r(random) % 9;
    cnn_status expected = job.fails < job.chunks ? CNN_NO_MEMORY : CNN_OK;
    if (cnn_parallel(run_chunk, &job, job.chunks) != expected) atomic_fetch_add(&wrong, 1);
    for (int i = 0; i < MOST; i++)
        if (job.ran[i] != (i < job.chunks)) atomic_fetch_add(&wrong, 1);
}

static void *caller(void *argument) {
    unsigned random = (unsigned)(uintptr_t)argument;
    for (int i = 0; i < rounds; i++) {
        run_job(&random);
        if (rand_r(&random) % 64 == 0) usleep(300); /* long enough for workers to fall asleep */
    }
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static void *changer(void *argument) {
    unsigned random = 99;
    (void)argument;
    while (atomic_load(&running) > 0) {
        if (cnn_threads_set(1 + rand_r(&random) % 9) != CNN_OK) atomic_fetch_add(&wrong, 1);
        usleep(500);
    }
    return NULL;
}

static void fork_and_run(unsigned seed) {
    pid_t child = fork();
    if (child == 0) {
        alarm(20); /* a hang ends as a failure */
        atomic_store(&wrong, 0);
        for (int i = 0; i < 20; i++) run_job(&seed);
        _exit(atomic_load(&wrong) != 0);
    }
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0) atomic_fetch_add(&wrong, 1);
}

int main(int count, char **arguments) {
    rounds = count > 1 ? atoi(arguments[1]) : 1000;
    int forks = count > 2 ? atoi(arguments[2]) : 0;
    racing = count > 3;
    pthread_t threads[CALLERS + 1];
    cnn_threads_set(4);
    atomic_store(&running, CALLERS);
    for (uintptr_t i = 0; i < CALLERS; i++) pthread_create(&threads[i], NULL, caller, (void *)(i + 1));
    pthread_create(&threads[CALLERS], NULL, changer, NULL);
    for (int i = 0; i < forks; i++) fork_and_run((unsigned)i);
    for (int i = 0; i <= CALLERS; i++) pthread_join(threads[i], NULL);
    if (cnn_threads_set(0) != CNN_INVALID || cnn_threads_set(257) != CNN_INVALID) atomic_fetch_add(&wrong, 1);
    printf("%d wrong\n", atomic_load(&wrong));
    return atomic_load(&wrong) != 0;
}
