#include "perf.h"

#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

double perf_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

void perf_start(struct perf_clock *clock) {
    *clock = (struct perf_clock){.started = perf_now_ms()};
}

void perf_prefilled(struct perf_clock *clock) {
    if (clock->prefilled <= 0) clock->prefilled = perf_now_ms();
}

static double memory_mb(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (double)usage.ru_maxrss / 1024 : 0;
}

struct perf_figures perf_read(const struct perf_clock *clock) {
    double now = perf_now_ms();
    double prefilled = clock->prefilled > 0 ? clock->prefilled : now;
    return (struct perf_figures){
        .prefill_ms = prefilled - clock->started,
        .generate_ms = now - prefilled,
        .memory_mb = memory_mb(),
        .prefill_tokens = clock->prefill_tokens,
        .generated_tokens = clock->generated_tokens,
    };
}

double perf_free_memory(void) {
    FILE *file = fopen("/proc/meminfo", "re");
    char line[128];
    double kb = -1;
    if (!file) return -1;
    while (kb < 0 && fgets(line, sizeof line, file)) sscanf(line, "MemAvailable: %lf kB", &kb);
    fclose(file);
    return kb < 0 ? -1 : kb * 1024;
}
