/* What runtime.c needs of <math.h>: each an instruction of WebAssembly. */
#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")
#define fabs __builtin_fabs
#define ceil __builtin_ceil
#define sqrtf __builtin_sqrtf
