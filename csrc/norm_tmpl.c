/* Batch normalisation's passes over memory, the vector version, compiled per instruction set by foreach_isa.h on
 * behalf of norm.c, and again for maps of bfloat16 on behalf of bf16_norm.c (stored.h). A pass covers whole rows, taken
 * in groups of `width` numbers, a multiple of VLEN and at least four vectors: lane i of a group has coefficient i. The
 * last group may be cut short.
 *
 * Some groups at a time are walked column by column, four vectors wide, so that coefficients and sums stay in
 * registers from row to row, while what is walked stays in L1 and its lines come nearly in order. */

#include "stored.h"

#define NORM_COLUMNS 4
/* Backward has five coefficients and sums for each column. Where there are not registers enough for all of them, the
 * coefficients are read in each row, and the compiler must not do that before the loop. */
#define NORM_HELD (VLEN == 16 || !CNN_X86)
#define NORM_FORGET()                                        \
    do {                                                     \
        if (!NORM_HELD) __asm__ volatile("" : : : "memory"); \
    } while (0)

/* Groups that are walked together: 1024 numbers of each array, or eight. */
CNN_INLINE int64_t ISA(norm_block)(int64_t width) { return CNN_MAX(1024 / width, 8); }

/* ---- forward ---- */

CNN_INLINE void ISA(norm_sum_column)(int columns, int64_t groups, int64_t width, const stored *x, float *sum) {
    vf s[NORM_COLUMNS];
    for (int j = 0; j < columns; j++) s[j] = vset(0);
    for (; groups > 0; groups--, x += width)
        for (int j = 0; j < columns; j++) s[j] += stored_load(x + j * VLEN);
    for (int j = 0; j < columns; j++) vstore(sum + j * VLEN, vload(sum + j * VLEN) + s[j]);
}

/* sum[i] = sum over groups of x, for i < width. */
static void ISA(norm_sum)(int64_t count, int64_t width, const void *from, float *sum) {
    const stored *x = from;
    memset(sum, 0, (size_t)width * sizeof(float));
    int64_t block = ISA(norm_block)(width), left = count / width;
    for (int64_t groups; (groups = CNN_MIN(left, block)) > 0; left -= groups, x += groups * width) {
        int64_t i = 0;
        for (; i + NORM_COLUMNS * VLEN <= width; i += NORM_COLUMNS * VLEN)
            ISA(norm_sum_column)(NORM_COLUMNS, groups, width, x + i, sum + i);
        for (; i < width; i += VLEN) ISA(norm_sum_column)(1, groups, width, x + i, sum + i);
    }
    for (int64_t i = 0; i < count % width; i++) sum[i] += stored_one(x + i);
}

CNN_INLINE void ISA(norm_moments_column)(int columns, int64_t groups, int64_t width, const stored *x,
                                         const float *centre, float *first, float *second) {
    vf m[NORM_COLUMNS], s[NORM_COLUMNS], q[NORM_COLUMNS];
    for (int j = 0; j < columns; j++) m[j] = vload(centre + j * VLEN), s[j] = vset(0), q[j] = vset(0);
    for (; groups > 0; groups--, x += width)
        for (int j = 0; j < columns; j++) {
            vf d = stored_load(x + j * VLEN) - m[j];
            s[j] += d;
            q[j] += d * d;
        }
    for (int j = 0; j < columns; j++) {
        vstore(first + j * VLEN, vload(first + j * VLEN) + s[j]);
        vstore(second + j * VLEN, vload(second + j * VLEN) + q[j]);
    }
}

/* first = sum of x - centre, second = sum of (x - centre)^2. */
static void ISA(norm_moments)(int64_t count, int64_t width, const void *from, const float *centre, float *first,
                              float *second) {
    const stored *x = from;
    memset(first, 0, (size_t)width * sizeof(float));
    memset(second, 0, (size_t)width * sizeof(float));
    int64_t block = ISA(norm_block)(width), left = count / width;
    for (int64_t groups; (groups = CNN_MIN(left, block)) > 0; left -= groups, x += groups * width) {
        int64_t i = 0;
        for (; i + NORM_COLUMNS * VLEN <= width; i += NORM_COLUMNS * VLEN)
            ISA(norm_moments_column)(NORM_COLUMNS, groups, width, x + i, centre + i, first + i, second + i);
        for (; i < width; i += VLEN)
            ISA(norm_moments_column)(1, groups, width, x + i, centre + i, first + i, second + i);
    }
    for (int64_t i = 0; i < count % width; i++) {
        float d = stored_one(x + i) - centre[i];
        first[i] += d;
        second[i] += d * d;
    }
}

