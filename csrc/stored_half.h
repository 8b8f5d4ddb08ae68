/* Lets the template that follows compile for maps of bfloat16 (stored.h), under names that begin with half_, so that a
 * listing tells them from those for floats. Included after internal.h. */
#ifndef CNN_STORED_HALF_H
#define CNN_STORED_HALF_H

#include "internal.h"

#define CNN_STORED_BF16 1
#undef ISA
#define ISA(name) CNN_PASTE(half_##name, ISA_SUFFIX)

#endif
