/* A block of a convolution's source as one list of pixels, of which a tile of 16 is read wherever it begins: rows and
 * images follow each other with their borders, so that small maps fill tiles, too. tiles_grid.h says what is where. */
#include "tiles_grid.h"

#define BLOCK_BYTES 393216 /* of a block, if it has more than one row: with weights and sums it stays in L2 */
#define FEWEST 128         /* results of a block: weights are read again for each */
#define MOST 1024

/* One side of the list. */
struct side {
    int64_t planes, reach; /* reach: from the first tap to the last */
    int64_t shared;        /* border that is both behind one row (or image) and before the next */
};

static int64_t remainder_of(int64_t plane, int64_t step, int64_t stride) { return plane * step % stride; }

static struct side side_of(int64_t results, int64_t taps, int64_t start, int64_t stride, int64_t step, int64_t size) {
    struct side s = {.planes = 1};
    if (taps == 0) return s;
    while (s.planes < taps && remainder_of(s.planes, step, stride)) s.planes++;
    s.reach = (taps - 1) * step / stride;
    s.shared = s.reach;
    for (int64_t plane = 0; plane < s.planes; plane++) {
        int64_t first = start + remainder_of(plane, step, stride), all = results + s.reach;
        int64_t before = first < 0 ? CNN_MIN(cnn_ceil_div(-first, stride), all) : 0;
        int64_t inside = first < size ? CNN_MIN(cnn_ceil_div(size - first, stride), all) : 0;
        s.shared = CNN_MIN(s.shared, CNN_MIN(before, all - inside));
    }
    return s;
}

/* Across, where a position is stride_w pixels, and what a result reads is a run from the first one on. */
static struct side side_of_runs(const struct conv_view *v) {
    int64_t left = -v->start_w, step = v->stride_w;
    struct side s = {.planes = 1, .reach = (v->taps_w - 1) * v->step_w / step};
    int64_t all = v->columns + s.reach, inside = CNN_MIN(cnn_ceil_div(left + v->w, step), all);
    s.shared = CNN_MIN(s.reach, CNN_MIN(left / step, all - inside));
    return s;
}

static int64_t results_of(const struct tile_grid *g, int64_t images, int64_t rows) {
    return ((images - 1) * g->height + rows - 1) * g->width + g->view->columns;
}

static int64_t positions_of(const struct tile_grid *g, int64_t images, int64_t rows) {
    return cnn_round_up(results_of(g, images, rows), TILE_BLOCK) + g->reach;
}

static bool fits(const struct tile_grid *g, int64_t images, int64_t rows) {
    return g->planes_h * g->planes_w * positions_of(g, images, rows) * g->depth * g->size <= BLOCK_BYTES;
}

/* Whether result m reads nothing but pixel m. */
static bool straight(const struct conv_view *v) {
    bool point = cnn_tile_taps(v) == 1 && v->stride_h == 1 && v->stride_w == 1 && v->start_h == 0 && v->start_w == 0;
    return point && v->rows == v->h && v->columns == v->w;
}

/* Blocks of rows, or of whole images where they are small; of about as many results each. */
static void cut(struct tile_grid *g, int64_t results) {
    const struct conv_view *v = g->view;
    int64_t rows = CNN_MAX(1, CNN_MIN(results / g->width, v->rows)), images = 1;
    while (rows > 1 && !fits(g, 1, rows)) rows--;
    if (rows == v->rows) {
        images = CNN_MAX(1, CNN_MIN(results / (g->height * g->width), v->n));
        while (images > 1 && !fits(g, images, rows)) images--;
        images = cnn_ceil_div(v->n, cnn_ceil_div(v->n, images));
    }
    g->images = images;
    g->row_blocks = cnn_ceil_div(v->rows, rows);
    g->rows = cnn_ceil_div(v->rows, g->row_blocks);
    g->row_blocks = cnn_ceil_div(v->rows, g->rows);
    g->blocks = cnn_ceil_div(v->n, images) * g->row_blocks;
}

static struct tile_grid grid_of(struct tile_grid g, int64_t wanted) {
    const struct conv_view *v = g.view;
    int64_t results = CNN_MAX(FEWEST, CNN_MIN(cnn_view_pixels(v) / wanted, MOST));
    if (g.straight) {
        results = CNN_MIN(results, CNN_MAX(TILE_BLOCK, BLOCK_BYTES / (g.size * g.depth)));
        g.rows = results / TILE_BLOCK * TILE_BLOCK;
        g.blocks = cnn_ceil_div(cnn_view_pixels(v), g.rows);
        g.planes_h = g.planes_w = 1;
        g.positions = TILE_BLOCK; /* the last ones, copied: a tile may read no further than the source */
        return g;
    }
    struct side vertical = side_of(v->rows, v->taps_h, v->start_h, v->stride_h, v->step_h, v->h);
    struct side across = g.runs ? side_of_runs(v)
                                : side_of(v->columns, v->taps_w, v->start_w, v->stride_w, v->step_w, v->w);
    g.planes_h = vertical.planes;
    g.planes_w = across.planes;
    g.width = v->columns + across.reach - across.shared;
    g.height = v->rows + vertical.reach - vertical.shared;
    g.reach = vertical.reach * g.width + across.reach;
    cut(&g, results);
    if (g.row_blocks > 1) g.height = g.rows + vertical.reach;
    g.positions = positions_of(&g, g.images, g.rows);
    return g;
}

