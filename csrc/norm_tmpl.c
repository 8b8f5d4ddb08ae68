/* Batch normalisation's passes over memory, the vector version, compiled per instruction set by foreach_isa.h on
 * behalf of norm.c. A pass covers whole rows, taken in groups of `width` floats, a multiple of VLEN and at least four
 * vectors: lane i of a group has coefficient i. The last group may be cut short.
 *
 * Some groups at a time are walked column by column, a few vectors wide, so that coefficients and sums stay in
 * registers from row to row while the lines come in the order that prefetchers know. */

/* Vectors that a column is wide where a pass needs three registers for each, and where it needs five. */
#define NORM_THREE 4
#define NORM_FIVE (VLEN == 16 || !CNN_X86 ? 4 : 2)

/* Groups that are walked together: 16 KiB, which stay in L1, or eight. */
CNN_INLINE int64_t ISA(norm_groups)(int64_t count, int64_t width) {
    return CNN_MIN(count / width, CNN_MAX(4096 / width, 8));
}

/* ---- forward ---- */

CNN_INLINE void ISA(norm_sum_column)(int columns, int64_t groups, int64_t width, const float *x, float *sum) {
    vf s[NORM_THREE];
    for (int j = 0; j < columns; j++) s[j] = vset(0);
    for (; groups > 0; groups--, x += width)
        for (int j = 0; j < columns; j++) s[j] += vload(x + j * VLEN);
    for (int j = 0; j < columns; j++) vstore(sum + j * VLEN, vload(sum + j * VLEN) + s[j]);
}

/* sum[i] = sum over groups of x, for i < width. */
static void ISA(norm_sum)(int64_t count, int64_t width, const float *x, float *sum) {
    memset(sum, 0, (size_t)width * sizeof(float));
    for (int64_t groups; (groups = ISA(norm_groups)(count, width)) > 0; count -= groups * width, x += groups * width) {
        int64_t i = 0;
        for (; i + NORM_THREE * VLEN <= width; i += NORM_THREE * VLEN)
            ISA(norm_sum_column)(NORM_THREE, groups, width, x + i, sum + i);
        for (; i < width; i += VLEN) ISA(norm_sum_column)(1, groups, width, x + i, sum + i);
    }
    for (int64_t i = 0; i < count; i++) sum[i] += x[i];
}

CNN_INLINE void ISA(norm_moments_column)(int columns, int64_t groups, int64_t width, const float *x,
                                         const float *centre, float *first, float *second) {
    vf m[NORM_THREE], s[NORM_THREE], q[NORM_THREE];
    for (int j = 0; j < columns; j++) m[j] = vload(centre + j * VLEN), s[j] = vset(0), q[j] = vset(0);
    for (; groups > 0; groups--, x += width)
        for (int j = 0; j < columns; j++) {
            vf d = vload(x + j * VLEN) - m[j];
            s[j] += d;
            q[j] += d * d;
        }
    for (int j = 0; j < columns; j++) {
        vstore(first + j * VLEN, vload(first + j * VLEN) + s[j]);
        vstore(second + j * VLEN, vload(second + j * VLEN) + q[j]);
    }
}

/* first = sum of x - centre, second = sum of (x - centre)^2. */
static void ISA(norm_moments)(int64_t count, int64_t width, const float *x, const float *centre, float *first,
                              float *second) {
    memset(first, 0, (size_t)width * sizeof(float));
    memset(second, 0, (size_t)width * sizeof(float));
    for (int64_t groups; (groups = ISA(norm_groups)(count, width)) > 0; count -= groups * width, x += groups * width) {
        int64_t i = 0;
        for (; i + NORM_THREE * VLEN <= width; i += NORM_THREE * VLEN)
            ISA(norm_moments_column)(NORM_THREE, groups, width, x + i, centre + i, first + i, second + i);
        for (; i < width; i += VLEN)
            ISA(norm_moments_column)(1, groups, width, x + i, centre + i, first + i, second + i);
    }
    for (int64_t i = 0; i < count; i++) {
        float d = x[i] - centre[i];
        first[i] += d;
        second[i] += d * d;
    }
}

/* What is normalised: the same operations wherever a value stands, so that it does not matter how many others are in
 * the batch, and backward finds again what forward had. */
CNN_INLINE vf ISA(norm_value)(vf x, vf k0, vf k1, vf k2) { return (x - k0) * k1 + k2; }

