/* How a map's numbers lie in memory, as words for a template that is compiled twice: as float, or, with CNN_STORED_BF16
 * defined, as bfloat16, which is expanded where it is loaded and rounded where it is stored. Vectors are of float32
 * either way. Included by templates again for every instruction set; hence no include guard. */

#ifdef CNN_STORED_BF16
#include "bf16.h"
typedef uint16_t stored;
#define stored_load ISA(half_load)
#define stored_load_spare ISA(half_load_spare)
#define stored_store ISA(half_store)
#define stored_load_part ISA(half_load_part)
#define stored_store_part ISA(half_store_part)
#define stored_load_lanes ISA(half_load_lanes)
#define stored_store_lanes ISA(half_store_lanes)
#define stored_one(p) cnn_bf16_to_float(*(p))
#define stored_put(p, a) (*(p) = cnn_bf16_of(a))
#else
typedef float stored;
#define stored_load vload
#define stored_load_spare vload
#define stored_store vstore
#define stored_load_part vload_part
#define stored_store_part vstore_part
#define stored_load_lanes vload_lanes
#define stored_store_lanes vstore_lanes
#define stored_one(p) (*(p))
#define stored_put(p, a) (*(p) = (a))
#endif
#define STORED(array) ((const stored *)(array))
