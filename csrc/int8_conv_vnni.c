/* int8_conv_tmpl.c for AVX-512 with VNNI. */
#include "int8_conv.h"

#define CNN_TEMPLATE "int8_conv_tmpl.c"
#include "isa_vnni.h"
