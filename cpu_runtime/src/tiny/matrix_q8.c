/* Matrices whose weights stay bytes, multiplied in whole numbers: the vectors are rounded to bytes,
 * too, so that a block's products add up to one exact int32.
 *
 * Compilers make one multiply-add instruction of `sum_of_products`: pmaddwd, or smlal on aarch64. In
 * 16 bits, because few processors have one for 8. Look at the assembler before you tidy it.
 */
#include <stdlib.h>
#include <string.h>

#include "clones.h"
#include "math.h"

enum { BLOCK = TINY_BLOCK, TILE = TINY_TILE };

/* Rows as the file has them, scales in tiles: [tile][block][TILE]. */
bool tiny_matrix_make_q8(tiny_matrix *matrix, size_t n_in, size_t n_out)
{
    enum { LINE = 64 };
    size_t tiles = (n_out + TILE - 1) / TILE, blocks = n_in / BLOCK;
    if (!blocks || n_in % BLOCK || !n_out || tiles > SIZE_MAX / (TILE * BLOCK * 4) / blocks)
        return false;
    size_t bytes = tiles * TILE * n_in, scales = tiles * blocks * TILE * sizeof(float);
    scales = (scales + LINE - 1) / LINE * LINE;
    *matrix = (tiny_matrix){.n_in = n_in, .n_out = n_out,
                            .bytes = aligned_alloc(LINE, bytes),
                            .scales = aligned_alloc(LINE, scales)};
    if (!matrix->bytes || !matrix->scales) {
        tiny_matrix_free(matrix);
        return false;
    }
    memset(matrix->bytes, 0, bytes); /* the last tile need not be full */
    memset(matrix->scales, 0, scales);
    return true;
}

static int8_t *row_bytes(const tiny_matrix *matrix, size_t row)
{
    return matrix->bytes + row * matrix->n_in;
}

static float *row_scales(const tiny_matrix *matrix, size_t row)
{
    return matrix->scales + row / TILE * TILE * (matrix->n_in / BLOCK) + row % TILE;
}

void tiny_matrix_set_row_q8(tiny_matrix *matrix, size_t row, const int8_t *values,
                            const float *scales)
{
    float *scale = row_scales(matrix, row);
    memcpy(row_bytes(matrix, row), values, matrix->n_in);
    for (size_t i = 0; i < matrix->n_in / BLOCK; i++)
        scale[i * TILE] = scales[i];
}

void tiny_q8_get_row(const tiny_matrix *matrix, size_t row, float *values)
{
    const int8_t *from = row_bytes(matrix, row);
    const float *scale = row_scales(matrix, row);
    for (size_t i = 0; i < matrix->n_in; i++)
        values[i] = scale[i / BLOCK * TILE] * (float)from[i];
}

/* ---- Rounding vectors ---- */

/* The largest magnitude, found in the bits, where maxima need no order: NaN is the largest. */
static inline float largest_of(const float *x)
{
    int32_t most = 0;
    for (size_t i = 0; i < BLOCK; i++) {
        int32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= INT32_MAX;
        most = bits > most ? bits : most;
    }
    float largest;
    memcpy(&largest, &most, sizeof largest);
    return largest;
}

static inline void round_block(const float *restrict x, int16_t *restrict values,
                               float *restrict scale)
{
    const float round = 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number ... */
    const int32_t round_bits = 0x4b400000; /* ... in the last bits */
    const float largest = largest_of(x), inverse = largest > 1e-30f ? 127.0f / largest : 0.0f;
    for (size_t i = 0; i < BLOCK; i++) {
        float value = x[i] * inverse;
        int32_t bits;
        value = value > -127.0f ? value : -127.0f; /* not a number, too */
        value = value < 127.0f ? value : 127.0f;
        value += round;
        memcpy(&bits, &value, sizeof bits);
        values[i] = (int16_t)(bits - round_bits);
    }
    *scale = largest / 127.0f;
}

