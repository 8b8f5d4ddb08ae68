/* The maxima of small windows, the vector version. Compiled for each instruction set by a file of its own
 * (pool_max_avx2.c), on behalf of pool_max.c, which says how vectors lie on pixels; and over bfloat16 in
 * bf16_pool_max.c (stored.h). `lanes` is VLEN wherever a whole
 * vector may be touched. */

#include "pool_tap.h"
#include "stored.h"

CNN_INLINE vf ISA(max_load)(const stored *p, int64_t lanes) {
    return lanes == VLEN ? stored_load(p) : stored_load_part(p, lanes);
}

CNN_INLINE void ISA(max_store)(stored *p, vf a, int64_t lanes) {
    if (lanes == VLEN) stored_store(p, a);
    else stored_store_part(p, a, lanes);
}

CNN_INLINE vi ISA(max_load_taps)(const uint8_t *p, int64_t lanes) {
    if (lanes == VLEN) return ISA(max_widen)(*(const ISA(max_bytes_unaligned) *)p);
    union {
        ISA(max_bytes) v;
        uint8_t b[VLEN];
    } u = {.v = {0}};
    for (int64_t i = 0; i < lanes; i++) u.b[i] = p[i];
    return ISA(max_widen)(u.v);
}

/* ---- forward ---- */

/* VLEN channels of one window, or of the rows x columns of it that lie inside the image, of which x is the first and
 * has the place `tap`. size and kept are constants; a size of 2 or 3 says that the whole window is there. */
CNN_INLINE void ISA(max_window)(const struct max_frame *f, int size, bool kept, int64_t rows, int64_t columns,
                                const stored *x, int64_t tap, int64_t out, int64_t lanes) {
    vf best = ISA(max_load)(x, lanes);
    vi place = (vi){0} + (int32_t)tap;
    if (size == 2) {
        ISA(max_tap)(kept, stored_load(x + f->right), 1, &best, &place);
        ISA(max_tap)(kept, stored_load(x + f->down), 2, &best, &place);
        ISA(max_tap)(kept, stored_load(x + f->down + f->right), 3, &best, &place);
    } else if (size == 3) {
        const stored *second = x + f->down, *third = second + f->down;
        ISA(max_tap)(kept, stored_load(x + f->right), 1, &best, &place);
        ISA(max_tap)(kept, stored_load(x + 2 * f->right), 2, &best, &place);
        ISA(max_tap)(kept, stored_load(second), 3, &best, &place);
        ISA(max_tap)(kept, stored_load(second + f->right), 4, &best, &place);
        ISA(max_tap)(kept, stored_load(second + 2 * f->right), 5, &best, &place);
        ISA(max_tap)(kept, stored_load(third), 6, &best, &place);
        ISA(max_tap)(kept, stored_load(third + f->right), 7, &best, &place);
        ISA(max_tap)(kept, stored_load(third + 2 * f->right), 8, &best, &place);
    } else {
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = i == 0; j < columns; j++)
                ISA(max_tap)(kept, ISA(max_load)(x + i * f->down + j * f->right, lanes), tap + i * f->kw + j, &best,
                             &place);
    }
    best = vmin(vset(f->limit), vmax(vset(f->lowest), best));
    ISA(max_store)(f->y + out, best, lanes);
    if (kept) ISA(max_store_taps)(f->taps + out, place, lanes);
}

/* Windows from … to-1 of an output row, wherever they lie. */
static __attribute__((noinline)) void ISA(max_anywhere)(const struct pool_job *job, int64_t image, int64_t row,
                                                        int64_t from, int64_t to, int64_t end) {
    const cnn_pool *p = job->p;
    const struct max_frame f = max_frame(job);
    struct pool_span r = pool_rows(p, row);
    const stored *x = STORED(job->x) + (image * p->h + r.start + r.from * p->dh) * p->w * f.c;
    for (int64_t column = from; column < to; column++) {
        struct pool_span s = pool_columns(p, column);
        int64_t rows = r.to - r.from, columns = s.to - s.from, tap = r.from * f.kw + s.from;
        const stored *first = x + (s.start + s.from * p->dw) * f.c;
        const stored *last = first + (rows - 1) * f.down + (columns - 1) * f.right;
        int64_t out = ((image * p->oh + row) * p->ow + column) * f.c;
        int64_t lanes = f.c >= VLEN || (out + VLEN <= end && last + VLEN <= f.x_end) ? VLEN : f.c;
        for (int64_t k = 0; k < f.c; k += VLEN) {
            int64_t at = CNN_MAX(CNN_MIN(k, f.c - VLEN), 0);
            if (f.taps) ISA(max_window)(&f, 0, true, rows, columns, first + at, tap, out + at, lanes);
            else ISA(max_window)(&f, 0, false, rows, columns, first + at, tap, out + at, lanes);
        }
    }
}

