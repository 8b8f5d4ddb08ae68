/* Gathering, the vector version: the windows of some pixels, each a row of the matrix A. Compiled per instruction set
 * by foreach_isa.h on behalf of conv_dense.c. Runs are copied and cleared by whole vectors, a little past their
 * end: what follows in the row is written later, and CNN_DEPTH_STRIDE leaves room behind the last. */

CNN_INLINE void ISA(clear)(float *to, int64_t count) {
    for (int64_t i = 0; i < count; i += VLEN) vstore(to + i, vset(0));
}

/* `end` is the end of the memory that may be read. */
CNN_INLINE void ISA(copy)(float *to, const float *from, int64_t count, const float *end) {
    if (count <= 0) return;
    if (cnn_round_up(count, VLEN) <= end - from) {
        for (int64_t i = 0; i < count; i += VLEN) vstore(to + i, vload(from + i));
    } else {
        for (int64_t i = 0; i < count; i++) to[i] = from[i];
    }
}

/* Columns [first, last) of one row of taps, whose floats lie next to each other in the source from `row` on, which
 * stands for tap 0 and may be outside. Taps in [low, high) are inside the image. */
CNN_INLINE void ISA(gather_run)(float *to, const float *source, int64_t row, int64_t first, int64_t last, int64_t low,
                                int64_t high, const float *end) {
    int64_t a = CNN_MIN(CNN_MAX(low, first), last), b = CNN_MAX(CNN_MIN(high, last), a);
    if (a > first) ISA(clear)(to, a - first);
    ISA(copy)(to + a - first, source + row + a, b - a, end);
    if (last > b) ISA(clear)(to + b - first, last - b);
}

/* The window of one result, columns [from, to) of its depth. */
CNN_INLINE void ISA(gather_window)(const struct conv_view *v, const bool contiguous, const float *source,
                                   const float *end, int64_t image, int64_t i, int64_t j, int64_t from, int64_t to,
                                   float *a) {
    int64_t top = v->start_h + i * v->stride_h, left = v->start_w + j * v->stride_w;
    int64_t run = contiguous ? v->taps_w * v->c : v->c; /* floats that lie next to each other */
    if (from >= to) return; /* a class of backward-data that no tap meets */
    int64_t runs = contiguous ? v->taps_h : v->taps_h * v->taps_w;
    for (int64_t r = from / run; r < runs && r * run < to; r++) {
        int64_t first = CNN_MAX(from - r * run, 0), last = CNN_MIN(to - r * run, run);
        int64_t s = contiguous ? r : r / v->taps_w, t = contiguous ? 0 : r % v->taps_w;
        int64_t y = top + s * v->step_h, x = left + t * v->step_w;
        int64_t low = contiguous ? CNN_MAX(0, -x) * v->c : x < 0 ? run : 0;
        int64_t high = contiguous ? (v->w - x) * v->c : x < v->w ? run : 0;
        if (y < 0 || y >= v->h) high = low = run;
        ISA(gather_run)(a, source, ((image * v->h + y) * v->w + x) * v->pixel, first, last, low, high, end);
        a += last - first;
    }
}

/* A window that is inside the image, all of its depth: runs of whole vectors, without a look at the borders. */
CNN_INLINE void ISA(gather_inside)(int64_t runs, int64_t run, const float *from, int64_t next, float *a) {
    for (int64_t r = 0; r < runs; r++, from += next, a += run) {
        vstore(a, vload(from));
        for (int64_t i = VLEN; i < run; i += VLEN) vstore(a + i, vload(from + i));
    }
}

CNN_INLINE void ISA(gather_windows)(const struct conv_view *v, const bool contiguous, const float *source,
                                    const float *end, int64_t pixel, int64_t count, int64_t from, int64_t to, float *a,
                                    int64_t *offsets) {
    int64_t j = pixel % v->columns, i = pixel / v->columns % v->rows, image = pixel / v->columns / v->rows;
    int64_t run = v->taps_w * v->c, next = v->step_h * v->w * v->pixel;
    bool whole = contiguous && from == 0 && to == v->taps_h * run && to > 0;
    int64_t last = end - source - cnn_round_up(run, VLEN) - (v->taps_h - 1) * next; /* where a window may begin */
    for (int64_t p = 0; p < count; p++, a += CNN_DEPTH_STRIDE) {
        int64_t top = v->start_h + i * v->stride_h, left = v->start_w + j * v->stride_w;
        int64_t first = ((image * v->h + top) * v->w + left) * v->pixel;
        if (whole && top >= 0 && top + (v->taps_h - 1) * v->step_h < v->h && left >= 0 && left + v->taps_w <= v->w &&
            first <= last)
            ISA(gather_inside)(v->taps_h, run, source + first, next, a);
        else
            ISA(gather_window)(v, contiguous, source, end, image, i, j, from, to, a);
        if (offsets) offsets[p] = cnn_view_offset(v, image, i, j);
        if (++j == v->columns) {
            j = 0;
            if (++i == v->rows) i = 0, image++;
        }
    }
}

static void ISA(gather)(const struct conv_view *v, const float *source, const float *end, int64_t pixel,
                        int64_t count, int64_t from, int64_t to, float *a, int64_t *offsets) {
    if (v->step_w == 1 && v->pixel == v->c)
        ISA(gather_windows)(v, true, source, end, pixel, count, from, to, a, offsets);
    else
        ISA(gather_windows)(v, false, source, end, pixel, count, from, to, a, offsets);
}

static const struct dense_kernels ISA(dense_kernels) = {ISA(gather)};
