#include "processors.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}

/* A share of processor time in whole processors, 0 where there is no limit (control groups v2). */
static int32_t time_share(void) {
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
    long quota = 0, period = 0;
    if (!file) return 0;
    int found = fscanf(file, "%ld %ld", &quota, &period); /* "max 100000" has no number first */
    fclose(file);
    if (found != 2 || quota <= 0 || period <= 0) return 0;
    long share = quota / period;
    return share < 1 ? 1 : share > INT32_MAX ? INT32_MAX : (int32_t)share;
}

static int32_t in_affinity(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    /* Fails on machines of more than 1,024 processors. */
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? n : 1;
}

int32_t processors_allowed(void) {
    int32_t n = in_affinity(), share = time_share();
    return share > 0 ? smaller(n, share) : n;
}

int32_t processors_in_environment(void) {
    const char *text = getenv("RKLLM_CPU_THREADS");
    long n = text ? strtol(text, NULL, 10) : 0;
    return n <= 0 ? 0 : smaller(n > INT32_MAX ? INT32_MAX : (int32_t)n, processors_allowed());
}

int32_t processors_to_use(int32_t wanted) {
    int32_t allowed = processors_allowed();
    int32_t spare = allowed < (int32_t)sysconf(_SC_NPROCESSORS_ONLN) ? 0 : 1;
    int32_t n = allowed > spare ? allowed - spare : 1;
    return wanted > 0 ? smaller(n, wanted) : n;
}
