/* int8_conv_tmpl.c for the baseline. */
#include "int8_conv.h"

#define CNN_TEMPLATE "int8_conv_tmpl.c"
#include "isa_baseline.h"