TINY_CLONES
void tiny_q8_round(const float *x, size_t n, tiny_rounded to)
{
    for (size_t i = 0; i < n; i += BLOCK)
        round_block(x + i, to.values + i, to.scales + i / BLOCK);
}

/* ---- Multiplying ---- */

static inline int32_t sum_of_products(const int16_t *restrict a, const int16_t *restrict b)
{
    int32_t sum = 0;
    for (size_t i = 0; i < BLOCK; i++)
        sum += a[i] * b[i];
    return sum;
}

static inline int32_t sum_of_bytes(const int8_t *restrict a, const int16_t *restrict b)
{
    int32_t sum = 0;
    for (size_t i = 0; i < BLOCK; i++)
        sum += (int16_t)a[i] * b[i];
    return sum;
}

static inline void add_scaled(float *restrict y, const int32_t *restrict sums,
                              const float *restrict scales, float scale)
{
    for (size_t j = 0; j < TILE; j++)
        y[j] += (float)sums[j] * (scales[j] * scale);
}

static size_t width_of(const tiny_matrix *matrix, size_t row)
{
    const size_t left = matrix->n_out - row;
    return left < TILE ? left : TILE;
}

TINY_CLONES
void tiny_q8_tile_by_one(const tiny_matrix *matrix, size_t row, tiny_rounded x, float *y)
{
    float sums[TILE] = {0};
    const size_t n_in = matrix->n_in;
    const int8_t *w = row_bytes(matrix, row);
    const float *scales = row_scales(matrix, row);
    for (size_t i = 0; i < n_in; i += BLOCK, scales += TILE) {
        int32_t whole[TILE];
        for (size_t j = 0; j < TILE; j++)
            whole[j] = sum_of_bytes(w + j * n_in + i, x.values + i);
        add_scaled(sums, whole, scales, x.scales[i / BLOCK]);
    }
    memcpy(y + row, sums, width_of(matrix, row) * sizeof *y);
}

/* Made wide once for all vectors, some blocks at a time, so that they stay in the first cache. */
enum { WIDE = 8 * BLOCK };

static inline void some_blocks(const int16_t *restrict w, const float *restrict scales,
                               const int16_t *restrict x, const float *restrict x_scales,
                               size_t n_blocks, float *restrict y)
{
    float sums[TILE];
    memcpy(sums, y, sizeof sums);
    for (size_t i = 0; i < n_blocks; i++, scales += TILE) {
        int32_t whole[TILE];
        for (size_t j = 0; j < TILE; j++)
            whole[j] = sum_of_products(w + j * WIDE + i * BLOCK, x + i * BLOCK);
        add_scaled(sums, whole, scales, x_scales[i]);
    }
    memcpy(y, sums, sizeof sums);
}

static inline void widen(int16_t *restrict to, const int8_t *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = from[i];
}

TINY_CLONES
void tiny_q8_tile_by_all(const tiny_matrix *matrix, size_t row, tiny_rounded x, size_t n, float *y)
{
    int16_t w[TILE * WIDE];
    float sums[TINY_BATCH * TILE] = {0};
    const size_t n_in = matrix->n_in, width = width_of(matrix, row);
    const int8_t *bytes = row_bytes(matrix, row);
    const float *scales = row_scales(matrix, row);
    for (size_t first = 0; first < n_in; first += WIDE) {
        const size_t size = n_in - first < WIDE ? n_in - first : WIDE;
        for (size_t j = 0; j < TILE; j++)
            widen(w + j * WIDE, bytes + j * n_in + first, size);
        for (size_t v = 0; v < n; v++)
            some_blocks(w, scales + first / BLOCK * TILE, x.values + v * n_in + first,
                        x.scales + (v * n_in + first) / BLOCK, size / BLOCK, sums + v * TILE);
    }
    for (size_t v = 0; v < n; v++)
        memcpy(y + v * matrix->n_out + row, sums + v * TILE, width * sizeof *y);
}
