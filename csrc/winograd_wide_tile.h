/* The matrices of F(7 x 7, 3 x 3), for both templates of winograd_wide.h. Included again for every instruction set;
 * hence no include guard.
 *
 * The points are 0, +-P1 … +-P4. With p a point, q = p² and the other points' squares r, s, t, its row of
 *   B' has the coefficients of x (x + p) (x² - r) (x² - s) (x² - t), for 0 those of (x² - q) (x² - r) …,
 *   A' has 1, p, p², … p⁶ (a column),
 *   G  has (1, p, p²) / n where n = 2 q (q - r) (q - s) (q - t), for 0 (1, 0, 0) / (q r s t).
 * The rows of a point and its negative share an even and an odd part. Which products are rounded is not left to the
 * compiler: results are to be the same bits wherever a tile lies. */
#undef UNROLL
#define UNROLL CNN_UNROLL(9)

#undef P1
#undef P2
#undef P3
#undef P4
#define P1 0.5
#define P2 0.875
#define P3 1.5
#define P4 3.0

#undef SQUARE
#undef SUM3
#undef PAIRS3
#undef ALL3
#define SQUARE(p) ((p) * (p))
#define SUM3(r, s, t) (-((r) + (s) + (t)))
#define PAIRS3(r, s, t) ((r) * (s) + (r) * (t) + (s) * (t))
#define ALL3(r, s, t) (-((r) * (s) * (t)))
#undef FACTOR
#define FACTOR(a) vset((float)(a))

/* ---- B' ---- */

/* The rows of p and -p, whose squares' others are r, s, t. */
CNN_INLINE void ISA(wide_pair)(const double p, const double r, const double s, const double t, const vf x[9], vf *plus,
                               vf *minus) {
    vf even = vfma(FACTOR(SUM3(r, s, t)), x[6], x[8]), odd = FACTOR(p) * x[7];
    even = vfma(FACTOR(PAIRS3(r, s, t)), x[4], even);
    odd = vfma(FACTOR(p * SUM3(r, s, t)), x[5], odd);
    even = vfma(FACTOR(ALL3(r, s, t)), x[2], even);
    odd = vfma(FACTOR(p * PAIRS3(r, s, t)), x[3], odd);
    odd = vfma(FACTOR(p * ALL3(r, s, t)), x[1], odd);
    *plus = even + odd;
    *minus = even - odd;
}

CNN_INLINE void ISA(wide_input)(const vf x[9], vf out[9]) {
    const double q = SQUARE(P1), r = SQUARE(P2), s = SQUARE(P3), t = SQUARE(P4);
    vf zero = vfma(FACTOR(SUM3(q, r, s) - t), x[6], x[8]);
    zero = vfma(FACTOR(PAIRS3(q, r, s) - t * SUM3(q, r, s)), x[4], zero);
    zero = vfma(FACTOR(ALL3(q, r, s) - t * PAIRS3(q, r, s)), x[2], zero);
    out[0] = vfma(FACTOR(-t * ALL3(q, r, s)), x[0], zero);
    ISA(wide_pair)(P1, r, s, t, x, &out[1], &out[2]);
    ISA(wide_pair)(P2, q, s, t, x, &out[3], &out[4]);
    ISA(wide_pair)(P3, q, r, t, x, &out[5], &out[6]);
    ISA(wide_pair)(P4, q, r, s, x, &out[7], &out[8]);
}

/* ---- G ---- */

CNN_INLINE void ISA(wide_taps)(const double p, const double r, const double s, const double t, vf g0, vf g1, vf g2,
                               vf *plus, vf *minus) {
    const double q = SQUARE(p), n = 2 * q * (q - r) * (q - s) * (q - t);
    vf even = vfma(FACTOR(q / n), g2, FACTOR(1 / n) * g0), odd = FACTOR(p / n) * g1;
    vhold(odd);
    *plus = even + odd;
    *minus = even - odd;
}

CNN_INLINE void ISA(wide_weights)(vf g0, vf g1, vf g2, vf out[9]) {
    const double q = SQUARE(P1), r = SQUARE(P2), s = SQUARE(P3), t = SQUARE(P4);
    out[0] = FACTOR(1 / (q * r * s * t)) * g0;
    ISA(wide_taps)(P1, r, s, t, g0, g1, g2, &out[1], &out[2]);
    ISA(wide_taps)(P2, q, s, t, g0, g1, g2, &out[3], &out[4]);
    ISA(wide_taps)(P3, q, r, t, g0, g1, g2, &out[5], &out[6]);
    ISA(wide_taps)(P4, q, r, s, g0, g1, g2, &out[7], &out[8]);
}

/* ---- A' ---- */

/* The sum of a point's power times each of four. */
CNN_INLINE vf ISA(wide_powers)(const int power, vf a, vf b, vf c, vf d) {
    double p[4] = {1, 1, 1, 1};
    UNROLL for (int i = 0; i < power; i++) p[0] *= P1, p[1] *= P2, p[2] *= P3, p[3] *= P4;
    return vfma(FACTOR(p[3]), d, vfma(FACTOR(p[2]), c, vfma(FACTOR(p[1]), b, FACTOR(p[0]) * a)));
}

CNN_INLINE void ISA(wide_output)(const vf m[9], vf y[7]) {
    vf a = m[1] + m[2], b = m[3] + m[4], c = m[5] + m[6], d = m[7] + m[8];
    y[0] = m[0] + ((a + b) + (c + d));
    y[2] = ISA(wide_powers)(2, a, b, c, d);
    y[4] = ISA(wide_powers)(4, a, b, c, d);
    y[6] = ISA(wide_powers)(6, a, b, c, d);
    a = m[1] - m[2], b = m[3] - m[4], c = m[5] - m[6], d = m[7] - m[8];
    y[1] = ISA(wide_powers)(1, a, b, c, d);
    y[3] = ISA(wide_powers)(3, a, b, c, d);
    y[5] = ISA(wide_powers)(5, a, b, c, d);
}
