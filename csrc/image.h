/* What image.c and augment.c share: the images of a batch, checked. */
#ifndef CNN_IMAGE_H
#define CNN_IMAGE_H

#include "internal.h"

/* Whether sizes, rows and moves keep to what is stored, for n >= 1. */
bool cnn_images_valid(const cnn_images *p);

#endif
