/* The multiply-add peak: the ceiling that benchmarks/ measure kernels against, in the same process and hour. No
 * layer calls this. */
#include "internal.h"

struct peak_kernels {
    int64_t flops; /* of one step */
    float (*run)(int64_t steps, float factor, float term);
};

#define ACCUMULATORS 12 /* independent: latency times throughput is at most 10 on today's cores */

static float run_reference(int64_t steps, float factor, float term) {
    float sum = 0;
    for (int64_t i = 0; i < steps; i++) sum = sum * factor + term;
    return sum;
}

#define CNN_TEMPLATE "peak_tmpl.c"
#include "foreach_isa.h"

static const struct peak_kernels reference = {2, run_reference};
static const struct peak_kernels *const tables[] = CNN_TABLES(peak_kernels);

#define STEPS 256 /* a round */

struct peak_work {
    const struct peak_kernels *kernels;
    int64_t rounds;
};

static cnn_status run_chunk(void *context, int64_t chunk) {
    const struct peak_work *work = context;
    float sum = work->kernels->run(work->rounds * STEPS, 0.5f, (float)chunk);
    float *kept = cnn_scratch(sizeof *kept);
    if (!kept) return CNN_NO_MEMORY;
    *(volatile float *)kept = sum;
    return CNN_OK;
}

cnn_status cnn_peak(int64_t rounds, double *flops) {
    int64_t sizes[] = {rounds, STEPS, 1024};
    if (!cnn_sizes_fit(1, 3, sizes)) return CNN_INVALID;
    int64_t chunks = 8 * cnn_threads_get();
    struct peak_work work = {cnn_use_reference() ? &reference : tables[cnn_table_index()], cnn_ceil_div(rounds, 8)};
    *flops = (double)work.kernels->flops * (double)work.rounds * STEPS * (double)chunks;
    return cnn_parallel(run_chunk, &work, chunks);
}