/* Windows of size x size that lie inside the image, with room for whole vectors. */
CNN_INLINE void ISA(max_inside)(const struct pool_job *job, int size, bool kept, const stored *x, int64_t out,
                                int64_t count) {
    const struct max_frame f = max_frame(job);
    const int64_t step = job->p->sw * f.c, whole = f.c - VLEN;
    for (; count > 0; count--, x += step, out += f.c) {
        int64_t k = 0;
        for (; k < whole; k += VLEN) ISA(max_window)(&f, size, kept, size, size, x + k, 0, out + k, VLEN);
        k = CNN_MAX(whole, 0);
        ISA(max_window)(&f, size, kept, size, size, x + k, 0, out + k, VLEN);
    }
}

static void ISA(max_forward)(const struct pool_job *job, int64_t image, int64_t row, int64_t end) {
    const cnn_pool *p = job->p;
    struct pool_span r = pool_rows(p, row);
    int64_t from, to;
    whole_columns(p, &from, &to);
    if (r.from > 0 || r.to < p->kh || p->kh != p->kw || p->kh < 2) from = to = p->ow;
    const stored *x = STORED(job->x) + ((image * p->h + r.start) * p->w + from * p->sw - p->pw) * p->c;
    int64_t out = ((image * p->oh + row) * p->ow + from) * p->c;
    if (p->c < VLEN && from < to) { /* as many as leave room for a vector behind what they read and write */
        const stored *x_end = STORED(job->x) + p->n * p->h * p->w * p->c;
        int64_t reach = (p->kh - 1) * p->dh * p->w * p->c + (p->kw - 1) * p->dw * p->c + VLEN;
        int64_t written = (end - out - VLEN) / p->c + 1, readable = (x_end - x - reach) / (p->sw * p->c) + 1;
        if (end - out < VLEN || x_end - x < reach) to = from;
        else to = CNN_MIN(to, from + CNN_MIN(written, readable));
    }
    ISA(max_anywhere)(job, image, row, 0, from, end);
    if (p->kh == 2 && job->taps) ISA(max_inside)(job, 2, true, x, out, to - from);
    else if (p->kh == 2) ISA(max_inside)(job, 2, false, x, out, to - from);
    else if (job->taps) ISA(max_inside)(job, 3, true, x, out, to - from);
    else ISA(max_inside)(job, 3, false, x, out, to - from);
    ISA(max_anywhere)(job, image, row, to, p->ow, end);
}

/* ---- backward ---- */

/* The gradients of VLEN windows, each behind f. */
CNN_INLINE vf ISA(max_gradient)(const struct max_frame *f, bool active, int64_t out, int64_t lanes) {
    vf dy = ISA(max_load)(f->dy + out, lanes);
    if (!active) return dy;
    vf y = ISA(max_load)(f->y + out, lanes);
    return (vf)((vi)dy & (y > vset(0)) & ~(y >= vset(f->limit)));
}

CNN_INLINE vf ISA(max_share)(vf dy, vi taps, int64_t tap) { return (vf)((vi)dy & (taps == (int32_t)tap)); }

/* VLEN channels of one window: dx is where its tap (0, 0) is or would be. size is 2 or, for any other, 0. */
CNN_INLINE void ISA(max_spread)(const struct max_frame *f, bool active, int size, struct pool_span r,
                                struct pool_span s, stored *dx, int64_t out, int64_t readable, int64_t lanes) {
    vf dy = ISA(max_gradient)(f, active, out, readable);
    vi taps = ISA(max_load_taps)(f->taps + out, readable);
    if (size == 2) {
        stored_store(dx, ISA(max_share)(dy, taps, 0));
        stored_store(dx + f->c, ISA(max_share)(dy, taps, 1));
        stored_store(dx + f->down, ISA(max_share)(dy, taps, 2));
        stored_store(dx + f->down + f->c, ISA(max_share)(dy, taps, 3));
        return;
    }
    for (int64_t i = r.from; i < r.to; i++)
        for (int64_t j = s.from; j < s.to; j++)
            ISA(max_store)(dx + i * f->down + j * f->c, ISA(max_share)(dy, taps, i * f->kw + j), lanes);
}

