/* Matrices in panels, and what nearly all time goes into: multiplying them.
 *
 * The inner loops are spelled as gcc and clang both vectorise them at -O2 and -O3; measure before
 * you tidy them. Every output is one sum from the first input to the last in both of them.
 */
#include "math.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "clones.h"

enum { TILE = TINY_TILE, GROUP = TINY_GROUP };

bool tiny_matrix_make(tiny_matrix *matrix, size_t n_in, size_t n_out)
{
    enum { LINE = 64 };
    size_t panels = (n_out + TINY_PANEL - 1) / TINY_PANEL;
    if (!n_in || !n_out || panels > SIZE_MAX / (TINY_PANEL * sizeof(float)) / n_in)
        return false;
    size_t bytes = panels * n_in * TINY_PANEL * sizeof(float);
    *matrix = (tiny_matrix){.n_in = n_in, .n_out = n_out, .panels = aligned_alloc(LINE, bytes)};
    if (matrix->panels && n_out % TINY_PANEL)
        memset(matrix->panels + (panels - 1) * n_in * TINY_PANEL, 0,
               n_in * TINY_PANEL * sizeof(float));
    return matrix->panels != NULL;
}

void tiny_matrix_free(tiny_matrix *matrix)
{
    free(matrix->panels);
    free(matrix->bytes);
    free(matrix->scales);
    *matrix = (tiny_matrix){0};
}

static float *row_start(const tiny_matrix *matrix, size_t row)
{
    return matrix->panels + row / TINY_PANEL * TINY_PANEL * matrix->n_in + row % TINY_PANEL;
}

void tiny_matrix_set_row(tiny_matrix *matrix, size_t row, const float *values)
{
    float *to = row_start(matrix, row);
    for (size_t i = 0; i < matrix->n_in; i++)
        to[i * TINY_PANEL] = values[i];
}

void tiny_matrix_get_row(const tiny_matrix *matrix, size_t row, float *values)
{
    if (matrix->bytes) {
        tiny_q8_get_row(matrix, row, values);
        return;
    }
    const float *from = row_start(matrix, row);
    for (size_t i = 0; i < matrix->n_in; i++)
        values[i] = from[i * TINY_PANEL];
}

static inline void panel_by_vector(const float *restrict w, size_t n, const float *restrict x,
                                   float *restrict y)
{
    size_t i = 0;
    memset(y, 0, TINY_PANEL * sizeof *y);
    for (; i + 4 <= n; i += 4, w += 4 * TINY_PANEL)
        for (size_t j = 0; j < TINY_PANEL; j++)
            y[j] = (((y[j] + w[j] * x[i]) + w[TINY_PANEL + j] * x[i + 1]) +
                    w[2 * TINY_PANEL + j] * x[i + 2]) + w[3 * TINY_PANEL + j] * x[i + 3];
    for (; i < n; i++, w += TINY_PANEL)
        for (size_t j = 0; j < TINY_PANEL; j++)
            y[j] += w[j] * x[i];
}

