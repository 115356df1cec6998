/* Linear algebra in a fixed order of operations: the same floats on every machine, and for a
 * position the same in a batch as alone. */
#ifndef RKLLM_CPU_TINY_MATH_H
#define RKLLM_CPU_TINY_MATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool.h"

/* A matrix in panels of 32 outputs, the input running slower: [panel][n_in][32]. So neighbouring
 * outputs are computed side by side and no sum is ever split, which is what lets a compiler
 * vectorise without leave to reorder. */
enum { TINY_PANEL = 32, TINY_BATCH = 32 };
/* Of Q8_0: inputs that share a scale. Outputs x vectors worked on at once in a batch. */
enum { TINY_BLOCK = 32, TINY_TILE = 8, TINY_GROUP = 4 };

/* Either floats in panels, or rows of bytes with a scale for each block. All zero: none. */
typedef struct {
    size_t n_in, n_out;
    float *panels;
    int8_t *bytes;
    float *scales;
} tiny_matrix;

/* Allocates; the outputs that fill up the last panel are zero. false when memory is short. */
bool tiny_matrix_make(tiny_matrix *matrix, size_t n_in, size_t n_out);
void tiny_matrix_set_row(tiny_matrix *matrix, size_t row, const float *values);
void tiny_matrix_get_row(const tiny_matrix *matrix, size_t row, float *values);
void tiny_matrix_free(tiny_matrix *matrix);

/* The same with bytes, where n_in is a multiple of TINY_BLOCK (matrix_q8.c). */
bool tiny_matrix_make_q8(tiny_matrix *matrix, size_t n_in, size_t n_out);
void tiny_matrix_set_row_q8(tiny_matrix *matrix, size_t row, const int8_t *values,
                            const float *scales);
void tiny_q8_get_row(const tiny_matrix *matrix, size_t row, float *values);

/* Vectors in whole numbers from -127 to 127, kept in 16 bits, with a scale for each block. */
typedef struct {
    int16_t *values;
    float *scales;
} tiny_rounded;

/* n: values of all vectors together */
void tiny_q8_round(const float *x, size_t n, tiny_rounded to);
/* TINY_TILE outputs from `row` on, by one vector and by n. */
void tiny_q8_tile_by_one(const tiny_matrix *matrix, size_t row, tiny_rounded x, float *y);
void tiny_q8_tile_by_all(const tiny_matrix *matrix, size_t row, tiny_rounded x, size_t n,
                         float *y);

/* y[i] = matrix * x[i] for n <= TINY_BATCH vectors, which are rounded where the matrix is of bytes.
 * scratch: TINY_BATCH * n_in floats. Threads of the pool take outputs, so that the floats are the
 * same whatever their number. */
void tiny_multiply_rows(const tiny_matrix *matrix, const float *x, size_t n, float *y,
                        float *scratch, tiny_pool *pool);

float tiny_dot(const float *a, const float *b, size_t n);
/* scores[i] = query . keys[i * stride ..] * scale, over n keys */
void tiny_scores(float *scores, const float *query, const float *keys, size_t stride, size_t n,
                 size_t width, float scale);
void tiny_add(float *to, const float *what, size_t n);
void tiny_add_scaled(float *to, const float *what, float scale, size_t n);
/* to = the sum of weights[i] * rows[i * stride ..] over n rows */
void tiny_mix(float *to, const float *weights, const float *rows, size_t stride, size_t n,
              size_t width);

void tiny_rms_norm(float *to, const float *x, const float *weight, float epsilon, size_t n);
void tiny_softmax(float *x, size_t n);
/* gate = silu(gate) * up */
void tiny_swiglu(float *gate, const float *up, size_t n);

/* RoPE: cosines and sines of position * base^(-2i/dims), n_pairs = dims / 2 of each. */
void tiny_rope_angles(double position, double base, size_t n_pairs, float *cosines, float *sines);
/* Turns the first 2 * n_pairs values of a head, neighbours making a pair. */
void tiny_rope(float *head, const float *cosines, const float *sines, size_t n_pairs);

#endif
