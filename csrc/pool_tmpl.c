/* Pooling, the vector version. Compiled per instruction set by foreach_isa.h on behalf of pool.c, which holds the
 * windows' geometry and, as the reference, what each kind computes.
 *
 * Windows are separable. Forward first reduces the rows of a window, over columns and channels at once, into
 * `line`, then the columns of `line` into the output; the sums' backward goes the other way. So vectors are full in
 * the first step however few channels there are, and in the second they may reach past a pixel's channels: the
 * scratch rows have room behind them, and the next pixel's store overwrites the excess. */

typedef uint8_t ISA(pool_bytes) __attribute__((vector_size(VLEN)));
typedef uint8_t ISA(pool_bytes_unaligned) __attribute__((vector_size(VLEN), aligned(1), may_alias));

CNN_INLINE vi ISA(pool_load_places)(const int32_t *p) { return *(const ISA(vi_unaligned_t) *)p; }
CNN_INLINE void ISA(pool_store_places)(int32_t *p, vi a) { *(ISA(vi_unaligned_t) *)p = a; }
CNN_INLINE vi ISA(pool_choose)(vi mask, vi a, vi b) { return (mask & a) | (~mask & b); }

/* ---- forward ---- */

/* VLEN floats of `line` from the window's rows r, of which x is the first; only `lanes` of them may be read. `kept`
 * says whether the maxima's places are. */
CNN_INLINE void ISA(pool_down)(const struct pool_job *job, pool_kind kind, bool kept, const float *x, int64_t lanes,
                               struct pool_span r, float *line, int32_t *places) {
    int64_t down = job->p->dh * job->p->w * job->p->c;
    vf best = lanes == VLEN ? vload(x) : vload_part(x, lanes);
    vi place = (vi){0} + (int32_t)(r.from * job->p->kw);
    if (kind == ROOT) best *= best;
    for (int64_t i = r.from + 1; i < r.to; i++) {
        x += down;
        vf v = lanes == VLEN ? vload(x) : vload_part(x, lanes);
        if (kind == AVERAGE) best += v;
        if (kind == ROOT) best += v * v;
        if (kind != MAXIMUM) continue;
        vi better = (v > best) | (v != v);
        best = vselect(better, v, best);
        if (kept) place = ISA(pool_choose)(better, (vi){0} + (int32_t)(i * job->p->kw), place);
    }
    vstore(line, best);
    if (kept) ISA(pool_store_places)(places, place);
}

/* One window's VLEN channels from its columns c, of which `line` is the first. Of equals in two columns the first in
 * the window is the one with the smaller place. */
CNN_INLINE void ISA(pool_across)(const struct pool_job *job, pool_kind kind, bool kept, const float *line,
                                 const int32_t *places, struct pool_span c, float factor, float *y, int32_t *taps) {
    int64_t right = job->p->dw * job->p->c;
    vf best = vload(line);
    vi place = {0};
    if (kept) place = ISA(pool_load_places)(places) + (int32_t)c.from;
    for (int64_t j = c.from + 1; j < c.to; j++) {
        vf v = vload(line += right);
        if (kind != MAXIMUM) {
            best += v;
            continue;
        }
        vi better = (v > best) | (v != v);
        if (kept) {
            vi other = ISA(pool_load_places)(places += right) + (int32_t)j;
            better |= (v == best) & (other < place);
            place = ISA(pool_choose)(better, other, place);
        }
        best = vselect(better, v, best);
    }
    if (kind != MAXIMUM) best *= factor;
    if (kind == MAXIMUM && job->active) best = vmin(vset(job->limit), vmax(vset(0), best));
    vstore(y, kind == ROOT ? vsqrt(best) : best);
    if (kept) ISA(pool_store_places)(taps, place);
}

static void ISA(pool_keep)(const struct pool_job *job, int64_t out, int64_t count, const int32_t *taps) {
    int64_t i = 0;
    if (job->tap_bytes == 1)
        for (; i + VLEN <= count; i += VLEN)
            *(ISA(pool_bytes_unaligned) *)((uint8_t *)job->taps + out + i) = __builtin_convertvector(
                ISA(pool_load_places)(taps + i), ISA(pool_bytes));
    for (; i < count; i++) pool_set_tap(job, out + i, taps[i]);
}

