/* Batch normalisation's passes over memory, the vector version, compiled per instruction set by foreach_isa.h on
 * behalf of norm.c. `count` floats are whole rows; lane i of a group of `width` floats, a multiple of VLEN, has
 * coefficient i. The last group may be cut short. */

/* sum[i] = sum over groups of x, for i < width. Four groups are added before the sum is stored. */
static void ISA(norm_sum)(int64_t count, int64_t width, const float *x, float *sum) {
    memset(sum, 0, (size_t)width * sizeof(float));
    for (; count >= 4 * width; count -= 4 * width, x += 4 * width)
        for (int64_t i = 0; i < width; i += VLEN)
            vstore(sum + i, vload(sum + i) + ((vload(x + i) + vload(x + width + i)) +
                                              (vload(x + 2 * width + i) + vload(x + 3 * width + i))));
    for (; count > 0; count -= width, x += width)
        for (int64_t i = 0; i < CNN_MIN(count, width); i++) sum[i] += x[i];
}

/* first = sum of x - centre, second = sum of (x - centre)^2. */
static void ISA(norm_moments)(int64_t count, int64_t width, const float *x, const float *centre, float *first,
                              float *second) {
    memset(first, 0, (size_t)width * sizeof(float));
    memset(second, 0, (size_t)width * sizeof(float));
    for (; count >= 4 * width; count -= 4 * width, x += 4 * width)
        for (int64_t i = 0; i < width; i += VLEN) {
            vf m = vload(centre + i);
            vf a = vload(x + i) - m, b = vload(x + width + i) - m;
            vf c = vload(x + 2 * width + i) - m, d = vload(x + 3 * width + i) - m;
            vstore(first + i, vload(first + i) + ((a + b) + (c + d)));
            vstore(second + i, vload(second + i) + ((a * a + b * b) + (c * c + d * d)));
        }
    for (; count > 0; count -= width, x += width)
        for (int64_t i = 0; i < CNN_MIN(count, width); i++) {
            float a = x[i] - centre[i];
            first[i] += a;
            second[i] += a * a;
        }
}

/* first = sum of dy, second = sum of dy * (x - centre). */
static void ISA(norm_products)(int64_t count, int64_t width, const float *x, const float *dy, const float *centre,
                               float *first, float *second) {
    memset(first, 0, (size_t)width * sizeof(float));
    memset(second, 0, (size_t)width * sizeof(float));
    for (; count >= 4 * width; count -= 4 * width, x += 4 * width, dy += 4 * width)
        for (int64_t i = 0; i < width; i += VLEN) {
            vf m = vload(centre + i);
            vf a = vload(dy + i), b = vload(dy + width + i);
            vf c = vload(dy + 2 * width + i), d = vload(dy + 3 * width + i);
            vf p = a * (vload(x + i) - m) + b * (vload(x + width + i) - m);
            vf q = c * (vload(x + 2 * width + i) - m) + d * (vload(x + 3 * width + i) - m);
            vstore(first + i, vload(first + i) + ((a + b) + (c + d)));
            vstore(second + i, vload(second + i) + (p + q));
        }
    for (; count > 0; count -= width, x += width, dy += width)
        for (int64_t i = 0; i < CNN_MIN(count, width); i++) {
            first[i] += dy[i];
            second[i] += dy[i] * (x[i] - centre[i]);
        }
}

/* y = (x - k0) * k1 + k2: the same operations wherever a value stands, so that it does not matter how many others
 * are in the batch. */
static void ISA(norm_apply)(int64_t count, int64_t width, const float *k, const float *x, float *y) {
    const float *k1 = k + width, *k2 = k1 + width;
    for (; count > 0; count -= width, x += width, y += width) {
        int64_t here = CNN_MIN(count, width), i = 0;
        for (; i + VLEN <= here; i += VLEN)
            vstore(y + i, (vload(x + i) - vload(k + i)) * vload(k1 + i) + vload(k2 + i));
        if (i < here)
            vstore_part(y + i, (vload_part(x + i, here - i) - vload(k + i)) * vload(k1 + i) + vload(k2 + i), here - i);
    }
}

/* dx = dy * k1 + (x - k0) * k2 + k3 */
static void ISA(norm_apply_two)(int64_t count, int64_t width, const float *k, const float *x, const float *dy,
                                float *dx) {
    const float *k1 = k + width, *k2 = k1 + width, *k3 = k2 + width;
    for (; count > 0; count -= width, x += width, dy += width, dx += width) {
        int64_t here = CNN_MIN(count, width), i = 0;
        for (; i + VLEN <= here; i += VLEN)
            vstore(dx + i, vload(dy + i) * vload(k1 + i) + ((vload(x + i) - vload(k + i)) * vload(k2 + i) + vload(k3 + i)));
        if (i < here)
            vstore_part(dx + i, vload_part(dy + i, here - i) * vload(k1 + i) +
                        ((vload_part(x + i, here - i) - vload(k + i)) * vload(k2 + i) + vload(k3 + i)), here - i);
    }
}

static const struct norm_kernels ISA(norm_kernels) = {VLEN, ISA(norm_sum), ISA(norm_moments), ISA(norm_products),
                                                      ISA(norm_apply), ISA(norm_apply_two)};
