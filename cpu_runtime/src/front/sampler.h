/* From logits to a token. */
#ifndef RKLLM_CPU_SAMPLER_H
#define RKLLM_CPU_SAMPLER_H

#include "rng.h"
#include "settings.h"

/* How many of the latest tokens the penalties look at. */
enum { PENALTY_WINDOW = 64 };

struct candidate {
    float score; /* a logit; later a share of the whole */
    int32_t id;
};

struct sampler {
    struct sampling how;
    struct rng *random;
    double surprise_limit; /* mirostat's running aim, in bits */
    struct candidate *pool;       /* one per token of the vocabulary */
    size_t n_vocab;
};

bool sampler_open(struct sampler *sampler, const struct sampling *how, size_t n_vocab,
                  struct rng *random);
void sampler_close(struct sampler *sampler);

/* Choose a token. `recent` are the tokens to penalise, oldest first; ids below 0 are skipped. */
int32_t sampler_pick(struct sampler *sampler, const float *logits, const int32_t *recent,
                     size_t n_recent);

#endif
