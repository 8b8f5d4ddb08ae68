/* int8_depthwise_tmpl.c for the baseline. */
#include "int8_depthwise.h"

#define CNN_TEMPLATE "int8_depthwise_tmpl.c"
#include "isa_baseline.h"