/* What is normalised: the same operations wherever a value stands, so that it does not matter how many others are in
 * the batch, and backward finds again what forward had. */
CNN_INLINE vf ISA(norm_value)(vf x, vf k0, vf k1, vf k2) { return (x - k0) * k1 + k2; }

/* No comparison with a `limit` of NaN holds, and a NaN passes through. */
CNN_INLINE vf ISA(norm_activate)(vf z, vf limit) { return vmin(limit, vmax(vset(0), z)); }

/* `add` and `active` are constants in each call below. */
CNN_INLINE void ISA(norm_apply_column)(int columns, bool add, bool active, const struct norm_span *s, int64_t groups,
                                       int64_t at, int64_t i) {
    const int64_t width = s->width;
    const float *k = s->k + i;
    const stored *x = STORED(s->x) + at + i, *plus = add ? STORED(s->add) + at + i : NULL;
    stored *y = (stored *)s->out + at + i;
    vf limit = vset(s->limit), k0[NORM_COLUMNS], k1[NORM_COLUMNS], k2[NORM_COLUMNS];
    for (int j = 0; j < columns; j++) {
        k0[j] = vload(k + j * VLEN);
        k1[j] = vload(k + width + j * VLEN);
        k2[j] = vload(k + 2 * width + j * VLEN);
    }
    for (int64_t step = 0; groups > 0; groups--, step += width)
        for (int j = 0; j < columns; j++) {
            vf z = ISA(norm_value)(stored_load(x + step + j * VLEN), k0[j], k1[j], k2[j]);
            if (add) z += stored_load(plus + step + j * VLEN);
            stored_store(y + step + j * VLEN, active ? ISA(norm_activate)(z, limit) : z);
        }
}

CNN_INLINE void ISA(norm_apply_with)(bool add, bool active, const struct norm_span *s) {
    int64_t width = s->width, block = ISA(norm_block)(width), left = s->count / width, rest = s->count % width, at = 0;
    for (int64_t groups; (groups = CNN_MIN(left, block)) > 0; left -= groups, at += groups * width) {
        int64_t i = 0;
        for (; i + NORM_COLUMNS * VLEN <= width; i += NORM_COLUMNS * VLEN)
            ISA(norm_apply_column)(NORM_COLUMNS, add, active, s, groups, at, i);
        for (; i < width; i += VLEN) ISA(norm_apply_column)(1, add, active, s, groups, at, i);
    }
    for (int64_t i = 0; i < rest; i += VLEN) {
        int64_t lanes = CNN_MIN(VLEN, rest - i);
        vf z = ISA(norm_value)(stored_load_part(STORED(s->x) + at + i, lanes), vload(s->k + i), vload(s->k + width + i),
                               vload(s->k + 2 * width + i));
        if (add) z += stored_load_part(STORED(s->add) + at + i, lanes);
        stored_store_part((stored *)s->out + at + i, active ? ISA(norm_activate)(z, vset(s->limit)) : z, lanes);
    }
}

/* out = f((x - k0) * k1 + k2 + add) */
static void ISA(norm_apply)(const struct norm_span *s) {
    if (s->add && s->active) ISA(norm_apply_with)(true, true, s);
    else if (s->add) ISA(norm_apply_with)(true, false, s);
    else if (s->active) ISA(norm_apply_with)(false, true, s);
    else ISA(norm_apply_with)(false, false, s);
}

/* ---- backward ---- */

/* dy where f let the value through, else 0. */
CNN_INLINE vf ISA(norm_gated)(vf dy, vf y, vf limit) {
    vi closed = (y >= limit) | ~(y > vset(0));
    return (vf)((vi)dy & ~closed);
}

