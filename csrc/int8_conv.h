/* What the files of int8 convolutions share: int8_conv.c, which cuts the work and copies images with their borders, and
 * its template, which multiplies. */
#ifndef CNN_INT8_CONV_H
#define CNN_INT8_CONV_H

#include "int8.h"

#define CNN_INT8_VECTORS 2 /* of output channels that are summed at once, for some results side by side */

/* How the windows of one group lie in memory, in bytes: numbers are one or two bytes each (kernels->bytes). */
struct int8_windows {
    int64_t rows, taps; /* of a window that do not lie side by side … */
    int64_t next_row, next_tap;
    int64_t run;  /* … and how many numbers do, in units of 32 bits */
    int64_t step; /* from one result's window to the next one's */
};

/* A row of results of one group. */
struct int8_row {
    const uint8_t *x; /* the first window */
    int64_t columns;  /* results */
    int64_t at;       /* the first result's place in y, of channel 0 */
};

struct int8_job {
    const cnn_conv2d *p;
    const cnn_requantise *finish;
    struct int8_windows windows;
    uint8_t *y;
};

struct int8_conv_kernels {
    int64_t lanes, units; /* output channels in a vector, numbers in 32 bits */
    /* Weights (outputs, inputs, rows, taps), `run` numbers behind one another: an input's, or those of a row's taps. */
    void (*pack)(int64_t rows, int64_t taps, int64_t run, int64_t inputs, int64_t outputs, const int8_t *weight,
                 int8_t *packed);
    /* Bytes to numbers as the tiles read them: just so, or each pixel's c filled up to whole units with zeros; pixels lie
     * `pixel` bytes apart. */
    void (*copy)(int64_t count, const uint8_t *x, uint8_t *to);
    void (*widen)(int64_t pixels, int64_t c, const uint8_t *x, int64_t pixel, uint8_t *to);
    void (*fill)(int64_t count, uint8_t value, uint8_t *to);
    /* Rows of results, of output channels first … first+channels-1, whose weights are w. */
    void (*multiply)(const struct int8_job *job, int64_t count, const struct int8_row *rows, int64_t first,
                     int64_t channels, const int8_t *w);
};

CNN_INT8_DECLARE(int8_conv_kernels, cnn_int8_conv_kernels);

#endif