/* Output columns from … to-1 of one row of an image x; `out` is the first one's index. */
CNN_INLINE void ISA(pool_columns_of)(const struct pool_job *job, pool_kind kind, bool kept, const float *x,
                                     struct pool_span r, int64_t from, int64_t to, int64_t out, float *scratch) {
    const cnn_pool *p = job->p;
    int64_t c = p->c, first = CNN_MAX(pool_columns(p, from).start, 0), t = 0;
    int64_t count = (CNN_MIN(pool_columns(p, to - 1).start + (p->kw - 1) * p->dw + 1, p->w) - first) * c;
    float *line = scratch, *result = line + job->line;
    int32_t *places = (int32_t *)(result + job->result), *taps = places + job->line;
    if (c % VLEN == 0) result = job->y + out;

    x += ((r.start + r.from * p->dh) * p->w + first) * c;
    for (; t + VLEN <= count; t += VLEN) ISA(pool_down)(job, kind, kept, x + t, VLEN, r, line + t, places + t);
    if (t < count && count >= VLEN) { /* the last vector overlaps the one before */
        t = count - VLEN;
        ISA(pool_down)(job, kind, kept, x + t, VLEN, r, line + t, places + t);
    } else if (t < count) {
        ISA(pool_down)(job, kind, kept, x, count, r, line, places);
    }
    for (int64_t column = from; column < to; column++) {
        struct pool_span s = pool_columns(p, column);
        int64_t in = (s.start + s.from * p->dw - first) * c, at = (column - from) * c;
        float factor = kind == MAXIMUM ? 1 : pool_factor(job, r, s);
        for (int64_t k = 0; k < c; k += VLEN)
            ISA(pool_across)(job, kind, kept, line + in + k, places + in + k, s, factor, result + at + k,
                             taps + at + k);
    }
    if (c % VLEN) memcpy(job->y + out, result, (size_t)((to - from) * c) * sizeof(float));
    if (kept) ISA(pool_keep)(job, out, (to - from) * c, taps);
}

/* `kind` and `kept` are constants in each call below, so that they are gone from the loops. */
CNN_INLINE void ISA(pool_row)(const struct pool_job *job, pool_kind kind, bool kept, int64_t image, int64_t row,
                              float *scratch) {
    const cnn_pool *p = job->p;
    struct pool_span r = pool_rows(p, row);
    for (int64_t from = 0; from < p->ow; from += job->columns) {
        int64_t out = ((image * p->oh + row) * p->ow + from) * p->c;
        ISA(pool_columns_of)(job, kind, kept, job->x + image * p->h * p->w * p->c, r, from,
                             CNN_MIN(from + job->columns, p->ow), out, scratch);
    }
}

static void ISA(pool_forward)(const struct pool_job *job, int64_t image, int64_t row, float *scratch) {
    switch (job->kind) {
        case AVERAGE: ISA(pool_row)(job, AVERAGE, false, image, row, scratch); break;
        case ROOT: ISA(pool_row)(job, ROOT, false, image, row, scratch); break;
        default:
            if (job->taps) ISA(pool_row)(job, MAXIMUM, true, image, row, scratch);
            else ISA(pool_row)(job, MAXIMUM, false, image, row, scratch);
    }
}

/* ---- backward of the sums ---- */

/* Adds each window's share to its columns of `line`, which holds channels from … to-1 of a row of pixels and is zero
 * before; `share` has room for the output row's gradients, and behind it for its y. */
CNN_INLINE void ISA(pool_share)(const struct pool_job *job, pool_kind kind, int64_t image, int64_t row, int64_t from,
                                int64_t to, struct pool_span r, float *line, float *share) {
    const cnn_pool *p = job->p;
    int64_t channels = to - from, out = (image * p->oh + row) * p->ow * p->c + from;
    pool_gather(job->dy + out, p->ow, p->c, channels, share);
    if (kind == ROOT) {
        float *y = share + job->result;
        pool_gather(job->y + out, p->ow, p->c, channels, y);
        for (int64_t i = 0; i < p->ow * channels; i += VLEN) {
            vf root = vload(y + i);
            vstore(share + i, vselect(root == vset(0), vset(0), vload(share + i) / root));
        }
    }
    vi lane;
    for (int i = 0; i < VLEN; i++) lane[i] = i;
    for (int64_t column = 0; column < p->ow; column++) {
        struct pool_span c = pool_columns(p, column);
        float factor = pool_factor(job, r, c);
        for (int64_t k = 0; k < channels; k += VLEN) {
            vf v = vload(share + column * channels + k) * factor;
            if (channels - k < VLEN) v = (vf)((vi)v & (lane < (int32_t)(channels - k)));
            float *to_line = line + (c.start + c.from) * channels + k;
            for (int64_t j = c.from; j < c.to; j++, to_line += channels) vstore(to_line, vload(to_line) + v);
        }
    }
}

/* dx, `count` floats, gets the line (times x, for ROOT): it is stored where no window came before, else added. */
CNN_INLINE void ISA(pool_spread)(pool_kind kind, bool fresh, int64_t count, const float *line, const float *x,
                                 float *dx) {
    int64_t i = 0;
    for (; i + VLEN <= count; i += VLEN) {
        vf v = vload(line + i);
        if (kind == ROOT) v *= vload(x + i);
        vstore(dx + i, fresh ? v : vload(dx + i) + v);
    }
    for (; i < count; i++) {
        float v = kind == ROOT ? line[i] * x[i] : line[i];
        dx[i] = fresh ? v : dx[i] + v;
    }
}

