/* Products of matrices of every shape: to the last bit what a plain loop comes to, in a fixed order.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/rng.h"
#include "tiny/math.h"
#include "tiny_check.h"

/* Some fill their tiles, their panels and what is made wide at once, and some do not. */
static const size_t whole_blocks[] = {32, 64, 96, 256, 288, 544}, any_inputs[] = {1, 3, 30, 67},
                    outputs[] = {1, 7, 8, 9, 31, 33, 70}, vectors[] = {1, 2, 5, 31, 32};
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A product, whose parts are as large as is documented and no larger. */
typedef struct {
    size_t n_in, n_out, n;
    tiny_matrix matrix;
    float *x, *y, *scratch, *weights; /* weights of F32, or the scales of all blocks */
    int8_t *bytes;
} example;

static void *some(size_t count, size_t size)
{
    void *made = calloc(count, size);
    if (!made)
        exit(1);
    return made;
}

static void fill(float *values, size_t n, struct rng *random)
{
    for (size_t i = 0; i < n; i++)
        values[i] = (float)(rng_next(random) * 2.0 - 1.0);
}

static example make(size_t n_in, size_t n_out, size_t n)
{
    example e = {.n_in = n_in, .n_out = n_out, .n = n};
    e.x = some(n * n_in, sizeof *e.x);
    e.y = some(n * n_out, sizeof *e.y);
    e.scratch = some(TINY_BATCH * n_in, sizeof *e.scratch);
    e.weights = some(n_out * n_in, sizeof *e.weights);
    e.bytes = some(n_out * n_in, sizeof *e.bytes);
    return e;
}

static void discard(example *e)
{
    tiny_matrix_free(&e->matrix);
    free(e->x), free(e->y), free(e->scratch), free(e->weights), free(e->bytes);
}

static example make_f32(size_t n_in, size_t n_out, size_t n, struct rng *random)
{
    example e = make(n_in, n_out, n);
    fill(e.x, n * n_in, random);
    fill(e.weights, n_out * n_in, random);
    CHECK(tiny_matrix_make(&e.matrix, n_in, n_out));
    for (size_t row = 0; row < n_out; row++)
        tiny_matrix_set_row(&e.matrix, row, e.weights + row * n_in);
    return e;
}

/* All 256 bytes, as files may hold them, and some blocks of zeros. */
static example make_q8(size_t n_in, size_t n_out, size_t n, struct rng *random)
{
    example e = make(n_in, n_out, n);
    const size_t blocks = n_in / TINY_BLOCK;
    fill(e.x, n * n_in, random);
    fill(e.weights, n_out * blocks, random);
    memset(e.x, 0, TINY_BLOCK * sizeof *e.x);
    for (size_t i = 0; i < n_out * n_in; i++)
        e.bytes[i] = (int8_t)(rng_next(random) * 256.0 - 128.0);
    memset(e.bytes, -128, TINY_BLOCK);
    CHECK(tiny_matrix_make_q8(&e.matrix, n_in, n_out));
    for (size_t row = 0; row < n_out; row++)
        tiny_matrix_set_row_q8(&e.matrix, row, e.bytes + row * n_in, e.weights + row * blocks);
    return e;
}

static void multiply(example *e)
{
    tiny_multiply_rows(&e->matrix, e->x, e->n, e->y, e->scratch, NULL);
}

static bool same(float a, float b)
{
    return a == b || (isnan(a) && isnan(b));
}

/* ---- By plain loops ---- */

static float plain_f32(const example *e, size_t row, size_t vector)
{
    float sum = 0.0f;
    for (size_t i = 0; i < e->n_in; i++)
        sum += e->weights[row * e->n_in + i] * e->x[vector * e->n_in + i];
    return sum;
}

static float largest_magnitude(const float *x)
{
    float largest = 0.0f;
    for (size_t i = 0; i < TINY_BLOCK; i++)
        largest = fmaxf(largest, fabsf(x[i]));
    return largest;
}

