/* Optimisers and the sum of squares, the vector version: one sweep over contiguous floats. Compiled per instruction
 * set by foreach_isa.h on behalf of optim.c, whose reference says what each computes. */

/* `memory` and `nesterov` are constants in each call below, so that the branches are gone from the loop. */
CNN_INLINE vf ISA(sgd_one)(const struct sgd_step *s, bool memory, bool nesterov, vf gradient, vf p, vf *first) {
    vf g = s->scale * gradient + s->weight_decay * p;
    if (memory) {
        *first = s->momentum * *first + s->fresh * g;
        g = nesterov ? g + s->momentum * *first : *first;
    }
    return p - s->lr * g;
}

CNN_INLINE void ISA(sgd_sweep)(const struct sgd_step *step, bool memory, bool nesterov, int64_t count,
                               const float *gradient, float *p, float *first) {
    const struct sgd_step s = *step; /* a copy that the stores below cannot alias */
    vf m = vset(0);
    int64_t i = 0;
    for (; i + VLEN <= count; i += VLEN) {
        if (memory) m = vload(first + i);
        vf next = ISA(sgd_one)(&s, memory, nesterov, vload(gradient + i), vload(p + i), &m);
        if (memory) vstore(first + i, m);
        vstore(p + i, next);
    }
    int64_t rest = count - i;
    if (rest > 0) {
        if (memory) m = vload_part(first + i, rest);
        vf next = ISA(sgd_one)(&s, memory, nesterov, vload_part(gradient + i, rest), vload_part(p + i, rest), &m);
        if (memory) vstore_part(first + i, m, rest);
        vstore_part(p + i, next, rest);
    }
}

static void ISA(sgd)(const struct sgd_step *step, int64_t count, const float *gradient, float *p, float *first) {
    if (!first) ISA(sgd_sweep)(step, false, false, count, gradient, p, first);
    else if (step->nesterov) ISA(sgd_sweep)(step, true, true, count, gradient, p, first);
    else ISA(sgd_sweep)(step, true, false, count, gradient, p, first);
}

CNN_INLINE vf ISA(adam_one)(const struct adam_step *s, vf gradient, vf p, vf *first, vf *second) {
    vf g = s->scale * gradient + s->weight_decay * p;
    *first += s->fresh1 * (g - *first);
    *second = s->beta2 * *second + s->fresh2 * g * g;
    return s->shrink * p - s->step_size * *first / (vsqrt(*second) * s->root + s->eps);
}

static void ISA(adam)(const struct adam_step *step, int64_t count, const float *gradient, float *p, float *first,
                      float *second) {
    const struct adam_step s = *step;
    int64_t i = 0;
    for (; i + VLEN <= count; i += VLEN) {
        vf m = vload(first + i), v = vload(second + i);
        vf next = ISA(adam_one)(&s, vload(gradient + i), vload(p + i), &m, &v);
        vstore(first + i, m);
        vstore(second + i, v);
        vstore(p + i, next);
    }
    int64_t rest = count - i;
    if (rest > 0) {
        vf m = vload_part(first + i, rest), v = vload_part(second + i, rest);
        vf next = ISA(adam_one)(&s, vload_part(gradient + i, rest), vload_part(p + i, rest), &m, &v);
        vstore_part(first + i, m, rest);
        vstore_part(second + i, v, rest);
        vstore_part(p + i, next, rest);
    }
}

/* In double: the square of a finite float never overflows there. Half a vector of floats fills a whole one. */
typedef double ISA(wide) __attribute__((vector_size(VLEN * 4)));
typedef float ISA(half) __attribute__((vector_size(VLEN * 2)));
typedef float ISA(half_unaligned) __attribute__((vector_size(VLEN * 2), aligned(4), may_alias));

CNN_INLINE ISA(wide) ISA(widened)(const float *p) {
    return __builtin_convertvector((ISA(half))*(const ISA(half_unaligned) *)p, ISA(wide));
}

static double ISA(squares)(int64_t count, const float *gradient) {
    ISA(wide) a = {0}, b = {0}, c = {0}, d = {0};
    int64_t i = 0;
    for (; i + 2 * VLEN <= count; i += 2 * VLEN) {
        ISA(wide) p = ISA(widened)(gradient + i), q = ISA(widened)(gradient + i + VLEN / 2);
        ISA(wide) r = ISA(widened)(gradient + i + VLEN), s = ISA(widened)(gradient + i + 3 * VLEN / 2);
        a += p * p;
        b += q * q;
        c += r * r;
        d += s * s;
    }
    union {
        ISA(wide) v;
        double d[VLEN / 2];
    } sum = {.v = (a + b) + (c + d)};
    for (; i < count; i++) sum.d[i % (VLEN / 2)] += (double)gradient[i] * gradient[i];
    double total = 0;
    for (int lane = 0; lane < VLEN / 2; lane++) total += sum.d[lane];
    return total;
}

static const struct optim_kernels ISA(optim_kernels) = {ISA(sgd), ISA(adam), ISA(squares)};