CNN_INLINE void ISA(pool_backward_sum)(const struct pool_job *job, pool_kind kind, int64_t image, int64_t from,
                                       int64_t to, float *scratch) {
    const cnn_pool *p = job->p;
    int64_t channels = to - from, zeroed = 0, parts = channels == p->c ? 1 : p->w, part = p->w * channels / parts;
    float *dx = job->dx + image * p->h * p->w * p->c, *line = scratch;
    for (int64_t row = 0; row < p->oh; row++) {
        struct pool_span r = pool_rows(p, row);
        memset(line, 0, (size_t)(p->w * channels) * sizeof(float));
        ISA(pool_share)(job, kind, image, row, from, to, r, line, line + job->line);
        int64_t first = r.start + r.from, last = r.start + r.to;
        pool_zero(p, dx, zeroed, CNN_MAX(first, zeroed), from, to);
        zeroed = CNN_MAX(zeroed, first);
        for (int64_t i = first; i < last; i++)
            for (int64_t at = 0; at < parts; at++) {
                int64_t pixel = (i * p->w + at) * p->c + from;
                const float *x = kind == ROOT ? job->x + image * p->h * p->w * p->c + pixel : NULL;
                if (i >= zeroed) ISA(pool_spread)(kind, true, part, line + at * part, x, dx + pixel);
                else ISA(pool_spread)(kind, false, part, line + at * part, x, dx + pixel);
            }
        zeroed = CNN_MAX(zeroed, last);
    }
    pool_zero(p, dx, zeroed, p->h, from, to);
}

/* ---- backward of the maximum ---- */

/* VLEN channels of one window: dy goes to the tap that was the maximum. dx is the window's corner. */
CNN_INLINE void ISA(pool_return)(const struct pool_job *job, float *dx, struct pool_span r, struct pool_span c,
                                 int64_t out) {
    const cnn_pool *p = job->p;
    int64_t down = p->dh * p->w * p->c, right = p->dw * p->c;
    vf dy = vload(job->dy + out);
    if (job->active) {
        vf y = vload(job->y + out);
        dy = (vf)((vi)dy & ~((y >= vset(job->limit)) | ~(y > vset(0))));
    }
    vi taps = __builtin_convertvector(*(const ISA(pool_bytes_unaligned) *)((const uint8_t *)job->taps + out), vi);
    for (int64_t i = r.from; i < r.to; i++)
        for (int64_t j = c.from; j < c.to; j++) {
            vf share = (vf)((vi)dy & (taps == (int32_t)(i * p->kw + j)));
            float *to = dx + i * down + j * right;
            vstore(to, vload(to) + share);
        }
}

/* Small windows with enough channels go tap by tap in vectors; otherwise each output value adds to one place. */
static void ISA(pool_backward_maximum)(const struct pool_job *job, int64_t image, int64_t from, int64_t to) {
    const cnn_pool *p = job->p;
    int64_t zeroed = 0, whole = p->kh * p->kw <= 9 ? from + (to - from) / VLEN * VLEN : from;
    float *dx = job->dx + image * p->h * p->w * p->c;
    for (int64_t row = 0; row < p->oh; row++) {
        struct pool_span r = pool_rows(p, row);
        int64_t reach = row == p->oh - 1 ? p->h : r.start + (r.to - 1) * p->dh + 1;
        pool_zero(p, dx, zeroed, reach, from, to);
        zeroed = CNN_MAX(zeroed, reach);
        for (int64_t column = 0; column < p->ow; column++) {
            struct pool_span c = pool_columns(p, column);
            float *corner = dx + (r.start * p->w + c.start) * p->c;
            int64_t out = ((image * p->oh + row) * p->ow + column) * p->c;
            for (int64_t k = from; k < whole; k += VLEN) ISA(pool_return)(job, corner + k, r, c, out + k);
            for (int64_t k = whole; k < to; k++)
                corner[job->offsets[pool_tap(job, out + k)] + k] += pool_gated(job, out + k);
        }
    }
}

static void ISA(pool_backward)(const struct pool_job *job, int64_t image, int64_t from, int64_t to, float *scratch) {
    switch (job->kind) {
        case AVERAGE: ISA(pool_backward_sum)(job, AVERAGE, image, from, to, scratch); break;
        case ROOT: ISA(pool_backward_sum)(job, ROOT, image, from, to, scratch); break;
        default: ISA(pool_backward_maximum)(job, image, from, to);
    }
}

static const struct pool_kernels ISA(pool_kernels) = {ISA(pool_forward), ISA(pool_backward)};
