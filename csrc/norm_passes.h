/* What the files of batch normalisation share: the job that an entry point describes, what a pass over memory is given,
 * and the plain loops over a channel. Read norm.c first. */
#ifndef CNN_NORM_PASSES_H
#define CNN_NORM_PASSES_H

#include "bf16_numbers.h"

#define COEFFICIENTS 5

/* Where backward finds out what f let through: from y, or from x once more. */
typedef enum { GATE_NONE, GATE_Y, GATE_X } norm_gate;

/* What a pass reads and writes of `count` numbers. */
struct norm_span {
    int64_t count, width;
    const float *k;               /* COEFFICIENTS rows of `width`: k0 … k4 */
    norm_gate gate;               /* backward's */
    bool active;                  /* forward's: whether there is an f */
    float limit;                  /* of f: 6, or NaN for none */
    const void *x, *dy, *y, *add; /* as they are stored */
    void *out;
    float *first, *second;
};

/* Rows are taken in groups so that a group is a whole number of vectors, and at least four, even when one row is not:
 * coefficients are repeated to the group's `width`, and sums over a group are folded back to c channels. */
struct norm_kernels {
    int64_t vector;
    void (*sum)(int64_t count, int64_t width, const void *x, float *sum);
    void (*moments)(int64_t count, int64_t width, const void *x, const float *centre, float *first, float *second);
    void (*products)(const struct norm_span *s);
    void (*apply)(const struct norm_span *s);
    void (*restore)(const struct norm_span *s);
};

struct norm_work {
    const struct norm_kernels *kernels;
    int storage; /* of x, y, add, dy, out and dadd: a cnn_storage */
    int64_t rows, c, width, chunk_rows, chunks;
    double eps, momentum;
    int activation;
    norm_gate gate;
    bool fixed; /* backward's: whether the statistics were given */
    const void *x, *y, *add, *dy;
    void *out, *dadd;
    const float *weight, *bias;
    float *running_mean, *running_var, *dweight, *dbias;
    double *mean, *scale; /* of the batch: the mean, and 1 / sqrt(variance + eps) */
    float *coefficients;  /* COEFFICIENTS x c: what the passes multiply and add */
    float *slots;         /* a chunk's moments or products each */
};

/* No comparison with NaN holds. */
static inline float norm_limit(int activation) { return activation == CNN_RELU6 ? 6 : NAN; }

/* bf16_norm.c: the passes over maps of bfloat16, for the active instruction set and words. */
const struct norm_kernels *cnn_bf16_norm_passes(void);

/* norm_reference.c: one channel, in the calling thread. */
void cnn_norm_moments_reference(const struct norm_work *work, int64_t k, double *mean, double *square_sum);
void cnn_norm_apply_reference(const struct norm_work *work, int64_t k, double mean, double scale);
void cnn_norm_backward_reference(const struct norm_work *work, int64_t k);

#endif
