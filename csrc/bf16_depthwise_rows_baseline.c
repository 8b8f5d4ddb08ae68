/* depthwise_tmpl.c over bfloat16, for what every processor of its kind has. */
#include "depthwise.h"

#include "stored_half.h"
#define CNN_TEMPLATE "depthwise_tmpl.c"
#include "isa_baseline.h"
