/* What the files of int8 depthwise convolutions share: int8_depthwise.c, which cuts the work, and its template, which
 * does it. */
#ifndef CNN_INT8_DEPTHWISE_H
#define CNN_INT8_DEPTHWISE_H

#include "int8.h"

#define CNN_INT8_BLOCK 16 /* channels that are computed at once: 16 bytes of a pixel */
#define CNN_INT8_SIDE 32  /* of the largest kernel */

/* A row of the image, with its borders, is laid out as columns of 16 bytes: those 0, stride, 2 stride … first, then those
 * 1, stride + 1 … So tap t of result j lies at column offsets[t] + j. */
struct int8_depthwise {
    const cnn_conv2d *p;
    const cnn_requantise *finish;
    const uint8_t *x;
    uint8_t zero;
    const int8_t *packed;
    uint8_t *y;
    int64_t groups;   /* of `units` taps below each other, which cover a window */
    int64_t together; /* rows of results that the same groups cover: 1 or 2 */
    int64_t of_phase, columns;      /* columns of a phase, and in all */
    int64_t offsets[CNN_INT8_SIDE]; /* of each tap of a row */
    int64_t ring;                   /* rows of the image that are kept */
    int64_t block_bytes, blocks;    /* packed weights of a block; blocks */
};

/* Channels first … first + part - 1, of which `skip` belong to the block before. */
struct int8_depthwise_block {
    int64_t first, part, skip;
};

/* The last block overlaps the one before, so that each is whole; only where there are less than 16 channels it is not. */
static inline struct int8_depthwise_block cnn_int8_depthwise_block(const cnn_conv2d *p, int64_t block) {
    int64_t wanted = block * CNN_INT8_BLOCK, first = CNN_MAX(CNN_MIN(wanted, p->c - CNN_INT8_BLOCK), 0);
    return (struct int8_depthwise_block){first, CNN_MIN(p->c, CNN_INT8_BLOCK), wanted - first};
}

/* What a thread needs: the ring of rows, and groups of taps as 16 lanes of 32 bits a column. */
struct int8_depthwise_memory {
    uint8_t *ring;
    int32_t *taps;
};

struct int8_depthwise_kernels {
    int64_t units; /* taps in 32 bits */
    void (*pack)(const struct int8_depthwise *s, const int8_t *weight, int8_t *packed);
    /* Rows begin … end-1 of one image's results, of one block of channels. */
    void (*rows)(const struct int8_depthwise *s, int64_t image, int64_t begin, int64_t end, int64_t block,
                 struct int8_depthwise_memory memory);
};

CNN_DECLARE_TABLES(int8_depthwise_kernels, cnn_int8_depthwise_kernels);
extern const struct int8_depthwise_kernels cnn_int8_depthwise_kernels_vnni;

bool cnn_int8_depthwise_suits(const cnn_conv2d *p);
/* As the functions of int8_conv.c, which has checked everything. */
int64_t cnn_int8_depthwise_packed(const cnn_conv2d *p);
void cnn_int8_depthwise_pack(const cnn_conv2d *p, const int8_t *weight, int8_t *packed);
cnn_status cnn_int8_depthwise_forward(const cnn_conv2d *p, const uint8_t *x, int64_t zero_x, const int8_t *packed,
                                      const cnn_requantise *finish, uint8_t *y);

#endif
