/* A lock, and a way to sleep on it until something changed or a moment has come. */
#ifndef RKLLM_CPU_WAIT_H
#define RKLLM_CPU_WAIT_H

#include <pthread.h>
#include <stdbool.h>

struct wait {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* on the clock of perf_now_ms, which nobody sets back */
};

void wait_open(struct wait *wait);
void wait_close(struct wait *wait);

/* With the lock held: sleep until `changed` is signalled (true, perhaps for no reason) or
 * perf_now_ms() has passed `until_ms` (false). */
bool wait_until(struct wait *wait, double until_ms);

#endif
