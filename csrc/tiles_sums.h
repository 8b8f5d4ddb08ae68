/* Sums of products by tiles, which the templates of convolutions by tiles share: included after tiles.h, again for every
 * instruction set; hence no include guard. TILE_PRODUCT is the word that multiplies, tile_dot or another one.
 *
 * Tiles 0 … 3 are sums: of 16 results and 16 outputs each, two of them by two. 4 and 5 are results' numbers, read
 * straight from where they lie; 6 and 7 are weights. */

/* Sums of 32 results and one block of outputs; without the second 16 of either where nobody wants them. What a result
 * reads for a tap is a run of numbers; the next result's lies w->step bytes behind it. sums: 16 x 16 x 32 bits a tile. */
CNN_INLINE void ISA(tile_sums)(tiles_t *tiles, const struct tile_windows *w, const char *from, const char *weights,
                               bool more_results, bool more_outputs, char *sums) {
    (void)tiles; /* AMX's are not in memory */
    enum { TILE = CNN_TILE_ROWS * CNN_TILE_BYTES };
    tile_zero(tiles, 0);
    tile_zero(tiles, 1);
    tile_zero(tiles, 2);
    tile_zero(tiles, 3);
    for (int64_t tap = 0; tap < w->taps; tap++) {
        const char *a = from + w->offsets[tap];
        for (int64_t at = 0; at < w->run; at += CNN_TILE_BYTES, weights += 2 * TILE) {
            tile_load(tiles, 4, a + at, w->step);
            tile_load(tiles, 6, weights, CNN_TILE_BYTES);
            TILE_PRODUCT(tiles, 0, 4, 6);
            if (more_outputs) {
                tile_load(tiles, 7, weights + TILE, CNN_TILE_BYTES);
                TILE_PRODUCT(tiles, 1, 4, 7);
            }
            if (more_results) {
                tile_load(tiles, 5, a + CNN_TILE_ROWS * w->step + at, w->step);
                TILE_PRODUCT(tiles, 2, 5, 6);
                if (more_outputs) TILE_PRODUCT(tiles, 3, 5, 7);
            }
        }
    }
    tile_store(tiles, 0, sums, CNN_TILE_BYTES);
    tile_store(tiles, 1, sums + TILE, CNN_TILE_BYTES);
    if (!more_results) return;
    tile_store(tiles, 2, sums + 2 * TILE, CNN_TILE_BYTES);
    tile_store(tiles, 3, sums + 3 * TILE, CNN_TILE_BYTES);
}
