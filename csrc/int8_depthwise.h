/* What the files of int8 depthwise convolutions share: int8_depthwise.c, which cuts the work, and its template, which
 * does it. */
#ifndef CNN_INT8_DEPTHWISE_H
#define CNN_INT8_DEPTHWISE_H

#include "int8.h"

#define CNN_INT8_COLUMNS 4 /* results side by side that are summed at once */
#define CNN_INT8_SIDE 32   /* of the largest kernel */

/* A row of the image, with its borders, is laid out as columns 0, stride, 2 stride …, then 1, stride + 1 … So tap t of
 * result j lies at column offsets[t] + j. */
struct int8_depthwise {
    const cnn_conv2d *p;
    const cnn_requantise *finish;
    const uint8_t *x;
    uint8_t zero;
    const int8_t *packed;
    uint8_t *y;
    int64_t groups;                 /* of `units` taps below each other, which cover a window */
    int64_t together;               /* rows of results that the same groups cover: 1 or 2 */
    int64_t of_phase, columns;      /* columns of a phase, and in all */
    int64_t offsets[CNN_INT8_SIDE]; /* of each tap of a row */
    int64_t channel_bytes;          /* packed weights of a channel */
};

/* Rows of the image whose taps become a group: the first pixel, and from one pixel to the next, which is 0 beyond the
 * image. */
struct int8_rows {
    const uint8_t *at[4];
    int64_t steps[4];
};

struct int8_depthwise_kernels {
    int64_t units, width; /* taps in 32 bits; channels whose taps are put together at once */
    void (*pack)(const struct int8_depthwise *s, const int8_t *weight, int8_t *packed);
    /* Rows begin … end-1 of one image's results, of `width` channels from `first` on. taps is memory for groups of taps:
     * [lanes of 32 bits][group][column][lane]. */
    void (*rows)(const struct int8_depthwise *s, int64_t image, int64_t begin, int64_t end, int64_t first,
                 int32_t *taps);
};

CNN_INT8_DECLARE(int8_depthwise_kernels, cnn_int8_depthwise_kernels);

bool cnn_int8_depthwise_suits(const cnn_conv2d *p);
/* As the functions of int8_conv.c, which has checked everything. */
int64_t cnn_int8_depthwise_packed(const cnn_conv2d *p);
void cnn_int8_depthwise_pack(const cnn_conv2d *p, const int8_t *weight, int8_t *packed);
cnn_status cnn_int8_depthwise_forward(const cnn_conv2d *p, const uint8_t *x, int64_t zero_x, const int8_t *packed,
                                      const cnn_requantise *finish, uint8_t *y);

#endif
