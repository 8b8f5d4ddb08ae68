/* Depthwise convolutions forward and back to the data, the vector version: vectors over channels. Compiled for each
 * instruction set by a file of its own (depthwise_avx2.c), on behalf of depthwise.c, which hands out work for at
 * least VLEN channels to all but the `general` kernels. Where the channels are no whole number of vectors the last
 * vector overlaps the one before, and its first lanes are kept. */

#include "stored.h"

#undef LINE
#define LINE (CNN_LINE / (int)sizeof(stored)) /* numbers of a cache line */

#undef UNROLL
#define UNROLL CNN_UNROLL(25)

static const int32_t ISA(lane_numbers)[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* ---- what becomes of results before they are stored ---- */

CNN_INLINE vf ISA(finished)(const cnn_bf16_finish *f, vf a, int64_t at, int64_t part) {
    if (f->add) a += stored_load_lanes(STORED(f->add) + at, part);
    if (f->activation == CNN_IDENTITY) return a;
    const vf zero = vset(0), top = vset(f->activation == CNN_RELU6 ? 6 : INFINITY);
    if (!f->gate) return vmin(top, vmax(zero, a)); /* NaN stays NaN */
    vf gate = stored_load_lanes(STORED(f->gate) + at, part);
    return (vf)((vi)a & (gate > zero) & (gate < top));
}

/* Stores the finished sums[from … to), of channels c and on, at out + at and every `step` numbers from there; `part`
 * lanes are real (0: all), and the first `kept` lanes are another vector's. */
static __attribute__((noinline)) void ISA(finish)(const cnn_bf16_finish *f, int64_t from, int64_t to, int64_t step,
                                                  int64_t c, int64_t part, int64_t kept, stored *out, int64_t at,
                                                  const vf sums[8]) {
    vi mine = *(const ISA(vi_unaligned_t) *)ISA(lane_numbers) >= (int32_t)kept - (vi){0};
    vf bias = f->bias ? vload_lanes(f->bias + c, part) : vset(0);
    at += from * step;
    for (int64_t q = from; q < to; q++, at += step) {
        vf a = ISA(finished)(f, sums[q] + bias, at, part);
        if (kept) a = vselect(mine, a, stored_load(out + at));
        stored_store_lanes(out + at, a, part);
    }
}

/* The same for whole vectors where there is nothing to add and no gate. */
CNN_INLINE void ISA(finish_plain)(const int results, const bool some, const cnn_bf16_finish *f, int64_t from,
                                  int64_t to, int64_t step, int64_t c, stored *out, vf sums[8]) {
    if (f->bias) {
        vf bias = vload(f->bias + c);
        UNROLL for (int q = 0; q < results; q++) sums[q] += bias;
    }
    if (f->activation != CNN_IDENTITY) {
        const vf zero = vset(0), top = vset(f->activation == CNN_RELU6 ? 6 : INFINITY);
        UNROLL for (int q = 0; q < results; q++) sums[q] = vmin(top, vmax(zero, sums[q]));
    }
    UNROLL for (int q = 0; q < results; q++) {
        if (q && q % 3 == 0) {
            out += 3 * step;
            HOLD_POINTER(out);
        }
        if (!some || (q >= from && q < to)) stored_store(out + q % 3 * step, sums[q]);
    }
}

CNN_INLINE void ISA(finish_row)(const int results, const bool some, bool plain, const cnn_bf16_finish *f, int64_t from,
                                int64_t to, int64_t step, int64_t c, int64_t kept, stored *out, int64_t at,
                                vf sums[8]) {
    if (plain) {
        ISA(finish_plain)(results, some, f, from, to, step, c, out + at + c, sums);
    } else {
        vf copy[8];
        UNROLL for (int q = 0; q < results; q++) copy[q] = sums[q];
        ISA(finish)(f, from, to, step, c, 0, kept, out, at + c, copy);
    }
}

/* ---- forward and backward-data of kernels 3 and 5 wide, stride 1 and 2 ---- */

#undef PAIR
#if VLEN == 16 || defined(__aarch64__)
#define PAIR true /* registers for two rows of results and two rows of taps */
#else
#define PAIR false
#endif

/* What the first `both` of sums, rows of results, gain from one row of the source: weight has the first one's taps, and
 * the next one's are the row of taps before. Each source pixel is loaded once and goes into every result that it meets:
 * result q meets source pixel q * stride + t at tap t; in backward-data (`spread`), where sources and results change
 * places, source pixel m meets result m * stride + t - (kernel - 1). `valid` says which pixels there are: any of them
 * where `some`, otherwise all but a few at both ends. */
CNN_INLINE void ISA(tap_row)(const int kernel, const int stride, const bool spread, const int results, const bool some,
                             const int both, uint64_t valid, const stored *x, int64_t pixel, const float *weight,
                             vf sums[][8]) {
    const int sources = spread ? (results + kernel - 2) / stride + 1 : (results - 1) * stride + kernel;
    vf taps[2][5];
    HOLD_POINTER(x);
    HOLD_POINTER(weight);
    UNROLL for (int b = 0; b < both; b++) UNROLL for (int t = 0; t < kernel; t++)
        taps[b][t] = vload(weight + (t - b * kernel) * BLOCK);
    UNROLL for (int m = 0; m < sources; m++) {
        if (m && m % 3 == 0) {
            x += 3 * pixel;
            HOLD_POINTER(x);
        }
        if ((!some && m >= kernel / 2 && m < sources - kernel / 2) || valid >> m & 1) {
            vf value = stored_load(x + m % 3 * pixel);
            vhold(value);
            UNROLL for (int t = 0; t < kernel; t++) {
                const int q = spread ? m * stride + t - (kernel - 1) : (m - t) / stride;
                const bool meets = spread ? q >= 0 : m >= t && (m - t) % stride == 0;
                if (meets && q < results) UNROLL for (int b = 0; b < both; b++) sums[b][q] += taps[b][t] * value;
            }
        }
    }
}

/* What two rows of results gain from all rows of the source that they meet, [begin, end) of kernel + 1, from x on: the
 * same for a square kernel, whose rows of taps are loaded once. */
CNN_INLINE void ISA(tap_pair)(const int kernel, const int results, const bool some, int64_t begin, int64_t end,
                              uint64_t valid, const stored *x, int64_t line, int64_t pixel, const float *weight,
                              vf sums[2][8]) {
    const int sources = results - 1 + kernel;
    vf taps[2][5];
    UNROLL for (int r = 0; r <= kernel; r++) {
        UNROLL for (int t = 0; t < kernel; t++) {
            if (r) taps[1][t] = taps[0][t];
            if (r < kernel) taps[0][t] = vload(weight + (r * kernel + t) * BLOCK);
        }
        if (r < begin || r >= end) continue;
        const stored *from = x;
        HOLD_POINTER(from);
        UNROLL for (int m = 0; m < sources; m++) {
            if (m && m % 3 == 0) {
                from += 3 * pixel;
                HOLD_POINTER(from);
            }
            if ((!some && m >= kernel / 2 && m < sources - kernel / 2) || valid >> m & 1) {
                vf value = stored_load(from + m % 3 * pixel);
                vhold(value);
                UNROLL for (int t = 0; t < kernel; t++) {
                    const int q = m - t;
                    if (q >= 0 && q < results) {
                        if (r < kernel) sums[0][q] += taps[0][t] * value;
                        if (r > 0) sums[1][q] += taps[1][t] * value;
                    }
                }
            }
        }
        x += line;
    }
}

/* The rows of the source, and of taps, that a row of results meets, or where `second` two of them. */
struct ISA(meeting) {
    const stored *x;      /* of the first one, at source column 0 … */
    const float *weight;  /* … and tap 0 */
    int64_t first, end;   /* x's row of taps of the first result; where they end, or end for the second one */
    int64_t next_taps;    /* floats from a row of taps to that of the next row of the source */
    int64_t ahead, asked; /* rows from x on to those that the rows below will meet first, and how many these are */
    bool second;
};

CNN_INLINE struct ISA(meeting) ISA(meet)(const int kernel, const int stride, const bool spread,
                                         const struct depthwise_walk *w, int64_t image, int64_t row, bool second) {
    struct ISA(meeting) m = {.second = second};
    int64_t y;
    if (spread) { /* taps of every other row, from the last one to the first */
        int64_t place = row + w->top;
        y = CNN_MAX(0, (place - w->taps_h + stride) / stride);
        m.end = CNN_MIN(w->height, place / stride + 1) - y;
        m.weight = w->weight + (place - y * stride) * kernel * BLOCK;
        m.next_taps = -stride * kernel * BLOCK;
        m.ahead = place / stride + 1 - y;
        m.asked = place % stride;
    } else {
        y = row * stride + w->top;
        m.first = CNN_MAX(0, -y);
        m.end = CNN_MIN(w->taps_h + second, w->height - y);
        m.weight = w->weight + m.first * kernel * BLOCK;
        m.next_taps = kernel * BLOCK;
        m.ahead = w->taps_h + (second ? stride : 0) - m.first;
        m.asked = stride << second;
        y += m.first;
    }
    m.x = STORED(w->source) + (image * w->height + y) * w->width * w->pixel;
    return m;
}

/* A place in some channels of neighbouring pixels: a cache line of a pixel's `lines`, or 0: of all pixels' channels. */
struct ISA(place) {
    const stored *at;
    int64_t line, lines;
};

/* Asks for a vector's share of `pixels` pixels of `rows` rows, in the order of memory: CPUs guess where a walk through
 * memory goes on, but not where one by pixels does. Rows are asked for side by side, or, where `apart`, one after the
 * other. */
CNN_INLINE void ISA(ask)(const int pixels, const bool apart, int64_t rows, int64_t row_step, int64_t pixel,
                         struct ISA(place) *place) {
    if (apart && !place->lines) {
        for (int64_t row = 0; row < rows; row++)
            UNROLL for (int i = 0; i < pixels * VLEN; i += LINE)
                __builtin_prefetch(place->at + row * row_step + i, 0, 2);
        place->at += pixels * VLEN;
        return;
    }
    UNROLL for (int i = 0; i < pixels * VLEN; i += LINE) {
        for (int64_t row = 0; row < rows; row++) __builtin_prefetch(place->at + row * row_step, 0, 2);
        const bool last = ++place->line == place->lines;
        place->at += last ? pixel - (place->lines - 1) * LINE : LINE;
        place->line = last ? 0 : place->line;
    }
}

/* Results [from, to) of a row from `at` on, or of two rows; the first one's first source pixel is column `left`. */
CNN_INLINE void ISA(tile)(const int kernel, const int stride, const bool spread, const int results, const bool some,
                          const struct depthwise_walk *w, const cnn_bf16_finish *f, const struct ISA(meeting) *meeting,
                          int64_t first, int64_t last, int64_t left, uint64_t valid, int64_t from, int64_t to,
                          int64_t at) {
    const bool plain = !f->add && (!f->gate || f->activation == CNN_IDENTITY);
    const int64_t pixel = w->pixel, line = w->width * pixel, row_below = w->columns * pixel, taps_h = w->taps_h;
    const int64_t next_taps = meeting->next_taps, block = taps_h * kernel * BLOCK, begin = meeting->first;
    const int64_t end = meeting->end;
    const bool second = PAIR && stride == 1 && meeting->second;
    const bool square = kernel == 5 && second && taps_h == kernel; /* 3 x 3 gains nothing */
    const int64_t one = second ? CNN_MIN(1, end) : end, two = CNN_MIN(taps_h, end);
    const int64_t lines = last - first < pixel ? cnn_ceil_div(last - first, LINE) : 0;
    const stored *source = meeting->x + left * pixel;
    stored *out = w->out;
    struct ISA(place) ahead = {
        meeting->x + meeting->ahead * line + (left - w->left / (spread ? stride : 1)) * pixel + first, 0, lines};
    struct ISA(place) below = {out + at + (row_below << second) + first, 0, lines};
    for (int64_t v = first; v < last; v += VLEN) {
        int64_t c = CNN_MIN(v, pixel - VLEN);
        const stored *x = source + c;
        const float *weight = meeting->weight + v / BLOCK * block + c;
        weight -= CNN_MAX(0, CNN_MIN(v / BLOCK * BLOCK, pixel - BLOCK));
        vf sums[2][8];
        UNROLL for (int b = 0; b < 2; b++) UNROLL for (int q = 0; q < results; q++) sums[b][q] = vset(0);
        int64_t r = begin;
        if (square) {
            ISA(tap_pair)(kernel, results, some, begin, end, valid, x, line, pixel, weight - begin * kernel * BLOCK,
                          sums);
            r = end;
        }
        for (; r < one; r++, x += line, weight += next_taps)
            ISA(tap_row)(kernel, stride, spread, results, some, 1, valid, x, pixel, weight, sums);
        if (second && !square) {
            for (; r < two; r++, x += line, weight += next_taps)
                ISA(tap_row)(kernel, stride, spread, results, some, 2, valid, x, pixel, weight, sums);
            if (r < end)
                ISA(tap_row)(kernel, stride, spread, results, some, 1, valid, x, pixel, weight - next_taps, sums + 1);
        }
        if (w->large) {
            ISA(ask)(spread ? results / stride : results * stride, stride > 1, meeting->asked, line, pixel, &ahead);
            ISA(ask)(results, stride > 1, 1 + second, row_below, pixel, &below);
        }
        ISA(finish_row)(results, some, plain && c == v, f, from, to, pixel, c, v - c, out, at, sums[0]);
        if (second)
            ISA(finish_row)(results, some, plain && c == v, f, from, to, pixel, c, v - c, out, at + row_below, sums[1]);
    }
}

CNN_INLINE void ISA(rows)(const int kernel, const int stride, const bool spread, const int results,
                          const struct depthwise_walk *w, int64_t first, int64_t last, int64_t image, int64_t row,
                          int64_t count) {
    const int reach = spread ? (results + kernel - 2) / stride + 1 : (results - 1) * stride + kernel, edge = kernel / 2;
    const cnn_bf16_finish f = *w->finish;
    const int64_t columns = w->columns;
    for (const int64_t end = row + count; row < end;) {
        const bool second = PAIR && stride == 1 && row + 1 < end;
        const struct ISA(meeting) meeting = ISA(meet)(kernel, stride, spread, w, image, row, second);
        for (int64_t j = w->start; j < columns; j += w->step) {
            int64_t left = spread ? (j + w->left) / stride : j * stride + w->left;
            int64_t from = CNN_MAX(-j, 0), to = CNN_MIN(w->step, columns - j);
            int64_t at = ((image * w->rows + row) * columns + j) * w->pixel;
            uint64_t valid = cnn_places_inside(left, reach, w->width);
            if (from == 0 && to == results && left >= -edge && left + reach <= w->width + edge)
                ISA(tile)(kernel, stride, spread, results, false, w, &f, &meeting, first, last, left, valid, 0, results,
                          at);
            else
                ISA(tile)(kernel, stride, spread, results, true, w, &f, &meeting, first, last, left, valid, from, to,
                          at);
        }
        row += 1 + second;
    }
}

#define ROWS(name, kernel, stride, spread, results)                                                                \
    static void ISA(name)(const struct depthwise_walk *w, int64_t first, int64_t last, int64_t image, int64_t row, \
                          int64_t count) {                                                                         \
        ISA(rows)(kernel, stride, spread, results, w, first, last, image, row, count);                             \
    }
#define WIDTHS(name, kernel, stride)         \
    ROWS(name##_4, kernel, stride, false, 4) \
    ROWS(name##_7, kernel, stride, false, 7) \
    ROWS(name##_8, kernel, stride, false, 8)
#define NAMES(name) {ISA(name##_4), ISA(name##_7), ISA(name##_8)}
WIDTHS(rows_3, 3, 1)
WIDTHS(rows_5, 5, 1)
WIDTHS(rows_3_stride, 3, 2)
WIDTHS(rows_5_stride, 5, 2)
ROWS(rows_3_spread, 3, 2, true, 8)
ROWS(rows_5_spread, 5, 2, true, 8)

/* ---- any kernel, stride and dilation ---- */

/* `results` neighbours of a row, under taps [from, to) of each of `taps_h` rows; x is the first of those pixels under
 * tap (0, 0), weight that tap's. All channels. */
CNN_INLINE void ISA(general_tile)(const int results, const struct conv_view *v, int64_t part, const stored *x,
                                  const float *weight, int64_t taps_h, int64_t from, int64_t to,
                                  const cnn_bf16_finish *f, stored *out, int64_t at) {
    const int64_t tap_step = v->step_w * v->pixel, row_step = v->step_h * v->w * v->pixel;
    const int64_t next = v->stride_w * v->pixel, next_out = v->out_step * v->pixel;
    for (int64_t first = 0; first < v->pixel; first += VLEN) {
        int64_t c = part ? 0 : CNN_MIN(first, v->pixel - VLEN);
        vf acc[8];
        UNROLL for (int r = 0; r < results; r++) acc[r] = vset(0);
        for (int64_t s = 0; s < taps_h; s++) {
            for (int64_t t = from; t < to; t++) {
                vf w = vload_lanes(weight + (s * v->tap_row + t * v->tap_step) * v->pixel + c, part);
                const stored *source = x + s * row_step + t * tap_step + c;
                UNROLL for (int r = 0; r < results; r++) acc[r] += w * stored_load_lanes(source + r * next, part);
            }
        }
        ISA(finish)(f, 0, results, next_out, c, part, first - c, out, at + c, acc);
    }
}

/* Taps [*from, *to) of `taps` that meet one of `size` pixels, tap 0 at `start`. */
CNN_INLINE void ISA(taps_inside)(int64_t start, int64_t step, int64_t taps, int64_t size, int64_t *from, int64_t *to) {
    *from = start < 0 ? CNN_MIN(cnn_ceil_div(-start, step), taps) : 0;
    *to = start >= size ? *from : CNN_MAX(*from, CNN_MIN(taps, (size - 1 - start) / step + 1));
}

CNN_INLINE void ISA(general_row)(const struct conv_view *v, int64_t part, const stored *source, const float *weight,
                                 const cnn_bf16_finish *f, stored *out, int64_t image, int64_t i) {
    int64_t top = v->start_h + i * v->stride_h, first, last;
    ISA(taps_inside)(top, v->step_h, v->taps_h, v->h, &first, &last);
    const stored *row = source + (image * v->h + top + first * v->step_h) * v->w * v->pixel;
    weight += (v->tap_first + first * v->tap_row) * v->pixel;
    for (int64_t j = 0; j < v->columns;) {
        int64_t left = v->start_w + j * v->stride_w, right = left + (v->taps_w - 1) * v->step_w, from, to;
        int64_t inside = left < 0 || right >= v->w ? 0 : (v->w - 1 - right) / v->stride_w + 1;
        const stored *x = row + left * v->pixel;
        int64_t at = cnn_view_offset(v, image, i, j);
        if (CNN_MIN(v->columns - j, inside) >= 8 && !part) {
            ISA(general_tile)(8, v, 0, x, weight, last - first, 0, v->taps_w, f, out, at);
            j += 8;
        } else {
            ISA(taps_inside)(left, v->step_w, v->taps_w, v->w, &from, &to);
            ISA(general_tile)(1, v, part, x, weight, last - first, from, to, f, out, at);
            j++;
        }
    }
}

static void ISA(general_rows)(const struct conv_view *v, const void *source, const float *weight,
                              const cnn_bf16_finish *f, void *out, int64_t row, int64_t count) {
    int64_t part = v->pixel < VLEN ? v->pixel : 0;
    for (int64_t r = row; r < row + count; r++) {
        if (part) ISA(general_row)(v, part, source, weight, f, out, r / v->rows, r % v->rows);
        else ISA(general_row)(v, 0, source, weight, f, out, r / v->rows, r % v->rows);
    }
}

const struct depthwise_kernels ISA(cnn_depthwise_kernels) = {
    .lanes = VLEN,
    .rows = {{NAMES(rows_3), NAMES(rows_3_stride)}, {NAMES(rows_5), NAMES(rows_5_stride)}},
    .spread = {ISA(rows_3_spread), ISA(rows_5_spread)},
    .general_rows = ISA(general_rows),
};
#undef ROWS
#undef WIDTHS
#undef NAMES
