/* What runtime.c needs of <string.h>: an instruction of WebAssembly. */
#define memcpy __builtin_memcpy
