#include "wait.h"

#include <time.h>

#include "perf.h"

void wait_open(struct wait *wait) {
    pthread_condattr_t attributes;
    pthread_mutex_init(&wait->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&wait->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

void wait_close(struct wait *wait) {
    pthread_cond_destroy(&wait->changed);
    pthread_mutex_destroy(&wait->lock);
}

bool wait_until(struct wait *wait, double until_ms) {
    if (perf_now_ms() >= until_ms) return false;
    double seconds = until_ms / 1e3;
    struct timespec until = {.tv_sec = (time_t)seconds};
    until.tv_nsec = (long)((seconds - (double)until.tv_sec) * 1e9);
    pthread_cond_timedwait(&wait->changed, &wait->lock, &until);
    return true;
}
