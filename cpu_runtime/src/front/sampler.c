#include "sampler.h"

#include <math.h>
#include <stdlib.h>

bool sampler_open(struct sampler *sampler, const struct sampling *how, size_t n_vocab,
                  struct rng *random) {
    *sampler = (struct sampler){.how = *how, .random = random, .n_vocab = n_vocab};
    sampler->surprise_limit = 2.0 * (double)how->mirostat_tau;
    sampler->pool = malloc(n_vocab * sizeof *sampler->pool);
    return sampler->pool != NULL;
}

void sampler_close(struct sampler *sampler) {
    free(sampler->pool);
    sampler->pool = NULL;
}

/* ---- Penalties ---- */

static size_t count(const int32_t *ids, size_t n, int32_t id) {
    size_t found = 0;
    for (size_t i = 0; i < n; i++) found += ids[i] == id;
    return found;
}

static float penalised(float score, size_t times, const struct sampling *how) {
    float repeat = how->repeat_penalty > 0 ? how->repeat_penalty : 1; /* 0: a zeroed structure */
    /* Dividing a negative score would make the token likelier. */
    score = score > 0 ? score / repeat : score * repeat;
    return score - (float)times * how->frequency_penalty - how->presence_penalty;
}

static void penalise(struct sampler *sampler, const int32_t *recent, size_t n) {
    for (size_t i = 0; i < n; i++) {
        bool seen_before = count(recent, i, recent[i]) > 0;
        if (recent[i] < 0 || (size_t)recent[i] >= sampler->n_vocab || seen_before) continue;
        struct candidate *it = &sampler->pool[recent[i]];
        it->score = penalised(it->score, count(recent, n, recent[i]), &sampler->how);
    }
}

/* ---- Ordering ---- */

/* Likelier first; equal scores by id, so that the order never depends on the sort. */
static int by_score(const void *left, const void *right) {
    const struct candidate *a = left, *b = right;
    if (a->score != b->score) return a->score < b->score ? 1 : -1;
    return (a->id > b->id) - (a->id < b->id);
}

/* Restore the heap below `at`: its root is the least likely of the n. */
static void sink(struct candidate *heap, size_t n, size_t at) {
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && by_score(&heap[child], &heap[child + 1]) < 0) child++;
        if (by_score(&heap[at], &heap[child]) >= 0) return;
        struct candidate swapped = heap[at];
        heap[at] = heap[child];
        heap[child] = swapped;
    }
}

/* Move the k likeliest to the front, in order. Far cheaper than sorting a whole vocabulary. */
static size_t keep_likeliest(struct candidate *pool, size_t n, size_t k) {
    if (k > n) k = n;
    for (size_t at = k / 2; at-- > 0;) sink(pool, k, at);
    for (size_t i = k; i < n; i++) {
        if (by_score(&pool[i], &pool[0]) >= 0) continue;
        pool[0] = pool[i];
        sink(pool, k, 0);
    }
    qsort(pool, k, sizeof *pool, by_score);
    return k;
}

/* ---- Probabilities ---- */

/* Logits, the largest first, to shares that add up to 1. */
static void softmax(struct candidate *pool, size_t n, float temperature) {
    double sum = 0;
    float top = pool[0].score;
    for (size_t i = 0; i < n; i++) {
        pool[i].score = (float)exp(((double)pool[i].score - (double)top) / (double)temperature);
        sum += (double)pool[i].score;
    }
    for (size_t i = 0; i < n; i++) pool[i].score = (float)((double)pool[i].score / sum);
}

/* How many of the likeliest it takes to reach the share; the pool holds logits and keeps them. */
static size_t top_p(const struct candidate *pool, size_t n, float share) {
    double sum = 0, reached = 0;
    for (size_t i = 0; i < n; i++) sum += exp((double)pool[i].score - (double)pool[0].score);
    for (size_t i = 0; i < n; i++) {
        reached += exp((double)pool[i].score - (double)pool[0].score);
        if (reached >= (double)share * sum) return i + 1;
    }
    return n;
}