/* No comparison with a `limit` of NaN holds, and a NaN passes through. */
CNN_INLINE vf ISA(norm_activate)(vf z, vf limit) {
    z = vselect(z < vset(0), vset(0), z);
    return vselect(z > limit, limit, z);
}

/* `add` and `active` are constants in each call below. */
CNN_INLINE void ISA(norm_apply_column)(int columns, bool add, bool active, const struct norm_span *s, int64_t groups,
                                       int64_t at, int64_t i) {
    const int64_t width = s->width;
    const float *k = s->k + i, *x = s->x + at + i, *plus = add ? s->add + at + i : NULL;
    float *y = s->out + at + i;
    vf limit = vset(s->limit), k0[NORM_THREE], k1[NORM_THREE], k2[NORM_THREE];
    for (int j = 0; j < columns; j++) {
        k0[j] = vload(k + j * VLEN);
        k1[j] = vload(k + width + j * VLEN);
        k2[j] = vload(k + 2 * width + j * VLEN);
    }
    for (int64_t step = 0; groups > 0; groups--, step += width)
        for (int j = 0; j < columns; j++) {
            vf z = ISA(norm_value)(vload(x + step + j * VLEN), k0[j], k1[j], k2[j]);
            if (add) z += vload(plus + step + j * VLEN);
            vstore(y + step + j * VLEN, active ? ISA(norm_activate)(z, limit) : z);
        }
}

