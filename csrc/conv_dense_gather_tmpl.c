/* Gathering, the vector version: the windows of some pixels, each a row of the matrix A. Compiled per instruction set
 * by foreach_isa.h on behalf of conv_dense_gather.c. Runs are copied and cleared by whole vectors, a little past their
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
CNN_INLINE void ISA(gather_run)(const struct dense_gather *g, float *to, int64_t row, int64_t first, int64_t last,
                                int64_t low, int64_t high) {
    int64_t a = CNN_MIN(CNN_MAX(low, first), last), b = CNN_MAX(CNN_MIN(high, last), a);
    if (a > first) ISA(clear)(to, a - first);
    ISA(copy)(to + a - first, g->source + row + a, b - a, g->end);
    if (last > b) ISA(clear)(to + b - first, last - b);
}

/* The window of one result, columns [from, to) of its depth. */
CNN_INLINE void ISA(gather_window)(const struct dense_gather *g, const bool contiguous, int64_t image, int64_t i,
                                   int64_t j, float *a) {
    const struct conv_view *v = g->view;
    int64_t top = v->start_h + i * v->stride_h, left = v->start_w + j * v->stride_w;
    int64_t run = contiguous ? v->taps_w * v->c : v->c; /* floats that lie next to each other */
    if (g->from >= g->to) return;                       /* a class of backward-data that no tap meets */
    int64_t runs = contiguous ? v->taps_h : v->taps_h * v->taps_w;
    for (int64_t r = g->from / run; r < runs && r * run < g->to; r++) {
        int64_t first = CNN_MAX(g->from - r * run, 0), last = CNN_MIN(g->to - r * run, run);
        int64_t s = contiguous ? r : r / v->taps_w, t = contiguous ? 0 : r % v->taps_w;
        int64_t y = top + s * v->step_h, x = left + t * v->step_w;
        int64_t low = contiguous ? CNN_MAX(0, -x) * v->c : x < 0 ? run : 0;
        int64_t high = contiguous ? (v->w - x) * v->c : x < v->w ? run : 0;
        if (y < 0 || y >= v->h) high = low = run;
        ISA(gather_run)(g, a, ((image * v->h + y) * v->w + x) * v->pixel, first, last, low, high);
        a += last - first;
    }
}

/* `count` neighbouring windows that are inside the image, all of their depth: runs of whole vectors, without a look at
 * the borders. Windows begin `step` floats apart, rows of taps `next`. */
CNN_INLINE void ISA(gather_inside)(const bool short_runs, int64_t count, int64_t runs, int64_t run, const float *from,
                                   int64_t step, int64_t next, float *a) {
    for (int64_t p = 0; p < count; p++, from += step, a += CNN_DEPTH_STRIDE) {
        const float *source = from;
        float *to = a;
        for (int64_t r = 0; r < runs; r++, source += next, to += run) {
            vstore(to, vload(source));
            for (int64_t i = VLEN; !short_runs && i < run; i += VLEN) vstore(to + i, vload(source + i));
        }
    }
}

/* Which windows [*low, *high) of row i of results gather_inside may take: they are inside, and so is the memory that
 * copying whole vectors reads, `room` floats from the image's first pixel on. */
CNN_INLINE void ISA(inside)(const struct conv_view *v, int64_t i, int64_t room, int64_t *low, int64_t *high) {
    int64_t top = v->start_h + i * v->stride_h, bottom = top + (v->taps_h - 1) * v->step_h;
    int64_t run = cnn_round_up(v->taps_w * v->c, VLEN), last = v->w - v->taps_w - v->start_w;
    *low = *high = 0;
    if (top < 0 || bottom >= v->h || last < 0 || room < run) return;
    last = CNN_MIN(last, (room - run) / v->pixel - bottom * v->w - v->start_w);
    *low = v->start_w < 0 ? cnn_ceil_div(-v->start_w, v->stride_w) : 0;
    *high = last < 0 ? 0 : CNN_MIN(v->columns, last / v->stride_w + 1);
}

/* Called with a copy of its own, which stays in registers: what it stores might be a change of the caller's. */
CNN_INLINE void ISA(gather_windows)(const struct dense_gather *g, const bool contiguous) {
    const struct conv_view *v = g->view;
    const int64_t from = g->from, to = g->to;
    int64_t *offsets = g->offsets, count = g->count;
    float *a = g->a;
    int64_t j = g->pixel % v->columns, i = g->pixel / v->columns % v->rows, image = g->pixel / v->columns / v->rows;
    int64_t run = v->taps_w * v->c, area = v->h * v->w * v->pixel, low = 0, high = 0;
    bool whole = contiguous && from == 0 && to == v->taps_h * run && to > 0;
    while (count > 0) {
        const float *x = g->source + image * area;
        int64_t stop = CNN_MIN(v->columns, j + count);
        count -= stop - j;
        for (int64_t q = j; offsets && q < stop; q++) *offsets++ = cnn_view_offset(v, image, i, q);
        if (whole) ISA(inside)(v, i, g->end - x, &low, &high);
        while (j < stop) {
            int64_t windows = 1;
            if (j >= low && j < high) {
                windows = CNN_MIN(stop, high) - j;
                int64_t y = v->start_h + i * v->stride_h, first = v->start_w + j * v->stride_w;
                const float *begin = x + (y * v->w + first) * v->pixel;
                int64_t step = v->stride_w * v->pixel, next = v->step_h * v->w * v->pixel;
                if (run <= VLEN) ISA(gather_inside)(true, windows, v->taps_h, run, begin, step, next, a);
                else ISA(gather_inside)(false, windows, v->taps_h, run, begin, step, next, a);
            } else {
                ISA(gather_window)(g, contiguous, image, i, j, a);
            }
            a += windows * CNN_DEPTH_STRIDE;
            j += windows;
        }
        j = 0;
        if (++i == v->rows) i = 0, image++;
    }
}

static void ISA(gather)(const struct dense_gather *wanted) {
    const struct dense_gather g = *wanted;
    if (g.view->step_w == 1 && g.view->pixel == g.view->c) ISA(gather_windows)(&g, true);
    else ISA(gather_windows)(&g, false);
}

static const struct dense_kernels ISA(dense_kernels) = {ISA(gather)};
