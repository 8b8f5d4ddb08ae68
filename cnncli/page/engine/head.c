/* A dense layer fitted to features, as training/probe.py fits one: cross-entropy and a little weight decay, on features
 * of mean 0 and deviation 1, minimised by L-BFGS (Liu and Nocedal 1989). engine.c includes it. */

enum { REMEMBERED = 10, MOST_STEPS = 200 };

typedef struct {
    const float *x;        /* (n, d), of mean 0 and deviation 1 */
    const int32_t *labels; /* (n) */
    long n, d, c;
    double strength;
    double *chances; /* (c) */
} Fit;

static double dot(const double *a, const double *b, long count) {
    double sum = 0;
    for (long i = 0; i < count; i++) sum += a[i] * b[i];
    return sum;
}

/* The loss at a point, weights (c, d) and behind them biases (c), and its gradient. */
static double loss_at(const Fit *f, const double *point, double *gradient) {
    long weights = f->c * f->d;
    double loss = 0;
    for (long i = 0; i < weights; i++) {
        gradient[i] = f->strength * point[i];
        loss += 0.5 * f->strength * point[i] * point[i];
    }
    for (long k = 0; k < f->c; k++) gradient[weights + k] = 0;
    for (long i = 0; i < f->n; i++) {
        const float *x = f->x + i * f->d;
        double top = -INFINITY, sum = 0;
        for (long k = 0; k < f->c; k++) {
            double logit = point[weights + k];
            for (long j = 0; j < f->d; j++) logit += point[k * f->d + j] * x[j];
            f->chances[k] = logit;
            if (logit > top) top = logit;
        }
        for (long k = 0; k < f->c; k++) sum += exponential(f->chances[k] - top);
        loss += logarithm(sum) + top - f->chances[f->labels[i]];
        for (long k = 0; k < f->c; k++) {
            double slope = exponential(f->chances[k] - top) / sum - (k == f->labels[i]);
            for (long j = 0; j < f->d; j++) gradient[k * f->d + j] += slope * x[j];
            gradient[weights + k] += slope;
        }
    }
    return loss;
}

/* Take the point to where the loss is least. `memory` has room for 4 + 2 * REMEMBERED vectors of its length. */
__attribute__((minsize)) static void minimise(const Fit *f, double *point, long length, double *memory) {
    double *gradient = memory, *direction = memory + length, *there = memory + 2 * length, *next = memory + 3 * length;
    double *steps = memory + 4 * length, *changes = steps + REMEMBERED * length;
    double curvatures[REMEMBERED], factors[REMEMBERED];
    double value = loss_at(f, point, gradient);
    int pairs = 0; /* the newest is pair (pairs - 1) % REMEMBERED */
    for (int turn = 0; turn < MOST_STEPS; turn++) {
        int known = pairs < REMEMBERED ? pairs : REMEMBERED;
        for (long i = 0; i < length; i++) direction[i] = gradient[i];
        for (int k = pairs - 1; k >= pairs - known; k--) {
            int at = k % REMEMBERED;
            factors[at] = dot(steps + at * length, direction, length) / curvatures[at];
            for (long i = 0; i < length; i++) direction[i] -= factors[at] * changes[at * length + i];
        }
        double scale = 0;
        if (known) {
            int at = (pairs - 1) % REMEMBERED;
            scale = curvatures[at] / dot(changes + at * length, changes + at * length, length);
        } else {
            for (long i = 0; i < length; i++) scale += fabs(gradient[i]);
            scale = 1 / (scale > 1 ? scale : 1);
        }
        for (long i = 0; i < length; i++) direction[i] *= scale;
        for (int k = pairs - known; k < pairs; k++) {
            int at = k % REMEMBERED;
            double rest = factors[at] - dot(changes + at * length, direction, length) / curvatures[at];
            for (long i = 0; i < length; i++) direction[i] += rest * steps[at * length + i];
        }
        double slope = -dot(direction, gradient, length), step = 1, new_value;
        for (;; step /= 2) {
            if (step < 1e-8) return;
            for (long i = 0; i < length; i++) there[i] = point[i] - step * direction[i];
            new_value = loss_at(f, there, next);
            if (new_value <= value + 1e-4 * step * slope) break;
        }
        int at = pairs % REMEMBERED;
        for (long i = 0; i < length; i++) {
            steps[at * length + i] = there[i] - point[i];
            changes[at * length + i] = next[i] - gradient[i];
            point[i] = there[i], gradient[i] = next[i];
        }
        curvatures[at] = dot(steps + at * length, changes + at * length, length);
        if (curvatures[at] > 0) pairs++;
        double fall = value - new_value;
        value = new_value;
        if (fall <= 1e-6 * (value > 1 ? value : 1)) return;
    }
}

/* Fit to features x (n, d), which are changed, and labels below c; weights get (d, c) and bias (c), for features as
 * they came. Returns 0 where there is no memory. */
PART __attribute__((minsize)) int fit_head(float *x, const int32_t *labels, long n, long d, long c, double strength,
                                           float *weights, float *bias) {
    long length = c * (d + 1);
    double *memory = malloc(sizeof(double) * (size_t)((5 + 2 * REMEMBERED) * length + 2 * d + c));
    if (!memory) return 0;
    double *point = memory, *mean = memory + (5 + 2 * REMEMBERED) * length, *deviation = mean + d;
    for (long j = 0; j < d; j++) {
        double sum = 0, squares = 0;
        for (long i = 0; i < n; i++) sum += x[i * d + j];
        mean[j] = sum / n;
        for (long i = 0; i < n; i++) squares += (x[i * d + j] - mean[j]) * (x[i * d + j] - mean[j]);
        deviation[j] = __builtin_sqrt(squares / n);
        if (deviation[j] < 1e-3) deviation[j] = 1;
        for (long i = 0; i < n; i++) x[i * d + j] = (float)((x[i * d + j] - mean[j]) / deviation[j]);
    }
    for (long i = 0; i < length; i++) point[i] = 0;
    Fit f = {x, labels, n, d, c, strength, deviation + d};
    minimise(&f, point, length, memory + length);
    for (long k = 0; k < c; k++) {
        double rest = point[c * d + k];
        for (long j = 0; j < d; j++) {
            double weight = point[k * d + j] / deviation[j];
            weights[j * c + k] = (float)weight;
            rest -= weight * mean[j];
        }
        bias[k] = (float)rest;
    }
    return 1;
}
