/* What runtime.c needs of <stdlib.h>: engine.c defines it. */
#include <stddef.h>
void *malloc(size_t bytes);
void free(void *taken_by_malloc);
