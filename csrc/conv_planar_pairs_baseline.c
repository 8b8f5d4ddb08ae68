/* conv_planar_pairs_tmpl.c for what every processor of its kind has. */
#include "conv_planar.h"

#define CNN_TEMPLATE "conv_planar_pairs_tmpl.c"
#include "isa_baseline.h"
