/* Matrices whose weights stay bytes: a quarter of the memory that has to come through the caches
 * for each token, which is what limits a small model.
 *
 * The vectors stay floats. A block's products are summed as they are and scaled once, so that no
 * rounding of the vectors comes in, as it would with sums of whole numbers. As in matrix.c, every
 * output is summed in the same order in both loops.
 */
#include <stdlib.h>
#include <string.h>

#include "clones.h"
#include "math.h"

enum { BLOCK = TINY_BLOCK, PANEL = TINY_PANEL, TILE = TINY_TILE, GROUP = TINY_GROUP };

bool tiny_matrix_make_q8(tiny_matrix *matrix, size_t n_in, size_t n_out)
{
    enum { LINE = 64 };
    size_t panels = (n_out + PANEL - 1) / PANEL, blocks = n_in / BLOCK;
    if (!blocks || n_in % BLOCK || !n_out || panels > SIZE_MAX / (PANEL * BLOCK * 4) / blocks)
        return false;
    size_t bytes = panels * n_in * PANEL, scales = panels * blocks * PANEL * sizeof(float);
    *matrix = (tiny_matrix){.n_in = n_in, .n_out = n_out,
                            .bytes = aligned_alloc(LINE, bytes),
                            .scales = aligned_alloc(LINE, scales)};
    if (!matrix->bytes || !matrix->scales) {
        tiny_matrix_free(matrix);
        return false;
    }
    memset(matrix->bytes, 0, bytes); /* the last panel need not be full */
    memset(matrix->scales, 0, scales);
    return true;
}

static int8_t *row_bytes(const tiny_matrix *matrix, size_t row)
{
    return matrix->bytes + row / PANEL * PANEL * matrix->n_in + row % PANEL;
}

static float *row_scales(const tiny_matrix *matrix, size_t row)
{
    return matrix->scales + row / PANEL * PANEL * (matrix->n_in / BLOCK) + row % PANEL;
}

void tiny_matrix_set_row_q8(tiny_matrix *matrix, size_t row, const int8_t *values,
                            const float *scales)
{
    int8_t *to = row_bytes(matrix, row);
    float *scale = row_scales(matrix, row);
    for (size_t i = 0; i < matrix->n_in; i++)
        to[i * PANEL] = values[i];
    for (size_t i = 0; i < matrix->n_in / BLOCK; i++)
        scale[i * PANEL] = scales[i];
}

void tiny_q8_get_row(const tiny_matrix *matrix, size_t row, float *values)
{
    const int8_t *from = row_bytes(matrix, row);
    const float *scale = row_scales(matrix, row);
    for (size_t i = 0; i < matrix->n_in; i++)
        values[i] = scale[i / BLOCK * PANEL] * (float)from[i * PANEL];
}

static inline void panel_by_vector(const int8_t *restrict w, const float *restrict scales,
                                   size_t n_blocks, const float *restrict x, float *restrict y)
{
    memset(y, 0, PANEL * sizeof *y);
    for (size_t block = 0; block < n_blocks; block++, scales += PANEL) {
        float sums[PANEL] = {0};
        for (size_t i = 0; i < BLOCK; i++, w += PANEL, x++)
            for (size_t j = 0; j < PANEL; j++)
                sums[j] += (float)w[j] * *x;
        for (size_t j = 0; j < PANEL; j++)
            y[j] += scales[j] * sums[j];
    }
}

TINY_CLONES
void tiny_q8_panels_by_one(const tiny_matrix *matrix, size_t first, size_t end, const float *x,
                           float *y)
{
    float sums[PANEL];
    const size_t n_blocks = matrix->n_in / BLOCK;
    const int8_t *w = matrix->bytes + first * matrix->n_in * PANEL;
    const float *scales = matrix->scales + first * n_blocks * PANEL;
    for (size_t row = first * PANEL; row < end * PANEL; row += PANEL) {
        const size_t left = matrix->n_out - row;
        panel_by_vector(w, scales, n_blocks, x, sums);
        memcpy(y + row, sums, (left < PANEL ? left : PANEL) * sizeof *y);
        w += matrix->n_in * PANEL;
        scales += n_blocks * PANEL;
    }
}

/* One block of a tile by one group, added to y. w: [BLOCK][TILE]; x: [BLOCK][GROUP];
 * y: [GROUP][TILE] */
static inline void block_by_group(const float *restrict w, const float *restrict scales,
                                  const float *restrict x, float *restrict y)
{
    float a[TILE] = {0}, b[TILE] = {0}, c[TILE] = {0}, d[TILE] = {0};
    for (size_t i = 0; i < BLOCK; i++, w += TILE, x += GROUP) {
        for (size_t j = 0; j < TILE; j++) a[j] += w[j] * x[0];
        for (size_t j = 0; j < TILE; j++) b[j] += w[j] * x[1];
        for (size_t j = 0; j < TILE; j++) c[j] += w[j] * x[2];
        for (size_t j = 0; j < TILE; j++) d[j] += w[j] * x[3];
    }
    for (size_t j = 0; j < TILE; j++) y[j] += scales[j] * a[j];
    for (size_t j = 0; j < TILE; j++) y[TILE + j] += scales[j] * b[j];
    for (size_t j = 0; j < TILE; j++) y[2 * TILE + j] += scales[j] * c[j];
    for (size_t j = 0; j < TILE; j++) y[3 * TILE + j] += scales[j] * d[j];
}

/* All groups in turn by each block, whose bytes become floats once. */
TINY_CLONES
void tiny_q8_tile_by_all(const tiny_matrix *matrix, size_t row, const float *groups, size_t n,
                         float *y)
{
    float w[BLOCK * TILE], sums[TINY_BATCH * TILE] = {0};
    const size_t n_in = matrix->n_in, left = matrix->n_out - row, width = left < TILE ? left : TILE;
    const int8_t *bytes = row_bytes(matrix, row);
    const float *scales = row_scales(matrix, row);
    for (size_t i = 0; i < n_in; i += BLOCK, bytes += BLOCK * PANEL, scales += PANEL) {
        for (size_t k = 0; k < BLOCK; k++)
            for (size_t j = 0; j < TILE; j++)
                w[k * TILE + j] = (float)bytes[k * PANEL + j];
        for (size_t v = 0; v < n; v += GROUP)
            block_by_group(w, scales, groups + v * n_in + i * GROUP, sums + v * TILE);
    }
    for (size_t v = 0; v < n; v++)
        memcpy(y + v * matrix->n_out + row, sums + v * TILE, width * sizeof *y);
}