CNN_INLINE void ISA(norm_apply_with)(bool add, bool active, const struct norm_span *s) {
    int64_t width = s->width, at = 0, rest = s->count;
    for (int64_t groups; (groups = ISA(norm_groups)(rest, width)) > 0; rest -= groups * width, at += groups * width) {
        int64_t i = 0;
        for (; i + NORM_THREE * VLEN <= width; i += NORM_THREE * VLEN)
            ISA(norm_apply_column)(NORM_THREE, add, active, s, groups, at, i);
        for (; i < width; i += VLEN) ISA(norm_apply_column)(1, add, active, s, groups, at, i);
    }
    for (int64_t i = 0; i < rest; i += VLEN) {
        int64_t lanes = CNN_MIN(VLEN, rest - i);
        vf z = ISA(norm_value)(vload_part(s->x + at + i, lanes), vload(s->k + i), vload(s->k + width + i),
                               vload(s->k + 2 * width + i));
        if (add) z += vload_part(s->add + at + i, lanes);
        vstore_part(s->out + at + i, active ? ISA(norm_activate)(z, vset(s->limit)) : z, lanes);
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
    const float *k = s->k + i, *x = s->x + at + i, *dy = s->dy + at + i, *y = gate == GATE_Y ? s->y + at + i : NULL;
    float *out = keep ? s->out + at + i : NULL;
    vf limit = vset(s->limit), k0[NORM_FIVE], k1[NORM_FIVE], k2[NORM_FIVE], sum[NORM_FIVE], product[NORM_FIVE];
    for (int j = 0; j < columns; j++) {
        k0[j] = vload(k + j * VLEN);
        if (gate == GATE_X) k1[j] = vload(k + width + j * VLEN), k2[j] = vload(k + 2 * width + j * VLEN);
        sum[j] = product[j] = vset(0);
    }
    for (int64_t step = 0; groups > 0; groups--, step += width)
        for (int j = 0; j < columns; j++) {
            vf value = vload(x + step + j * VLEN), dz = vload(dy + step + j * VLEN);
            if (gate == GATE_X) dz = ISA(norm_gated)(dz, ISA(norm_value)(value, k0[j], k1[j], k2[j]), limit);
            if (gate == GATE_Y) dz = ISA(norm_gated)(dz, vload(y + step + j * VLEN), limit);
            if (keep) vstore(out + step + j * VLEN, dz);
            sum[j] += dz;
            product[j] += dz * (value - k0[j]);
        }
    for (int j = 0; j < columns; j++) {
        vstore(s->first + i + j * VLEN, vload(s->first + i + j * VLEN) + sum[j]);
        vstore(s->second + i + j * VLEN, vload(s->second + i + j * VLEN) + product[j]);
    }
}

/* The gradient behind f in VLEN lanes, of which `lanes` are there; the others are 0. */
CNN_INLINE vf ISA(norm_gated_part)(norm_gate gate, const struct norm_span *s, int64_t at, int64_t i, int64_t lanes) {
    vf dz = vload_part(s->dy + at + i, lanes), limit = vset(s->limit);
    const float *k = s->k + i;
    if (gate == GATE_Y) dz = ISA(norm_gated)(dz, vload_part(s->y + at + i, lanes), limit);
    if (gate == GATE_X) {
        vf x = vload_part(s->x + at + i, lanes);
        dz = ISA(norm_gated)(dz, ISA(norm_value)(x, vload(k), vload(k + s->width), vload(k + 2 * s->width)), limit);
    }
    return dz;
}

CNN_INLINE void ISA(norm_products_with)(norm_gate gate, bool keep, const struct norm_span *s) {
    int64_t width = s->width, at = 0, rest = s->count;
    memset(s->first, 0, (size_t)width * sizeof(float));
    memset(s->second, 0, (size_t)width * sizeof(float));
    for (int64_t groups; (groups = ISA(norm_groups)(rest, width)) > 0; rest -= groups * width, at += groups * width) {
        int64_t i = 0;
        for (; i + NORM_FIVE * VLEN <= width; i += NORM_FIVE * VLEN)
            ISA(norm_products_column)(NORM_FIVE, gate, keep, s, groups, at, i);
        for (; i < width; i += VLEN) ISA(norm_products_column)(1, gate, keep, s, groups, at, i);
    }
    for (int64_t i = 0; i < rest; i += VLEN) {
        int64_t lanes = CNN_MIN(VLEN, rest - i);
        vf dz = ISA(norm_gated_part)(gate, s, at, i, lanes), x = vload_part(s->x + at + i, lanes);
        if (keep) vstore_part(s->out + at + i, dz, lanes);
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
    const float *k = s->k + i, *x = s->x + at + i, *dy = s->dy + at + i, *y = gate == GATE_Y ? s->y + at + i : NULL;
    float *out = s->out + at + i;
    vf limit = vset(s->limit), k0[NORM_FIVE], k1[NORM_FIVE], k2[NORM_FIVE], k3[NORM_FIVE], k4[NORM_FIVE];
    for (int j = 0; j < columns; j++) {
        k0[j] = vload(k + j * VLEN);
        k1[j] = vload(k + width + j * VLEN);
        if (gate == GATE_X) k2[j] = vload(k + 2 * width + j * VLEN);
        k3[j] = vload(k + 3 * width + j * VLEN);
        k4[j] = vload(k + 4 * width + j * VLEN);
    }
    for (int64_t step = 0; groups > 0; groups--, step += width)
        for (int j = 0; j < columns; j++) {
            vf value = vload(x + step + j * VLEN), dz = vload(dy + step + j * VLEN);
            if (gate == GATE_X) dz = ISA(norm_gated)(dz, ISA(norm_value)(value, k0[j], k1[j], k2[j]), limit);
            if (gate == GATE_Y) dz = ISA(norm_gated)(dz, vload(y + step + j * VLEN), limit);
            vstore(out + step + j * VLEN, dz * k1[j] + ((value - k0[j]) * k3[j] + k4[j]));
        }
}

CNN_INLINE void ISA(norm_restore_with)(norm_gate gate, const struct norm_span *s) {
    int64_t width = s->width, at = 0, rest = s->count;
    for (int64_t groups; (groups = ISA(norm_groups)(rest, width)) > 0; rest -= groups * width, at += groups * width) {
        int64_t i = 0;
        for (; i + NORM_FIVE * VLEN <= width; i += NORM_FIVE * VLEN)
            ISA(norm_restore_column)(NORM_FIVE, gate, s, groups, at, i);
        for (; i < width; i += VLEN) ISA(norm_restore_column)(1, gate, s, groups, at, i);
    }
    for (int64_t i = 0; i < rest; i += VLEN) {
        int64_t lanes = CNN_MIN(VLEN, rest - i);
        const float *k = s->k + i;
        vf dz = ISA(norm_gated_part)(gate, s, at, i, lanes), x = vload_part(s->x + at + i, lanes);
        vf rest_of = (x - vload(k)) * vload(k + 3 * width) + vload(k + 4 * width);
        vstore_part(s->out + at + i, dz * vload(k + width) + rest_of, lanes);
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

#undef NORM_THREE
#undef NORM_FIVE

static const struct norm_kernels ISA(norm_kernels) = {VLEN, ISA(norm_sum), ISA(norm_moments), ISA(norm_products),
                                                      ISA(norm_apply), ISA(norm_restore)};
