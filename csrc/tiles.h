/* Words for tiles, beside simd.h's for vectors: eight registers of 16 rows of 64 bytes each. Included by templates
 * again for every instruction set; hence no include guard. A template names tiles by constants, 0 … 7.
 *
 *   tiles_begin(tiles)                  before all others, in each thread, and
 *   tiles_end(tiles)                    before the chunk ends: a thread that sleeps carries no tiles
 *   tile_zero(tiles, t)                 t = 0
 *   tile_load(tiles, t, from, bytes)    t = 16 rows of 64 bytes, `bytes` from one to the next
 *   tile_store(tiles, t, to, bytes)
 *   tile_dot(tiles, sums, a, b)         sums[m][n] += what a row of a and a column of b yield, in bfloat16
 *   tile_dot_bytes(tiles, sums, a, b)   the same of unsigned bytes of a and signed bytes of b, in whole numbers
 *
 * With CNN_TILES they are AMX's instructions. They are written in assembly because GCC 12's own words do not say that
 * they read memory: a store before one of them could be moved behind it. Otherwise tiles are arrays in memory, and
 * tile_dot does what Intel's manual says of TDPBF16PS (Software Developer's Manual, volume 2, its "Operation"):
 *
 *   for each row m:      even[n] = odd[n] = 0 for each column n
 *       for each pair k: even[n] += a[m][2k] * b[k][2n], odd[n] += a[m][2k + 1] * b[k][2n + 1], each rounded once
 *       then             sums[m][n] += even[n] + odd[n], both additions rounded
 *
 * in float32, to the nearest and of two to the even one, denormals being 0 before and after; MXCSR does not matter. A
 * product of two bfloat16 has 16 bits and is exact in float32, so that instruction sets without fused multiply-adds
 * (SSE2) have the same results but where a product alone overflows or is denormal. (Intel's Intrinsics Guide has
 * another, simpler text: pair after pair onto the sum itself. The manual's is followed.) What does it here relies on
 * chunks running with denormals flushed (internal.h).
 *
 * tile_dot_bytes does what the manual says of TDPBUSD:
 *
 *   for each row m, group of four k and column n:
 *       sums[m][n] += a[m][4k] * b[k][4n] + … + a[m][4k + 3] * b[k][4n + 3]
 *
 * in int32, whose overflow wraps around. */

#ifndef CNN_TILE_ROWS
#define CNN_TILE_ROWS 16
#define CNN_TILE_BYTES 64 /* of a row */

struct cnn_tiles {
    _Alignas(64) uint32_t tile[8][CNN_TILE_ROWS][CNN_TILE_BYTES / 4];
};

/* What ldtilecfg reads: palette 1, and eight tiles of the full size. */
struct cnn_tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};
#define CNN_FULL_TILES(value) {value, value, value, value, value, value, value, value}
#endif

#undef tiles_begin
#undef tiles_end
#undef tile_zero
#undef tile_load
#undef tile_store
#undef tile_dot
#undef tile_dot_bytes
#undef tiles_t

#ifdef CNN_TILES

CNN_INLINE void ISA(tiles_begin_)(void) {
    static const struct cnn_tile_config config = {.palette = 1,
                                                  .row_bytes = CNN_FULL_TILES(CNN_TILE_BYTES),
                                                  .rows = CNN_FULL_TILES(CNN_TILE_ROWS)};
    __asm__ volatile("ldtilecfg %0" : : "m"(config) : "memory");
}

#define tiles_t int /* none in memory */
#define tiles_begin(tiles) ((void)(tiles), ISA(tiles_begin_)())
#define tiles_end(tiles) __asm__ volatile("tilerelease" : : : "memory")
#define tile_zero(tiles, t) __asm__ volatile("tilezero %%tmm" #t : :)
#define tile_load(tiles, t, from, bytes) \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t : : "r"((const void *)(from)), "r"((int64_t)(bytes)) : "memory")
#define tile_store(tiles, t, to, bytes) \
    __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" : : "r"((void *)(to)), "r"((int64_t)(bytes)) : "memory")
