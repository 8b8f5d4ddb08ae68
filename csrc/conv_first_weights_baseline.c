/* conv_first_weights_tmpl.c for what every processor of its kind has. */
#include "conv_first.h"

#define CNN_TEMPLATE "conv_first_weights_tmpl.c"
#include "isa_baseline.h"
