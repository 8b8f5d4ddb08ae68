/* depthwise_tmpl.c for what every processor of its kind has. */
#include "depthwise.h"

#define CNN_TEMPLATE "depthwise_tmpl.c"
#include "isa_baseline.h"