#define tile_dot(tiles, sums, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #sums : :)
#define tile_dot_bytes(tiles, sums, a, b) __asm__ volatile("tdpbusd %%tmm" #b ", %%tmm" #a ", %%tmm" #sums : :)

#else

CNN_INLINE void ISA(tile_load_)(uint32_t tile[][CNN_TILE_BYTES / 4], const void *from, int64_t bytes) {
    for (int64_t m = 0; m < CNN_TILE_ROWS; m++) memcpy(tile[m], (const char *)from + m * bytes, CNN_TILE_BYTES);
}

CNN_INLINE void ISA(tile_store_)(uint32_t tile[][CNN_TILE_BYTES / 4], void *to, int64_t bytes) {
    for (int64_t m = 0; m < CNN_TILE_ROWS; m++) memcpy((char *)to + m * bytes, tile[m], CNN_TILE_BYTES);
}

static __attribute__((noinline)) void ISA(tile_dot_)(struct cnn_tiles *tiles, int sums, int a, int b) {
    enum { COLUMNS = CNN_TILE_BYTES / 4, VECTORS = COLUMNS / VLEN };
    const vi upper = (vi){0} + (int32_t)0xffff0000;
    for (int m = 0; m < CNN_TILE_ROWS; m++) {
        vf even[VECTORS] = {{0}}, odd[VECTORS] = {{0}};
        for (int k = 0; k < COLUMNS; k++) {
            vi left = (vi){0} + (int32_t)tiles->tile[a][m][k];
            vf left_even = (vf)(left << 16), left_odd = (vf)(left & upper);
            CNN_UNROLL(4)
            for (int n = 0; n < VECTORS; n++) {
                vi right = (vi)vload((const float *)&tiles->tile[b][k][n * VLEN]);
                even[n] = vfma(left_even, (vf)(right << 16), even[n]);
                odd[n] = vfma(left_odd, (vf)(right & upper), odd[n]);
            }
        }
        CNN_UNROLL(4)
        for (int n = 0; n < VECTORS; n++) {
            float *sum = (float *)&tiles->tile[sums][m][n * VLEN];
            vf both = even[n] + odd[n];
            vstore(sum, vload(sum) + both);
        }
    }
}

static __attribute__((noinline)) void ISA(tile_dot_bytes_)(struct cnn_tiles *tiles, int sums, int a, int b) {
    enum { COLUMNS = CNN_TILE_BYTES / 4 };
    for (int m = 0; m < CNN_TILE_ROWS; m++) {
        const uint8_t *left = (const uint8_t *)tiles->tile[a][m];
        for (int k = 0; k < COLUMNS; k++, left += 4) {
            const int8_t *right = (const int8_t *)tiles->tile[b][k];
            for (int n = 0; n < COLUMNS; n++, right += 4) {
                int32_t four = left[0] * right[0] + left[1] * right[1] + left[2] * right[2] + left[3] * right[3];
                tiles->tile[sums][m][n] += (uint32_t)four;
            }
        }
    }
}

#define tiles_t struct cnn_tiles
#define tiles_begin(tiles) ((void)(tiles))
#define tiles_end(tiles) ((void)(tiles))
#define tile_zero(tiles, t) memset((tiles)->tile[t], 0, sizeof(tiles)->tile[t])
#define tile_load(tiles, t, from, bytes) ISA(tile_load_)((tiles)->tile[t], from, bytes)
#define tile_store(tiles, t, to, bytes) ISA(tile_store_)((tiles)->tile[t], to, bytes)
#define tile_dot(tiles, sums, a, b) ISA(tile_dot_)(tiles, sums, a, b)
#define tile_dot_bytes(tiles, sums, a, b) ISA(tile_dot_bytes_)(tiles, sums, a, b)

#endif