static const struct candidate *draw(const struct candidate *pool, size_t n, struct rng *random) {
    double sum = 0, reached = 0;
    for (size_t i = 0; i < n; i++) sum += (double)pool[i].score;
    double target = rng_next(random) * sum;
    for (size_t i = 0; i + 1 < n; i++) {
        reached += (double)pool[i].score;
        if (target < reached) return &pool[i];
    }
    return &pool[n - 1];
}

/* ---- Mirostat: keep the surprise of the answer near tau bits per token ---- */

static double surprise(float share) {
    return share > 0 ? -log2((double)share) : 1e3;
}

/* Version 1 estimates how steeply the likelihood falls with the rank (Zipf's exponent, by least
 * squares over the first ranks) and derives from it how many ranks give the surprise aimed at. */
static size_t ranks_for_aim(const struct sampler *sampler) {
    enum { FITTED = 100 };
    double products = 0, squares = 0, n = (double)sampler->n_vocab;
    for (size_t i = 0; i + 1 < FITTED && i + 1 < sampler->n_vocab; i++) {
        if (sampler->pool[i + 1].score <= 0) break;
        double fall = log((double)sampler->pool[i].score / (double)sampler->pool[i + 1].score);
        double step = log((double)(i + 2) / (double)(i + 1));
        products += step * fall;
        squares += step * step;
    }
    double exponent = squares > 0 ? products / squares : 1;
    double excess = exponent - 1;
    if (fabs(excess) < 1e-9) excess = 1e-9;
    double bits = exp2(sampler->surprise_limit);
    double ranks = pow(excess * bits / (1 - pow(n, -excess)), 1 / exponent);
    if (!(ranks >= 1)) return 1; /* NaN too: a single token has all the weight */
    return ranks < n ? (size_t)ranks : sampler->n_vocab;
}

/* Version 2 drops every token that would surprise more than the running aim. */
static size_t within_aim(const struct sampler *sampler) {
    size_t n = 1;
    while (n < sampler->n_vocab &&
           surprise(sampler->pool[n].score) <= sampler->surprise_limit) {
        n++;
    }
    return n;
}

static int32_t pick_mirostat(struct sampler *sampler) {
    struct candidate *pool = sampler->pool;
    qsort(pool, sampler->n_vocab, sizeof *pool, by_score);
    softmax(pool, sampler->n_vocab, sampler->how.temperature);
    size_t n = sampler->how.mirostat == 1 ? ranks_for_aim(sampler) : within_aim(sampler);
    const struct candidate *chosen = draw(pool, n, sampler->random);
    double kept = 0;
    for (size_t i = 0; i < n; i++) kept += (double)pool[i].score;
    double error = surprise((float)((double)chosen->score / kept)) -
                   (double)sampler->how.mirostat_tau;
    sampler->surprise_limit -= (double)sampler->how.mirostat_eta * error;
    return chosen->id;
}

/* ---- Choosing ---- */

static int32_t likeliest(const struct candidate *pool, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++) {
        if (pool[i].score > pool[best].score) best = i;
    }
    return pool[best].id;
}

/* No order holds among NaNs and infinities; a damaged model must not make the sort run away. */
static float bounded(float score) {
    if (isfinite(score)) return score;
    return score > 0 ? 1e30f : -1e30f;
}

int32_t sampler_pick(struct sampler *sampler, const float *logits, const int32_t *recent,
                     size_t n_recent) {
    const struct sampling *how = &sampler->how;
    struct candidate *pool = sampler->pool;
    for (size_t i = 0; i < sampler->n_vocab; i++) {
        pool[i] = (struct candidate){bounded(logits[i]), (int32_t)i};
    }
    penalise(sampler, recent, n_recent);
    if (how->top_k == 1 || how->temperature <= 0) return likeliest(pool, sampler->n_vocab);
    if (how->mirostat) return pick_mirostat(sampler);
    size_t k = how->top_k > 0 ? (size_t)how->top_k : sampler->n_vocab;
    size_t n = keep_likeliest(pool, sampler->n_vocab, k);
    n = top_p(pool, n, how->top_p);
    softmax(pool, n, how->temperature);
    return draw(pool, n, sampler->random)->id;
}