/* `gate` and `keep` are constants in each call below. */
CNN_INLINE void ISA(norm_products_column)(int columns, norm_gate gate, bool keep, const struct norm_span *s,
                                          int64_t groups, int64_t at, int64_t i) {
    const int64_t width = s->width;
    const float *k = s->k + i;
    const stored *x = STORED(s->x) + at + i, *dy = STORED(s->dy) + at + i;
    const stored *y = gate == GATE_Y ? STORED(s->y) + at + i : NULL;
    stored *out = keep ? (stored *)s->out + at + i : NULL;
    const bool held = NORM_HELD || gate != GATE_X;
    vf limit = vset(s->limit), k0[NORM_COLUMNS], k1[NORM_COLUMNS], k2[NORM_COLUMNS], sum[NORM_COLUMNS],
       product[NORM_COLUMNS];
    for (int j = 0; j < columns; j++) sum[j] = product[j] = vset(0);
    for (int j = 0; held && j < columns; j++) {
        k0[j] = vload(k + j * VLEN);
        if (gate == GATE_X) k1[j] = vload(k + width + j * VLEN), k2[j] = vload(k + 2 * width + j * VLEN);
    }
    for (int64_t step = 0; groups > 0; groups--, step += width) {
        if (!held) NORM_FORGET();
        for (int j = 0; j < columns; j++) {
            vf value = stored_load(x + step + j * VLEN), dz = stored_load(dy + step + j * VLEN);
            vf mean = held ? k0[j] : vload(k + j * VLEN);
            if (gate == GATE_X)
                dz = ISA(norm_gated)(dz,
                                     ISA(norm_value)(value, mean, held ? k1[j] : vload(k + width + j * VLEN),
                                                     held ? k2[j] : vload(k + 2 * width + j * VLEN)),
                                     limit);
            if (gate == GATE_Y) dz = ISA(norm_gated)(dz, stored_load(y + step + j * VLEN), limit);
            if (keep) stored_store(out + step + j * VLEN, dz);
            sum[j] += dz;
            product[j] += dz * (value - mean);
        }
    }
    for (int j = 0; j < columns; j++) {
        vstore(s->first + i + j * VLEN, vload(s->first + i + j * VLEN) + sum[j]);
        vstore(s->second + i + j * VLEN, vload(s->second + i + j * VLEN) + product[j]);
    }
}

/* The gradient behind f in VLEN lanes, of which `lanes` are there; the others are 0. */
CNN_INLINE vf ISA(norm_gated_part)(norm_gate gate, const struct norm_span *s, int64_t at, int64_t i, int64_t lanes) {
    vf dz = stored_load_part(STORED(s->dy) + at + i, lanes), limit = vset(s->limit);
    const float *k = s->k + i;
    if (gate == GATE_Y) dz = ISA(norm_gated)(dz, stored_load_part(STORED(s->y) + at + i, lanes), limit);
    if (gate == GATE_X) {
        vf x = stored_load_part(STORED(s->x) + at + i, lanes);
        dz = ISA(norm_gated)(dz, ISA(norm_value)(x, vload(k), vload(k + s->width), vload(k + 2 * s->width)), limit);
    }
    return dz;
}

CNN_INLINE void ISA(norm_products_with)(norm_gate gate, bool keep, const struct norm_span *s) {
    int64_t width = s->width, block = ISA(norm_block)(width), left = s->count / width, rest = s->count % width, at = 0;
    memset(s->first, 0, (size_t)width * sizeof(float));
    memset(s->second, 0, (size_t)width * sizeof(float));
    for (int64_t groups; (groups = CNN_MIN(left, block)) > 0; left -= groups, at += groups * width) {
        int64_t i = 0;
        for (; i + NORM_COLUMNS * VLEN <= width; i += NORM_COLUMNS * VLEN)
            ISA(norm_products_column)(NORM_COLUMNS, gate, keep, s, groups, at, i);
        for (; i < width; i += VLEN) ISA(norm_products_column)(1, gate, keep, s, groups, at, i);
    }
    for (int64_t i = 0; i < rest; i += VLEN) {
        int64_t lanes = CNN_MIN(VLEN, rest - i);
        vf dz = ISA(norm_gated_part)(gate, s, at, i, lanes), x = stored_load_part(STORED(s->x) + at + i, lanes);
        if (keep) stored_store_part((stored *)s->out + at + i, dz, lanes);
        vstore(s->first + i, vload(s->first + i) + dz);
        vstore(s->second + i, vload(s->second + i) + dz * (x - vload(s->k + i)));
    }
}

