/* What the parts of against_reference.c share: arrays, the two sides that are compared, and the comparison. Each check calls
 * an entry point of csrc/cnn.h once as plain loops and once with vectors; tests/kernels/test_emulated.py fails where one
 * of the contract's prototypes has no check. */
#ifndef AGAINST_REFERENCE_H
#define AGAINST_REFERENCE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cnn.h"

#define U 5.9604645e-8 /* half a unit in the last place of 1 */
#define WORST 12       /* how far a single error may be beyond the RMS bound, as in test_conv.py */
#define POINTWISE 16   /* units: exponentials, quotients and short sums */

enum { REFERENCE, VECTORS, SIDES };

/* An output for each side, with a fence behind it. */
struct output {
    int64_t count;
    float *by[SIDES];
};

/* Ends the program where a call was refused. */
void must(const char *what, cnn_status status);
/* From here on kernels run as plain loops or with vectors. */
void use(int side);
/* Random numbers, the same in each run; the caller frees them. */
float *filled(int64_t count, float low, float high);
struct output output(int64_t count);
/* No error beyond `bound` times the RMS of the reference, nothing written behind the end; frees the output. */
void compare(const char *what, int64_t number, struct output o, double bound);
/* Counts a comparison, which failed unless `right`. */
void expect(const char *what, int64_t number, bool right);
/* What tests/kernels/test_conv.py allows a sum of so many terms. */
double sum_bound(int64_t terms);

void check_convolutions(void); /* against_reference_conv.c */
void check_layers(void);       /* against_reference_layers.c */
void check_images(void);       /* against_reference_images.c */
void check_int8(void);         /* against_reference_int8.c */
void check_bf16(void);         /* against_reference_bf16.c */
/* The same of more work, for threads to share. */
void check_larger_convolutions(void);
void check_larger_layers(void);
void check_larger_int8(void);

#endif