/* Windows from … to-1 of a row, wherever they lie: lane by lane where there are few channels. */
static __attribute__((noinline)) void ISA(max_apart_anywhere)(const struct pool_job *job, int64_t image, int64_t row,
                                                              int64_t from, int64_t to) {
    const cnn_pool *p = job->p;
    const struct max_frame f = max_frame(job);
    struct pool_span r = pool_rows(p, row);
    const int64_t lanes = CNN_MIN(f.c, VLEN);
    for (int64_t column = from; column < to; column++) {
        struct pool_span s = pool_columns(p, column);
        int64_t out = ((image * p->oh + row) * p->ow + column) * f.c;
        stored *dx = (stored *)job->dx + ((image * p->h + r.start) * p->w + s.start) * f.c;
        for (int64_t k = 0; k < f.c; k += VLEN) {
            int64_t at = CNN_MAX(CNN_MIN(k, f.c - VLEN), 0);
            if (job->active) ISA(max_spread)(&f, true, 0, r, s, dx + at, out + at, lanes, lanes);
            else ISA(max_spread)(&f, false, 0, r, s, dx + at, out + at, lanes, lanes);
        }
    }
}

/* Windows of 2 x 2 without gaps, with room for whole vectors. */
CNN_INLINE void ISA(max_apart_twos)(const struct pool_job *job, bool active, stored *dx, int64_t out, int64_t count) {
    const struct max_frame f = max_frame(job);
    const struct pool_span both = {0, 0, 2};
    const int64_t whole = f.c - VLEN;
    for (; count > 0; count--, dx += 2 * f.c, out += f.c) {
        int64_t k = 0;
        for (; k < whole; k += VLEN) ISA(max_spread)(&f, active, 2, both, both, dx + k, out + k, VLEN, VLEN);
        k = CNN_MAX(whole, 0);
        ISA(max_spread)(&f, active, 2, both, both, dx + k, out + k, VLEN, VLEN);
    }
}

static void ISA(max_apart)(const struct pool_job *job, int64_t image, int64_t row) {
    const cnn_pool *p = job->p;
    struct pool_span r = pool_rows(p, row);
    int64_t first = row == 0 ? 0 : r.start, last = row == p->oh - 1 ? p->h : (row + 1) * p->sh - p->ph;
    int64_t c = p->c, out = (image * p->oh + row) * p->ow * c, twos = 0;
    bool filled = p->pw == 0 && p->sw == p->kw && p->w == p->ow * p->kw;
    filled = filled && first == r.start + r.from && last == r.start + r.to;
    stored *dx = (stored *)job->dx + (image * p->h + first) * p->w * c;
    if (!filled && last > first) memset(dx, 0, (size_t)((last - first) * p->w * c) * sizeof *dx);
    if (filled && p->kh == 2 && p->kw == 2 && r.to - r.from == 2) twos = p->ow;
    if (c < VLEN && twos) { /* a vector may not reach into the next row, which may be there already */
        twos = p->w * c < c + VLEN ? 0 : CNN_MIN(twos, (p->w * c - c - VLEN) / (2 * c) + 1);
        twos = CNN_MIN(twos, CNN_MAX(0, (p->n * p->oh * p->ow * c - out) / c - VLEN / c - 1));
    }
    if (job->active) ISA(max_apart_twos)(job, true, dx, out, twos);
    else ISA(max_apart_twos)(job, false, dx, out, twos);
    ISA(max_apart_anywhere)(job, image, row, twos, p->ow);
}

/* Where the gradients of a row of dx under windows of 3 x 3 every 2 pixels come from: of one or two rows of windows
 * the first value, and the first of the three places that lie on this row of dx. */
struct ISA(max_rows) {
    int64_t at, end, out[2], tap[2];
};

/* One window's column of that: it adds to the last pixel of the window on its left, `carry`, and leaves its own.
 * `checked`: where a pixel may be outside or too near the end for a whole vector. */
CNN_INLINE void ISA(max_threes_step)(const struct max_frame *f, bool active, int windows, bool checked,
                                     const struct ISA(max_rows) *rows, int64_t column, int64_t k, vf *carry) {
    int64_t pixel = 2 * column - f->pad, to = rows->at + pixel * f->c + k;
    vf left = *carry, middle = vset(0), right = vset(0);
    for (int e = 0; e < windows; e++) {
        int64_t from = rows->out[e] + column * f->c + k;
        int64_t lanes = !checked || f->c >= VLEN || from + VLEN <= f->out_end ? VLEN : f->c;
        vf dy = ISA(max_gradient)(f, active, from, lanes);
        vi taps = ISA(max_load_taps)(f->taps + from, lanes);
        left += ISA(max_share)(dy, taps, rows->tap[e]);
        middle += ISA(max_share)(dy, taps, rows->tap[e] + 1);
        right += ISA(max_share)(dy, taps, rows->tap[e] + 2);
    }
    *carry = right;
    if (!checked) {
        stored_store(f->dx + to, left);
        stored_store(f->dx + to + f->c, middle);
        return;
    }
    bool few = f->c < VLEN;
    if (pixel >= 0) ISA(max_store)(f->dx + to, left, few && to + VLEN > rows->end ? f->c : VLEN);
    if (pixel >= -1 && pixel + 1 < f->w)
        ISA(max_store)(f->dx + to + f->c, middle, few && to + f->c + VLEN > rows->end ? f->c : VLEN);
}

