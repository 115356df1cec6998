#include "math.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "clones.h"

/* Eight sums side by side: fixed whatever the vector width of the machine. */
enum { LANES = 8 };

TINY_CLONES
float tiny_dot(const float *a, const float *b, size_t n)
{
    float sums[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            sums[j] += a[i + j] * b[i + j];
    for (size_t j = 0; i < n; i++, j++)
        sums[j] += a[i] * b[i];
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) +
           ((sums[2] + sums[6]) + (sums[3] + sums[7]));
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

/* Four rows at a time, so that `to` is loaded and stored less often; added in their order. */
TINY_CLONES
void tiny_mix(float *restrict to, const float *restrict weights, const float *restrict rows,
              size_t stride, size_t n, size_t width)
{
    size_t i = 0;
    memset(to, 0, width * sizeof *to);
    for (; i + 4 <= n; i += 4) {
        const float *a = rows + i * stride, *b = a + stride, *c = b + stride, *d = c + stride;
        for (size_t j = 0; j < width; j++)
            to[j] = (((to[j] + weights[i] * a[j]) + weights[i + 1] * b[j]) +
                     weights[i + 2] * c[j]) + weights[i + 3] * d[j];
    }
    for (; i < n; i++)
        tiny_add_scaled(to, rows + i * stride, weights[i], width);
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

TINY_CLONES
void tiny_softmax(float *x, size_t n)
{
    float most = x[0], sum = 0.0f;
    for (size_t i = 1; i < n; i++)
        most = x[i] > most ? x[i] : most;
    for (size_t i = 0; i < n; i++)
        x[i] = exponential(x[i] - most);
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    for (size_t i = 0; i < n; i++)
        x[i] /= sum;
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
