/* The transforms of Winograd's F(7 x 7, 3 x 3): which version runs. winograd_wide.c calls it; the vector version is
 * winograd_wide_transform_tmpl.c. */
#include "winograd_taps.h"
#include "winograd_wide.h"

#define CNN_TEMPLATE "winograd_wide_transform_tmpl.c"
#include "foreach_isa.h"

static const struct winograd_wide_transforms *const tables[] = CNN_TABLES(winograd_wide_transforms);

const struct winograd_wide_transforms *cnn_winograd_wide_transforms(void) { return tables[cnn_table_index()]; }
