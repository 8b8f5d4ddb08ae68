/* What becomes of a vector of float32 sums before it is stored as bfloat16, as cnn_finish says: added to, bounded or
 * gated, and rounded once. Included by templates again for every instruction set, after bf16.h; hence no include guard.
 */

/* What is done to the results of a tile, and where they are. */
struct ISA(ending) {
    int activation;
    const uint16_t *add, *gate; /* as finish's */
    uint16_t *out;
    vf low, high;
};

CNN_INLINE struct ISA(ending) ISA(ending_of)(int activation, const void *add, const void *gate, void *out) {
    return (struct ISA(ending)){.activation = activation,
                                .add = (const uint16_t *)add,
                                .gate = (const uint16_t *)gate,
                                .out = (uint16_t *)out,
                                .low = vset(activation == CNN_IDENTITY ? -INFINITY : 0),
                                .high = vset(activation == CNN_RELU6 ? 6 : INFINITY)};
}

/* Where `lanes` is known to be VLEN or LANES, no mask is needed. */
CNN_INLINE vf ISA(numbers_load)(const uint16_t *p, int64_t lanes) {
    return lanes == VLEN ? ISA(half_load)(p) : ISA(half_load_part)(p, lanes);
}

/* One vector of results, of which `lanes` are real, to `at` on. With `plain`, nothing is added and there is no gate. */
CNN_INLINE void ISA(end_vector)(const struct ISA(ending) *e, const bool plain, vf sum, vf bias, int64_t at,
                                int64_t lanes) {
    sum += bias;
    if (!plain && e->add) sum += ISA(numbers_load)(e->add + at, lanes);
    if (plain || !e->gate || e->activation == CNN_IDENTITY) {
        sum = vmin(e->high, vmax(e->low, sum));
    } else {
        vf output = ISA(numbers_load)(e->gate + at, lanes);
        vi kept = output > vset(0);
        if (e->activation == CNN_RELU6) kept &= output < vset(6);
        sum = (vf)(kept & (vi)sum);
    }
    if (lanes == VLEN) ISA(half_store)(e->out + at, sum);
    else ISA(half_store_part)(e->out + at, sum, lanes);
}
