/* A small random number generator, one per model, so that a seed fixes what a model says. */
#ifndef RKLLM_CPU_RNG_H
#define RKLLM_CPU_RNG_H

#include <stdint.h>

struct rng {
    uint64_t state;
};

/* Seed from RKLLM_CPU_SEED where it is set, else from the kernel. */
void rng_start(struct rng *random);
void rng_seed(struct rng *random, uint64_t seed);

/* Evenly distributed over 0 <= x < 1. */
double rng_next(struct rng *random);

#endif