struct tile_grid cnn_tile_grid(const struct conv_view *v, int64_t wanted, bool copied) {
    bool in_place = !copied && straight(v) && v->c % TILE_DEPTH == 0;
    struct tile_grid g = {.view = v, .size = 2, .depth = cnn_round_up(v->c, TILE_DEPTH), .straight = in_place};
    return grid_of(g, wanted);
}

struct tile_grid cnn_tile_grid_of_bytes(const struct conv_view *v, int64_t wanted) {
    struct tile_grid g = {.view = v, .size = 1, .runs = true, .depth = v->stride_w * v->c, .straight = straight(v)};
    return grid_of(g, wanted);
}

struct tile_part cnn_tile_part(const struct tile_grid *g, int64_t block) {
    const struct conv_view *v = g->view;
    if (g->straight) {
        int64_t first = block * g->rows;
        return (struct tile_part){.row = first, .results = CNN_MIN(g->rows, cnn_view_pixels(v) - first)};
    }
    int64_t image = block / g->row_blocks * g->images, row = block % g->row_blocks * g->rows;
    struct tile_part part = {.image = image,
                             .images = CNN_MIN(g->images, v->n - image),
                             .row = row,
                             .rows = CNN_MIN(g->rows, v->rows - row)};
    part.results = results_of(g, part.images, part.rows);
    return part;
}

int64_t cnn_tile_plane(const struct tile_grid *g, int64_t tap) {
    int64_t s = tap / g->view->taps_w, t = tap % g->view->taps_w;
    return s % g->planes_h * g->planes_w + t % g->planes_w;
}

int64_t cnn_tile_offset(const struct tile_grid *g, int64_t tap) {
    const struct conv_view *v = g->view;
    int64_t s = tap / v->taps_w, t = tap % v->taps_w;
    return s * v->step_h / v->stride_h * g->width + t * v->step_w / v->stride_w;
}

int64_t cnn_tile_row(const struct tile_grid *g, int64_t plane, int64_t row) {
    const struct conv_view *v = g->view;
    return v->start_h + remainder_of(plane / g->planes_w, v->step_h, v->stride_h) + row * v->stride_h;
}

static void copy_pixels(int64_t count, int64_t channels, const uint16_t *from, int64_t step, int64_t depth,
                        uint16_t *to) {
    if (step == channels && depth == channels) {
        memcpy(to, from, (size_t)(count * channels) * sizeof *to);
        return;
    }
    for (int64_t i = 0; i < count; i++, from += step, to += depth) {
        memcpy(to, from, (size_t)channels * sizeof *to);
        if (depth > channels) memset(to + channels, 0, (size_t)(depth - channels) * sizeof *to);
    }
}

void cnn_tile_fill(const struct tile_grid *g, const struct tile_part *part, const uint16_t *source, int64_t plane,
                   int64_t count, uint16_t *to) {
    const struct conv_view *v = g->view;
    int64_t left = v->start_w + remainder_of(plane % g->planes_w, v->step_w, v->stride_w);
    int64_t begin = left < 0 ? cnn_ceil_div(-left, v->stride_w) : 0;
    int64_t end = left < v->w ? cnn_ceil_div(v->w - left, v->stride_w) : 0;
    for (int64_t r = 0; r * g->width < count; r++) {
        int64_t places = CNN_MIN(g->width, count - r * g->width);
        int64_t image = r / g->height, row = cnn_tile_row(g, plane, part->row + r % g->height);
        bool inside = image < part->images && 0 <= row && row < v->h;
        int64_t a = CNN_MIN(begin, places), b = inside ? CNN_MAX(a, CNN_MIN(end, places)) : a;
        memset(to, 0, (size_t)(a * g->depth) * sizeof *to);
        if (a < b)
            copy_pixels(b - a, v->c,
                        source + (((part->image + image) * v->h + row) * v->w + left + a * v->stride_w) * v->pixel,
                        v->stride_w * v->pixel, g->depth, to + a * g->depth);
        memset(to + b * g->depth, 0, (size_t)((places - b) * g->depth) * sizeof *to);
        to += places * g->depth;
    }
}

void cnn_tile_places(const struct tile_grid *g, const struct tile_part *part, int64_t count, int64_t *where) {
    const struct conv_view *v = g->view;
    for (int64_t m = 0; m < count; m++) where[m] = -1;
    if (g->straight) {
        for (int64_t m = 0; m < part->results; m++) {
            int64_t pixel = part->row + m, row = pixel / v->columns;
            where[m] = cnn_view_offset(v, row / v->rows, row % v->rows, pixel % v->columns);
        }
        return;
    }
    for (int64_t image = 0; image < part->images; image++)
        for (int64_t i = 0; i < part->rows; i++)
            for (int64_t j = 0; j < v->columns; j++)
                where[(image * g->height + i) * g->width + j] = cnn_view_offset(v, part->image + image, part->row + i,
                                                                                j);
}
