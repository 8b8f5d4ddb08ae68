/* int8_conv_tmpl.c for AVX2 with AVX-VNNI, and for tests without that instruction. */
#include "int8_conv.h"

#define CNN_TEMPLATE "int8_conv_tmpl.c"
#include "isa_avx_vnni.h"

#include "isa_avx_vnni_plain.h"
