/* Losses, the vector version: one row of logits at a time, which stays in the first-level cache between the visits.
 * Compiled per instruction set by foreach_isa.h on behalf of loss.c, whose reference says what each computes.
 *
 * Lanes beyond the row's end are filled so that they count for nothing: minus infinity before an exponential, zero
 * before a sum. */

CNN_INLINE vf ISA(load_or)(const float *x, int64_t count, float beyond) {
    if (count >= VLEN) return vload(x);
    union {
        vf v;
        float f[VLEN];
    } u = {.v = vset(beyond)};
    for (int64_t i = 0; i < count; i++) u.f[i] = x[i];
    return u.v;
}

/* The first `count` lanes of a, zero beyond. */
CNN_INLINE vf ISA(first_lanes)(vf a, int64_t count) {
    if (count >= VLEN) return a;
    union {
        vf v;
        float f[VLEN];
    } u = {.v = a};
    for (int64_t i = CNN_MAX(count, 0); i < VLEN; i++) u.f[i] = 0;
    return u.v;
}

CNN_INLINE void ISA(store_up_to)(float *x, vf a, int64_t count) {
    if (count >= VLEN) vstore(x, a);
    else vstore_part(x, a, count);
}

CNN_INLINE float ISA(row_max)(const float *x, int64_t classes) {
    vf top = vset(-INFINITY);
    for (int64_t k = 0; k < classes; k += VLEN) top = vmax(ISA(load_or)(x + k, classes - k, -INFINITY), top);
    union {
        vf v;
        float f[VLEN];
    } u = {.v = top};
    float most = u.f[0];
    for (int i = 1; i < VLEN; i++) most = CNN_MAX(u.f[i], most);
    return most; /* a NaN is overlooked here and comes back through the sum of exponentials */
}

static double ISA(cross_entropy)(const struct loss_row *row, const float *x, float *dx) {
    int64_t classes = row->classes;
    const float *weights = row->weights;
    double spread = row->smoothing / (double)classes;
    double peak = (1 - row->smoothing) * row->share * weight_of(weights, row->label);
    double second = (1 - row->smoothing) * (1 - row->share) * weight_of(weights, row->other);
    double total = peak + second + spread * row->weight_sum;
    float most = ISA(row_max)(x, classes);
    float at_label = x[row->label] - most, at_other = x[row->other] - most; /* before dx, which may be x, is written */
    vf top = vset(most), sum = vset(0), smooth = vset(0), share = vset((float)spread);
    for (int64_t k = 0; k < classes; k += VLEN) {
        int64_t rest = classes - k;
        vf z = ISA(load_or)(x + k, rest, -INFINITY) - top;
        vf e = vexp(z);
        sum += e; /* beyond the end e^-inf, which is 0 */
        if (spread > 0) {
            vf w = weights ? ISA(load_or)(weights + k, rest, 0) : vset(1);
            smooth += w * share * ISA(first_lanes)(z, rest);
        }
        if (dx) ISA(store_up_to)(dx + k, e, rest);
    }
    double exponentials = vsum(sum);
    if (dx) {
        vf factor = vset((float)(total * row->scale / exponentials)), base = vset((float)(spread * row->scale));
        for (int64_t k = 0; k < classes; k += VLEN) {
            int64_t rest = classes - k;
            vf w = weights ? ISA(load_or)(weights + k, rest, 0) : vset(1);
            ISA(store_up_to)(dx + k, ISA(load_or)(dx + k, rest, 0) * factor - w * base, rest);
        }
        dx[row->label] -= (float)(peak * row->scale);
        dx[row->other] -= (float)(second * row->scale);
    }
    double hit = peak * at_label + (second > 0 ? second * at_other : 0); /* a class ruled out is at minus infinity */
    return (total * log(exponentials) - hit - vsum(smooth)) * row->scale;
}

static double ISA(squared_error)(const struct loss_row *row, const float *x, float *dx) {
    vf scale = vset((float)row->scale), sum = vset(0);
    for (int64_t k = 0; k < row->classes; k += VLEN) {
        int64_t rest = row->classes - k, label = row->label - k, other = row->other - k;
        union {
            vf v;
            float f[VLEN];
        } difference = {.v = ISA(load_or)(x + k, rest, 0)};
        if (label >= 0 && label < VLEN) difference.f[label] -= (float)row->share;
        if (other >= 0 && other < VLEN) difference.f[other] -= (float)(1 - row->share);
        sum += difference.v * difference.v;
        if (dx) ISA(store_up_to)(dx + k, difference.v * scale, rest);
    }
    return 0.5 * vsum(sum) * row->scale;
}

static const struct loss_kernels ISA(loss_kernels) = {ISA(cross_entropy), ISA(squared_error)};
