#include "rng.h"

#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* By number: C libraries on boards are often older than their getrandom(). */
void rng_start(struct rng *random) {
    const char *fixed = getenv("RKLLM_CPU_SEED");
    uint64_t seed;
    if (fixed && *fixed) {
        seed = strtoull(fixed, NULL, 10);
    } else if (syscall(SYS_getrandom, &seed, sizeof seed, 0) != (long)sizeof seed) {
        seed = (uint64_t)time(NULL); /* no entropy is better than no answer */
    }
    rng_seed(random, seed);
}

void rng_seed(struct rng *random, uint64_t seed) {
    random->state = seed;
}

/* The splitmix64 sequence: an odd-step counter whose bits are mixed. */
double rng_next(struct rng *random) {
    uint64_t z = random->state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-53;
}
