/* The multiply-add peak, the vector version: chains that do not wait for each other. Compiled per instruction set by
 * foreach_isa.h on behalf of peak.c. */

static float ISA(peak_run)(int64_t steps, float factor, float term) {
    vf a = vset(factor), b = vset(term), acc0 = b, acc1 = b + 1, acc2 = b + 2, acc3 = b + 3, acc4 = b + 4, acc5 = b + 5,
       acc6 = b + 6, acc7 = b + 7, acc8 = b + 8, acc9 = b + 9, acc10 = b + 10, acc11 = b + 11;
    for (int64_t i = 0; i < steps; i++) {
        acc0 = acc0 * a + b, acc1 = acc1 * a + b, acc2 = acc2 * a + b, acc3 = acc3 * a + b;
        acc4 = acc4 * a + b, acc5 = acc5 * a + b, acc6 = acc6 * a + b, acc7 = acc7 * a + b;
        acc8 = acc8 * a + b, acc9 = acc9 * a + b, acc10 = acc10 * a + b, acc11 = acc11 * a + b;
    }
    return vsum(acc0 + acc1 + acc2 + acc3 + acc4 + acc5 + acc6 + acc7 + acc8 + acc9 + acc10 + acc11);
}

static const struct peak_kernels ISA(peak_kernels) = {2 * VLEN * ACCUMULATORS, ISA(peak_run)};
