#include "math.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "clones.h"

/* Eight sums side by side: fixed whatever the vector width of the machine. */
enum { LANES = 8 };

static inline float sum_of_lanes(const float *sums)
{
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) +
           ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

static inline void add_products(float *restrict sums, const float *restrict a,
                                const float *restrict b)
{
    for (size_t j = 0; j < LANES; j++)
        sums[j] += a[j] * b[j];
}

static inline float dot(const float *restrict a, const float *restrict b, size_t n)
{
    float sums[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        add_products(sums, a + i, b + i);
    if (i < n) {
        float rest_a[LANES] = {0}, rest_b[LANES] = {0};
        memcpy(rest_a, a + i, (n - i) * sizeof *a);
        memcpy(rest_b, b + i, (n - i) * sizeof *b);
        add_products(sums, rest_a, rest_b);
    }
    return sum_of_lanes(sums);
}

TINY_CLONES
float tiny_dot(const float *a, const float *b, size_t n)
{
    return dot(a, b, n);
}

TINY_CLONES
void tiny_scores(float *restrict scores, const float *restrict query, const float *restrict keys,
                 size_t stride, size_t n, size_t width, float scale)
{
    for (size_t i = 0; i < n; i++)
        scores[i] = dot(query, keys + i * stride, width) * scale;
}

void tiny_add(float *restrict to, const float *restrict what, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += what[i];
}

void tiny_add_scaled(float *restrict to, const float *restrict what, float scale, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += scale * what[i];
}

/* Four vectors of sums, spelled out: as one array, they would go through memory for each row. */
static inline void mix_some(float *restrict to, const float *restrict weights,
                            const float *restrict rows, size_t stride, size_t n)
{
    float a[LANES] = {0}, b[LANES] = {0}, c[LANES] = {0}, d[LANES] = {0};
    for (size_t i = 0; i < n; i++, rows += stride) {
        const float *restrict second = rows + LANES, *restrict third = second + LANES,
                    *restrict fourth = third + LANES;
        for (size_t j = 0; j < LANES; j++) a[j] += rows[j] * weights[i];
        for (size_t j = 0; j < LANES; j++) b[j] += second[j] * weights[i];
        for (size_t j = 0; j < LANES; j++) c[j] += third[j] * weights[i];
        for (size_t j = 0; j < LANES; j++) d[j] += fourth[j] * weights[i];
    }
    memcpy(to, a, sizeof a);
    memcpy(to + LANES, b, sizeof b);
    memcpy(to + 2 * LANES, c, sizeof c);
    memcpy(to + 3 * LANES, d, sizeof d);
}

TINY_CLONES
void tiny_mix(float *restrict to, const float *restrict weights, const float *restrict rows,
              size_t stride, size_t n, size_t width)
{
    size_t j = 0;
    for (; j + 4 * LANES <= width; j += 4 * LANES)
        mix_some(to + j, weights, rows + j, stride, n);
    memset(to + j, 0, (width - j) * sizeof *to);
    for (size_t i = 0; i < n; i++)
        tiny_add_scaled(to + j, rows + i * stride + j, weights[i], width - j);
}

void tiny_rms_norm(float *to, const float *x, const float *weight, float epsilon, size_t n)
{
    float scale = 1.0f / sqrtf(tiny_dot(x, x, n) / (float)n + epsilon);
    for (size_t i = 0; i < n; i++)
        to[i] = x[i] * scale * weight[i];
}

/* e^x by range reduction and a polynomial, within 2 units of the last place. Own, because libm's
 * differs between machines and does not vectorise. Not a number counts as the lowest. */
static inline float exponential(float x)
{
    const float round = 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number */
    x = x > -87.0f ? x : -87.0f;
    x = x < 88.0f ? x : 88.0f;
    float whole = (x * 1.44269504f + round) - round;
    float r = (x - whole * 0.693359375f) - whole * -2.12194440e-4f;
    float p = 1.0f / 5040.0f;
    p = p * r + 1.0f / 720.0f;
    p = p * r + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    int32_t bits = ((int32_t)whole + 127) * (1 << 23);
    float power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

static inline float largest(const float *x, size_t n)
{
    float most[LANES];
    size_t i = 0;
    for (size_t j = 0; j < LANES; j++)
        most[j] = x[0];
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            most[j] = x[i + j] > most[j] ? x[i + j] : most[j];
    for (; i < n; i++)
        most[0] = x[i] > most[0] ? x[i] : most[0];
    for (size_t j = 1; j < LANES; j++)
        most[0] = most[j] > most[0] ? most[j] : most[0];
    return most[0];
}

static inline float sum_of(const float *x, size_t n)
{
    float sums[LANES] = {0}, rest = 0.0f;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            sums[j] += x[i + j];
    for (; i < n; i++)
        rest += x[i];
    return sum_of_lanes(sums) + rest;
}

TINY_CLONES
void tiny_softmax(float *x, size_t n)
{
    const float most = largest(x, n);
    for (size_t i = 0; i < n; i++)
        x[i] = exponential(x[i] - most);
    const float share = 1.0f / sum_of(x, n);
    for (size_t i = 0; i < n; i++)
        x[i] *= share;
}

TINY_CLONES
void tiny_swiglu(float *restrict gate, const float *restrict up, size_t n)
{
    for (size_t i = 0; i < n; i++)
        gate[i] = gate[i] / (1.0f + exponential(-gate[i])) * up[i];
}

void tiny_rope_angles(double position, double base, size_t n_pairs, float *cosines, float *sines)
{
    for (size_t i = 0; i < n_pairs; i++) {
        double angle = position * pow(base, -(double)i / (double)n_pairs);
        cosines[i] = (float)cos(angle);
        sines[i] = (float)sin(angle);
    }
}

void tiny_rope(float *head, const float *cosines, const float *sines, size_t n_pairs)
{
    for (size_t i = 0; i < n_pairs; i++) {
        float a = head[2 * i], b = head[2 * i + 1];
        head[2 * i] = a * cosines[i] - b * sines[i];
        head[2 * i + 1] = a * sines[i] + b * cosines[i];
    }
}