static float plain_q8(const example *e, size_t row, size_t vector)
{
    float sum = 0.0f;
    for (size_t i = 0; i < e->n_in; i += TINY_BLOCK) {
        const float *x = e->x + vector * e->n_in + i, largest = largest_magnitude(x);
        const float to_bytes = largest > 0.0f ? 127.0f / largest : 0.0f;
        int products = 0;
        for (size_t j = 0; j < TINY_BLOCK; j++)
            products += e->bytes[row * e->n_in + i + j] * (int)nearbyintf(x[j] * to_bytes);
        sum += (float)products * (e->weights[(row * e->n_in + i) / TINY_BLOCK] * (largest / 127.0f));
    }
    return sum;
}

static bool is_plain(const example *e, float (*plain)(const example *, size_t, size_t))
{
    for (size_t vector = 0; vector < e->n; vector++)
        for (size_t row = 0; row < e->n_out; row++)
            if (!same(e->y[vector * e->n_out + row], plain(e, row, vector))) {
                printf("%zu x %zu by %zu: row %zu of vector %zu\n", e->n_out, e->n_in, e->n, row,
                       vector);
                return false;
            }
    return true;
}

static void shapes_of_f32(struct rng *random)
{
    for (size_t i = 0; i < COUNT(any_inputs); i++)
        for (size_t j = 0; j < COUNT(outputs); j++)
            for (size_t k = 0; k < COUNT(vectors); k++) {
                example e = make_f32(any_inputs[i], outputs[j], vectors[k], random);
                multiply(&e);
                CHECK(is_plain(&e, plain_f32));
                discard(&e);
            }
}

static void shapes_of_q8(struct rng *random)
{
    for (size_t i = 0; i < COUNT(whole_blocks); i++)
        for (size_t j = 0; j < COUNT(outputs); j++)
            for (size_t k = 0; k < COUNT(vectors); k++) {
                example e = make_q8(whole_blocks[i], outputs[j], vectors[k], random);
                multiply(&e);
                CHECK(is_plain(&e, plain_q8));
                discard(&e);
            }
}

/* ---- What else may come ---- */

static void half_a_block_is_no_matrix_of_bytes(void)
{
    tiny_matrix matrix = {0};
    for (size_t n_in = 0; n_in < 2 * TINY_BLOCK; n_in++)
        CHECK(tiny_matrix_make_q8(&matrix, n_in, 1) == (n_in == TINY_BLOCK)),
            tiny_matrix_free(&matrix);
    CHECK(!tiny_matrix_make_q8(&matrix, TINY_BLOCK, 0));
    CHECK(!tiny_matrix_make_q8(&matrix, TINY_BLOCK, SIZE_MAX / TINY_BLOCK));
}

/* A number that went out of range is seen in the outputs: rounding does not hide it. */
static void what_is_not_finite_stays_so(struct rng *random)
{
    const float strange[] = {NAN, -NAN, INFINITY, -INFINITY};
    for (size_t n = 1; n <= 2; n++)
        for (size_t i = 0; i < COUNT(strange); i++) {
            example e = make_q8(3 * TINY_BLOCK, 9, n, random);
            e.x[(n - 1) * e.n_in + 40] = strange[i];
            multiply(&e);
            for (size_t row = 0; row < e.n_out; row++)
                CHECK(!isfinite(e.y[(n - 1) * e.n_out + row]));
            for (size_t row = 0; row < (n - 1) * e.n_out; row++)
                CHECK(isfinite(e.y[row]));
            discard(&e);
        }
}

/* Whatever the size of a vector's numbers, they are rounded to as many bits. */
static void any_magnitude_is_rounded_alike(struct rng *random)
{
    for (int power = -90; power <= 110; power += 20) {
        example e = make_q8(2 * TINY_BLOCK, 9, 1, random);
        const float factor = ldexpf(1.0f, power);
        for (size_t i = 0; i < e.n_in; i++)
            e.x[i] *= factor;
        multiply(&e);
        CHECK(is_plain(&e, plain_q8));
        discard(&e);
    }
}

void check_matrices(void)
{
    struct rng random;
    rng_seed(&random, 1);
    shapes_of_f32(&random);
    shapes_of_q8(&random);
    half_a_block_is_no_matrix_of_bytes();
    what_is_not_finite_stays_so(&random);
    any_magnitude_is_rounded_alike(&random);
}
