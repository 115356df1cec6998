#include "samples.h"

#include <stdio.h>
#include <stdlib.h>

#define MOST (1 << 20)

static float samples[MOST];
static long noted;

void sample(double microseconds) {
    samples[noted++ % MOST] = (float)microseconds;
}

long sampled(void) {
    return noted;
}

static int by_value(const void *left, const void *right) {
    float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

void print_samples(void) {
    size_t count = (size_t)(noted < MOST ? noted : MOST);
    qsort(samples, count, sizeof *samples, by_value);
    printf("\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f", (double)samples[count / 2],
           (double)samples[count * 99 / 100], (double)samples[count - 1]);
}
