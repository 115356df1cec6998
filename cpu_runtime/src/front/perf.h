/* What a run cost. */
#ifndef RKLLM_CPU_PERF_H
#define RKLLM_CPU_PERF_H

#include <stdint.h>

struct perf_clock {
    double started, prefilled; /* ms; prefilled is 0 until the first token */
    int32_t prefill_tokens, generated_tokens;
};

struct perf_figures {
    double prefill_ms, generate_ms, memory_mb;
    int32_t prefill_tokens, generated_tokens;
};

double perf_now_ms(void); /* since some fixed moment */

void perf_start(struct perf_clock *clock);
void perf_prefilled(struct perf_clock *clock); /* only the first call of a run counts */
struct perf_figures perf_read(const struct perf_clock *clock);

/* Bytes of memory that can be had without swapping; -1 where the system does not say. */
double perf_free_memory(void);

#endif
