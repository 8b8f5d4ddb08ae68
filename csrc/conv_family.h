/* A family: one way of computing convolutions, chosen by conv.c for each layer and pass. Its file, named below, decides
 * how the work is cut, its templates do it; README.md says how to add one. */
#ifndef CNN_CONV_FAMILY_H
#define CNN_CONV_FAMILY_H

#include "internal.h"

/* Arguments are checked, sizes are in floats, finish may be NULL, and so may whatever a pass that it never takes would
 * call. */
struct conv_family {
    /* Whether it takes this layer in this pass, and is faster than those after it: by shape alone, and forward by
     * everything but n. */
    bool (*suits)(const cnn_conv2d *p, int pass);
    int64_t (*workspace)(const cnn_conv2d *p, int pass);
    /* Weights, as forward and backward-data read them. */
    int64_t (*packed)(const cnn_conv2d *p, int pass);
    cnn_status (*pack)(const cnn_conv2d *p, int pass, const float *weight, float *packed);
    cnn_status (*forward)(const cnn_conv2d *p, const float *x, const float *weight, const float *packed,
                          const cnn_finish *finish, float *y, float *workspace);
    cnn_status (*backward_data)(const cnn_conv2d *p, const float *dy, const float *weight, const float *packed,
                                const cnn_finish *finish, float *dx, float *workspace);
    cnn_status (*backward_weights)(const cnn_conv2d *p, const float *x, const float *dy, float *dweight, float *dbias,
                                   float *workspace);
    bool pools; /* whether forward takes a finish that is pooled */
};

/* The table of families, best first: a pass goes to the first one that suits it. */
#define CNN_CONV_FAMILIES(FAMILY)                                                                            \
    FAMILY(cnn_depthwise)     /* depthwise.c: one input channel and one output channel a group */            \
    FAMILY(cnn_planar)        /* conv_planar.c: images to very few channels; only forward */                 \
    FAMILY(cnn_first)         /* conv_first.c: few input channels; not backward-data */                      \
    FAMILY(cnn_winograd_wide) /* winograd_wide.c: 3 x 3, stride 1, larger tiles; only inference's forward */ \
    FAMILY(cnn_winograd)      /* winograd.c: 3 x 3, stride 1 */                                              \
    FAMILY(cnn_deep)          /* conv_deep.c: dense layers from thousands of features to few */              \
    FAMILY(cnn_scatter)       /* conv_scatter.c: backward-data to few channels */                            \
    FAMILY(cnn_dense)         /* conv_dense.c: any convolution, group by group, as products of matrices */

#define CNN_DECLARED(name) extern const struct conv_family name;
CNN_CONV_FAMILIES(CNN_DECLARED)

/* conv_reference.c: plain loops, for all of them. */
extern const struct conv_family cnn_conv_reference;

#endif