/* Windows from … to-1 of that, in `count` vectors of channels from k on, 1 or 4. */
CNN_INLINE void ISA(max_threes_run)(const struct max_frame *f, bool active, int windows, bool checked,
                                    const struct ISA(max_rows) *rows, int64_t from, int64_t to, int count, int64_t k,
                                    vf *carry) {
    for (int64_t column = from; column < to; column++) {
        ISA(max_threes_step)(f, active, windows, checked, rows, column, k, carry);
        if (count == 1) continue;
        ISA(max_threes_step)(f, active, windows, checked, rows, column, k + VLEN, carry + 1);
        ISA(max_threes_step)(f, active, windows, checked, rows, column, k + 2 * VLEN, carry + 2);
        ISA(max_threes_step)(f, active, windows, checked, rows, column, k + 3 * VLEN, carry + 3);
    }
}

CNN_INLINE void ISA(max_threes_channels)(const struct max_frame *f, bool active, int windows,
                                         const struct ISA(max_rows) *rows, int64_t ow, int64_t first, int64_t last,
                                         int count, int64_t k) {
    vf carry[4] = {vset(0), vset(0), vset(0), vset(0)};
    ISA(max_threes_run)(f, active, windows, true, rows, 0, first, count, k, carry);
    ISA(max_threes_run)(f, active, windows, false, rows, first, last, count, k, carry);
    ISA(max_threes_run)(f, active, windows, true, rows, last, ow, count, k, carry);
    for (int64_t pixel = 2 * ow - f->pad; pixel < f->w; pixel++)
        for (int j = 0; j < count; j++) {
            int64_t to = rows->at + pixel * f->c + k + j * VLEN;
            ISA(max_store)(f->dx + to, carry[j], f->c < VLEN && to + VLEN > rows->end ? f->c : VLEN);
            carry[j] = vset(0);
        }
}

CNN_INLINE void ISA(max_threes_row)(const struct pool_job *job, bool active, int windows,
                                    const struct ISA(max_rows) *rows) {
    const struct max_frame f = max_frame(job);
    const int64_t ow = job->p->ow, ahead = f.c < VLEN ? VLEN / f.c + 2 : 0;
    int64_t first = CNN_MIN((f.pad + 1) / 2, ow), k = 0;
    int64_t last = CNN_MIN(ow, (f.w + f.pad) / 2); /* the windows whose first two pixels are there … */
    if (ahead && (rows->out[0] + (ow + ahead) * f.c > f.out_end || rows->at + (f.w + ahead) * f.c > rows->end))
        last -= ahead; /* … and leave room behind them */
    last = CNN_MAX(first, last);
    for (; k + 4 * VLEN <= f.c; k += 4 * VLEN)
        ISA(max_threes_channels)(&f, active, windows, rows, ow, first, last, 4, k);
    for (; k < f.c; k += VLEN)
        ISA(max_threes_channels)(&f, active, windows, rows, ow, first, last, 1, CNN_MAX(CNN_MIN(k, f.c - VLEN), 0));
}

static void ISA(max_threes)(const struct pool_job *job, int64_t image, int64_t row, int64_t end) {
    const cnn_pool *p = job->p;
    struct ISA(max_rows) rows = {(image * p->h + row) * p->w * p->c, end, {0, 0}, {0, 0}};
    int windows = 0;
    for (int64_t i = (row + p->ph) / 2; i >= 0 && row + p->ph - 2 * i < 3; i--) {
        if (i >= p->oh) continue;
        rows.out[windows] = (image * p->oh + i) * p->ow * p->c;
        rows.tap[windows++] = (row + p->ph - 2 * i) * 3;
    }
    if (windows == 0) memset((stored *)job->dx + rows.at, 0, (size_t)(p->w * p->c) * sizeof(stored));
    else if (windows == 1 && job->active) ISA(max_threes_row)(job, true, 1, &rows);
    else if (windows == 1) ISA(max_threes_row)(job, false, 1, &rows);
    else if (job->active) ISA(max_threes_row)(job, true, 2, &rows);
    else ISA(max_threes_row)(job, false, 2, &rows);
}

const struct pool_max_kernels ISA(cnn_pool_max_kernels) = {ISA(max_forward), ISA(max_apart), ISA(max_threes)};
