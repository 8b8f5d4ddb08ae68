/* pool_max_tmpl.c for what every processor of its kind has. */
#include "pool_max.h"

#define CNN_TEMPLATE "pool_max_tmpl.c"
#include "isa_baseline.h"
