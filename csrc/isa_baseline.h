/* Compiles the file named by CNN_TEMPLATE for what every processor of its kind has; see foreach_isa.h. */
#define ISA_SUFFIX _baseline
#define VLEN 4
#include "simd.h"
#include CNN_TEMPLATE
#undef ISA_SUFFIX
#undef VLEN
