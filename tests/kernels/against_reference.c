/* Every kernel's vectors against the plain-loop reference, from C alone: for processors that the machine at hand can
 * only emulate. tests/kernels/test_emulated.py compiles this, its parts and csrc/ and runs them under QEMU; the
 * thorough tests, against float64, are the Python files beside this one. scripts/sanitize.sh has several threads run it,
 * under ThreadSanitizer. Arguments: the instruction set, baseline, avx2 or avx512, and the number of threads (1); without
 * any the program says what the processor has. Prints what differs and exits with 1, or with 2 where the processor lacks
 * the instruction set. */
#include "against_reference.h"

#define FENCE 32
#define SENTINEL -12345.5f

static int failures, comparisons;
static int vectors;

void must(const char *what, cnn_status status) {
    if (status == CNN_OK) return;
    printf("%s returned %d\n", what, status);
    exit(1);
}

void use(int side) { must("isa", cnn_isa_set(side == REFERENCE ? CNN_ISA_REFERENCE : vectors)); }

/* ---- arrays ---- */

float *filled(int64_t count, float low, float high) {
    static uint64_t state = 1;
    float *a = malloc((size_t)count * sizeof *a);
    for (int64_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        a[i] = low + (high - low) * (float)(state >> 40) / (float)(1 << 24);
    }
    return a;
}

struct output output(int64_t count) {
    struct output o = {count, {NULL, NULL}};
    for (int side = 0; side < SIDES; side++) {
        o.by[side] = malloc((size_t)(count + FENCE) * sizeof(float));
        for (int64_t i = 0; i < count + FENCE; i++) o.by[side][i] = SENTINEL;
    }
    return o;
}

void compare(const char *what, int64_t number, struct output o, double bound) {
    double squares = 0, worst = 0;
    const float *expected = o.by[REFERENCE], *found = o.by[VECTORS];
    for (int64_t i = 0; i < o.count; i++) {
        double error = fabs((double)found[i] - expected[i]);
        squares += (double)expected[i] * expected[i];
        if (!(error <= worst)) worst = error; /* a NaN stays */
    }
    double share = worst / (sqrt(squares / (double)o.count) + 1e-30);
    comparisons++;
    if (!(share <= bound)) failures++, printf("%s, case %d: error %g, allowed %g\n", what, (int)number, share, bound);
    for (int side = 0; side < SIDES; side++) {
        for (int i = 0; i < FENCE; i++)
            if (o.by[side][o.count + i] != SENTINEL) failures++, printf("%s wrote past its end\n", what);
        free(o.by[side]);
    }
}

void expect(const char *what, int64_t number, bool right) {
    comparisons++;
    if (!right) failures++, printf("%s, case %d: wrong\n", what, (int)number);
}

double sum_bound(int64_t terms) { return WORST * fmax(2 * U, 0.5 * U * sqrt((double)terms)); }

static void check_settings(void) {
    must("threads", cnn_threads_set(2));
    expect("threads", 2, cnn_threads_get() == 2);
    for (int side = 0; side < SIDES; side++) {
        use(side);
        expect("instruction set", side, cnn_isa_active() == (side == REFERENCE ? CNN_ISA_REFERENCE : vectors));
        expect("supported", side, cnn_isa_supported(cnn_isa_active()) == 1);
    }
}

static const char *const names[] = {"reference", "baseline", "avx2", "avx512"};

static void tell(void) {
    printf("%s of", names[cnn_isa_active()]);
    for (int isa = CNN_ISA_REFERENCE; isa <= CNN_ISA_AVX512; isa++)
        if (cnn_isa_supported(isa)) printf(" %s", names[isa]);
    printf("\n");
}

int main(int count, char **arguments) {
    if (count < 2) return tell(), 0;
    const char *isa = arguments[1];
    for (vectors = CNN_ISA_AVX512; vectors > CNN_ISA_REFERENCE && strcmp(isa, names[vectors]); vectors--) {}
    if (vectors == CNN_ISA_REFERENCE || cnn_isa_set(vectors) != CNN_OK)
        return printf("this processor has no %s\n", isa), 2;
    must("threads", cnn_threads_set(count > 2 ? atoi(arguments[2]) : 1));
    check_settings();
    check_convolutions();
    check_layers();
    check_images();
    check_int8();
    check_bf16();
    if (count > 2) check_larger_convolutions(), check_larger_layers(), check_larger_int8();
    printf("%s: %d comparisons, %d failures\n", isa, comparisons, failures);
    return failures != 0;
}