/* x: [n][GROUP]; y: [GROUP][TILE] */
static inline void tile_by_group(const float *restrict w, size_t n, const float *restrict x,
                                 float *restrict y)
{
    float a[TILE] = {0}, b[TILE] = {0}, c[TILE] = {0}, d[TILE] = {0};
    for (size_t i = 0; i < n; i++, w += TINY_PANEL, x += GROUP) {
        for (size_t j = 0; j < TILE; j++) a[j] += w[j] * x[0];
        for (size_t j = 0; j < TILE; j++) b[j] += w[j] * x[1];
        for (size_t j = 0; j < TILE; j++) c[j] += w[j] * x[2];
        for (size_t j = 0; j < TILE; j++) d[j] += w[j] * x[3];
    }
    memcpy(y, a, sizeof a);
    memcpy(y + TILE, b, sizeof b);
    memcpy(y + 2 * TILE, c, sizeof c);
    memcpy(y + 3 * TILE, d, sizeof d);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

TINY_CLONES
static void panels_by_one(const tiny_matrix *matrix, size_t first, size_t end, const float *x,
                          float *y)
{
    float sums[TINY_PANEL];
    const float *panel = matrix->panels + first * matrix->n_in * TINY_PANEL;
    for (size_t row = first * TINY_PANEL; row < end * TINY_PANEL; row += TINY_PANEL) {
        panel_by_vector(panel, matrix->n_in, x, sums);
        memcpy(y + row, sums, smaller(TINY_PANEL, matrix->n_out - row) * sizeof *y);
        panel += matrix->n_in * TINY_PANEL;
    }
}

/* Groups of four vectors side by side, zeros where there are fewer. */
static void interleave(const float *x, size_t n, size_t n_in, float *to)
{
    for (size_t v = 0; v < (n + GROUP - 1) / GROUP * GROUP; v++) {
        float *group = to + v / GROUP * GROUP * n_in + v % GROUP;
        for (size_t i = 0; i < n_in; i++)
            group[i * GROUP] = v < n ? x[v * n_in + i] : 0.0f;
    }
}

TINY_CLONES
static void tile_by_all(const tiny_matrix *matrix, size_t row, const float *groups, size_t n,
                        float *y)
{
    float sums[GROUP * TILE];
    const float *tile = row_start(matrix, row);
    size_t width = smaller(TILE, matrix->n_out - row);
    for (size_t v = 0; v < n; v += GROUP) {
        tile_by_group(tile, matrix->n_in, groups + v * matrix->n_in, sums);
        for (size_t k = 0; k < smaller(GROUP, n - v); k++)
            memcpy(y + (v + k) * matrix->n_out + row, sums + k * TILE, width * sizeof *y);
    }
}

/* A multiplication, for the threads that share it. `x`: the vector, or groups of n vectors. */
typedef struct {
    const tiny_matrix *matrix;
    const float *x;
    tiny_rounded rounded;
    size_t n;
    float *y;
} product;

static void some_panels(const void *work, size_t first, size_t end, size_t thread)
{
    const product *p = work;
    (void)thread;
    panels_by_one(p->matrix, first, end, p->x, p->y);
}

static void some_tiles(const void *work, size_t first, size_t end, size_t thread)
{
    const product *p = work;
    (void)thread;
    for (size_t row = first * TILE; row < end * TILE; row += TILE)
        tile_by_all(p->matrix, row, p->x, p->n, p->y);
}

static void some_q8_tiles(const void *work, size_t first, size_t end, size_t thread)
{
    const product *p = work;
    (void)thread;
    for (size_t row = first * TILE; row < end * TILE; row += TILE)
        if (p->n == 1)
            tiny_q8_tile_by_one(p->matrix, row, p->rounded, p->y);
        else
            tiny_q8_tile_by_all(p->matrix, row, p->rounded, p->n, p->y);
}

static void share(const product *p, size_t width, tiny_units *units, tiny_pool *pool)
{
    const size_t n_units = (p->matrix->n_out + width - 1) / width;
    tiny_pool_do(pool, n_units, width * p->n * p->matrix->n_in, units, p);
}

void tiny_multiply_rows(const tiny_matrix *matrix, const float *x, size_t n, float *y,
                        float *scratch, tiny_pool *pool)
{
    const size_t n_in = matrix->n_in;
    product p = {.matrix = matrix, .x = n == 1 ? x : scratch, .n = n, .y = y};
    if (matrix->bytes) {
        p.rounded = (tiny_rounded){(int16_t *)scratch, scratch + n * n_in / 2};
        tiny_q8_round(x, n * n_in, p.rounded);
        share(&p, TILE, some_q8_tiles, pool);
    } else if (n == 1) {
        share(&p, TINY_PANEL, some_panels, pool);
    } else {
        interleave(x, n, n_in, scratch);
        share(&p, TILE, some_tiles, pool);
    }
}