/* first = sum of dz, second = sum of dz * (x - k0), where dz is dy behind f; out, unless NULL, receives dz. */
static void ISA(norm_products)(const struct norm_span *s) {
    if (s->gate == GATE_X) {
        if (s->out) ISA(norm_products_with)(GATE_X, true, s);
        else ISA(norm_products_with)(GATE_X, false, s);
    } else if (s->gate == GATE_Y) {
        if (s->out) ISA(norm_products_with)(GATE_Y, true, s);
        else ISA(norm_products_with)(GATE_Y, false, s);
    } else {
        if (s->out) ISA(norm_products_with)(GATE_NONE, true, s);
        else ISA(norm_products_with)(GATE_NONE, false, s);
    }
}

CNN_INLINE void ISA(norm_restore_column)(int columns, norm_gate gate, const struct norm_span *s, int64_t groups,
                                         int64_t at, int64_t i) {
    const int64_t width = s->width;
    const float *k = s->k + i;
    const stored *x = STORED(s->x) + at + i, *dy = STORED(s->dy) + at + i;
    const stored *y = gate == GATE_Y ? STORED(s->y) + at + i : NULL;
    stored *out = (stored *)s->out + at + i;
    vf limit = vset(s->limit), k0[NORM_COLUMNS], k1[NORM_COLUMNS], k2[NORM_COLUMNS], k3[NORM_COLUMNS], k4[NORM_COLUMNS];
    for (int j = 0; j < columns; j++) k0[j] = vload(k + j * VLEN), k1[j] = vload(k + width + j * VLEN);
    for (int j = 0; NORM_HELD && j < columns; j++) {
        if (gate == GATE_X) k2[j] = vload(k + 2 * width + j * VLEN);
        k3[j] = vload(k + 3 * width + j * VLEN);
        k4[j] = vload(k + 4 * width + j * VLEN);
    }
    for (int64_t step = 0; groups > 0; groups--, step += width) {
        NORM_FORGET();
        for (int j = 0; j < columns; j++) {
            vf value = stored_load(x + step + j * VLEN), dz = stored_load(dy + step + j * VLEN);
            if (gate == GATE_X)
                dz = ISA(norm_gated)(
                    dz, ISA(norm_value)(value, k0[j], k1[j], NORM_HELD ? k2[j] : vload(k + 2 * width + j * VLEN)),
                    limit);
            if (gate == GATE_Y) dz = ISA(norm_gated)(dz, stored_load(y + step + j * VLEN), limit);
            vf slope = NORM_HELD ? k3[j] : vload(k + 3 * width + j * VLEN);
            vf shift = NORM_HELD ? k4[j] : vload(k + 4 * width + j * VLEN);
            stored_store(out + step + j * VLEN, dz * k1[j] + ((value - k0[j]) * slope + shift));
        }
    }
}

CNN_INLINE void ISA(norm_restore_with)(norm_gate gate, const struct norm_span *s) {
    int64_t width = s->width, block = ISA(norm_block)(width), left = s->count / width, rest = s->count % width, at = 0;
    for (int64_t groups; (groups = CNN_MIN(left, block)) > 0; left -= groups, at += groups * width) {
        int64_t i = 0;
        for (; i + NORM_COLUMNS * VLEN <= width; i += NORM_COLUMNS * VLEN)
            ISA(norm_restore_column)(NORM_COLUMNS, gate, s, groups, at, i);
        for (; i < width; i += VLEN) ISA(norm_restore_column)(1, gate, s, groups, at, i);
    }
    for (int64_t i = 0; i < rest; i += VLEN) {
        int64_t lanes = CNN_MIN(VLEN, rest - i);
        const float *k = s->k + i;
        vf dz = ISA(norm_gated_part)(gate, s, at, i, lanes), x = stored_load_part(STORED(s->x) + at + i, lanes);
        vf rest_of = (x - vload(k)) * vload(k + 3 * width) + vload(k + 4 * width);
        stored_store_part((stored *)s->out + at + i, dz * vload(k + width) + rest_of, lanes);
    }
}

/* out = dz * k1 + (x - k0) * k3 + k4 */
static void ISA(norm_restore)(const struct norm_span *s) {
    switch (s->gate) {
        case GATE_X: ISA(norm_restore_with)(GATE_X, s); break;
        case GATE_Y: ISA(norm_restore_with)(GATE_Y, s); break;
        default: ISA(norm_restore_with)(GATE_NONE, s);
    }
}

#undef NORM_COLUMNS
#undef NORM_HELD
#undef NORM_FORGET

static const struct norm_kernels ISA(norm_kernels) = {
    VLEN, ISA(norm_sum), ISA(norm_moments), ISA(norm_products), ISA(norm_apply), ISA(norm_restore)};
