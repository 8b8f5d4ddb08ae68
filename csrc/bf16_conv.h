/* What the files of convolutions over bfloat16 share: how one is described to a family, and the table of families.
 * bf16_conv.c calls them. */
#ifndef CNN_BF16_CONV_H
#define CNN_BF16_CONV_H

#include "bf16_numbers.h"
#include "conv_view.h"

/* One way of computing convolutions over bfloat16. As struct conv_family, but activations are stored as p says, and
 * sizes are in bytes. */
struct bf16_family {
    bool (*suits)(const cnn_bf16_conv2d *p, int pass); /* by shape and storage */
    bool (*runs)(void); /* whether the active instruction set and words have what it needs; NULL: all have */
    int64_t (*workspace)(const cnn_bf16_conv2d *p, int pass);
    int64_t (*packed)(const cnn_bf16_conv2d *p, int pass);
    cnn_status (*pack)(const cnn_bf16_conv2d *p, int pass, const float *weight, void *packed);
    cnn_status (*forward)(const cnn_bf16_conv2d *p, const void *x, const float *weight, const void *packed,
                          const cnn_bf16_finish *finish, void *y, void *workspace);
    cnn_status (*backward_data)(const cnn_bf16_conv2d *p, const void *dy, const float *weight, const void *packed,
                                const cnn_bf16_finish *finish, void *dx, void *workspace);
    cnn_status (*backward_weights)(const cnn_bf16_conv2d *p, const void *x, const void *dy, float *dweight,
                                   float *dbias, void *workspace);
    bool (*pools)(const cnn_bf16_conv2d *p);
};

/* The table of families, best first: a pass goes to the first one that suits it. */
#define CNN_BF16_FAMILIES(FAMILY)                                                                                 \
    FAMILY(cnn_bf16_tiles)     /* bf16_tiles.c: where AMX is, most whose channels fill tiles */                   \
    FAMILY(cnn_bf16_winograd)  /* bf16_winograd.c: 3 x 3, stride 1, where the CPU multiplies pairs */             \
    FAMILY(cnn_bf16_first)     /* bf16_first.c: float32 images of few channels, where the CPU multiplies pairs */ \
    FAMILY(cnn_bf16_dense)     /* bf16_dense.c: any with even channels a group, where the CPU multiplies pairs */ \
    FAMILY(cnn_bf16_depthwise) /* bf16_depthwise.c: one input channel and one output channel a group */           \
    FAMILY(cnn_bf16_staged)    /* bf16_staged.c: any, by way of float32 */

#define CNN_BF16_DECLARED(name) extern const struct bf16_family name;
CNN_BF16_FAMILIES(CNN_BF16_DECLARED)

#endif
