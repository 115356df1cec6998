/* One layer of the Llama architecture over a batch of vectors. */
#include "model.h"

#include <math.h>
#include <stdlib.h>

bool tiny_scratch_make(tiny_scratch *scratch, const tiny_config *config,
                       const engine_options *options)
{
    const size_t n_scores = (size_t)options->n_ctx * (size_t)options->threads;
    const size_t embd = TINY_BATCH * config->n_embd, ff = TINY_BATCH * config->n_ff;
    scratch->x = tiny_floats(embd);
    scratch->normed = tiny_floats(embd);
    scratch->q = tiny_floats(embd);
    scratch->mixed = tiny_floats(embd);
    scratch->gate = tiny_floats(ff);
    scratch->up = tiny_floats(ff);
    scratch->interleaved = tiny_floats(embd > ff ? embd : ff);
    scratch->scores = tiny_floats(n_scores);
    return scratch->x && scratch->normed && scratch->q && scratch->mixed && scratch->gate &&
           scratch->up && scratch->interleaved && scratch->scores;
}

void tiny_scratch_free(tiny_scratch *scratch)
{
    free(scratch->x);
    free(scratch->normed);
    free(scratch->q);
    free(scratch->mixed);
    free(scratch->gate);
    free(scratch->up);
    free(scratch->interleaved);
    free(scratch->scores);
    free(scratch->low_rank);
    free(scratch->delta);
    *scratch = (tiny_scratch){0};
}

static void add_adapter(engine_model *model, const tiny_adapter_pair *pair, const float *x,
                        size_t n, float *y)
{
    tiny_scratch *s = &model->scratch;
    tiny_multiply_rows(&pair->a, x, n, s->low_rank, s->interleaved, model->pool);
    tiny_multiply_rows(&pair->b, s->low_rank, n, s->delta, s->interleaved, model->pool);
    tiny_add_scaled(y, s->delta, pair->scale, n * pair->b.n_out);
}

void tiny_project(engine_model *model, size_t slot, const float *x, size_t n, float *y)
{
    tiny_multiply_rows(&model->weights.matrices[slot], x, n, y, model->scratch.interleaved,
                       model->pool);
    if (model->adapter >= 0) {
        const tiny_adapter_pair *pair = &model->adapters[model->adapter].pairs[slot];
        if (pair->a.n_out)
            add_adapter(model, pair, x, n, y);
    }
}

static void normalise(const engine_model *model, const float *weight, size_t n)
{
    const size_t width = model->config.n_embd;
    for (size_t i = 0; i < n; i++)
        tiny_rms_norm(model->scratch.normed + i * width, model->scratch.x + i * width, weight,
                      model->config.epsilon, width);
}

static void turn(const engine_model *model, float *vectors, size_t n_heads, size_t n,
                 size_t position)
{
    const tiny_config *c = &model->config;
    for (size_t i = 0; i < n; i++) {
        const size_t angle = (position + i) * c->rope_pairs;
        for (size_t head = 0; head < n_heads; head++)
            tiny_rope(vectors + (i * n_heads + head) * c->head_dim, model->cache.cosines + angle,
                      model->cache.sines + angle, c->rope_pairs);
    }
}

/* What one head at one position makes of the n_seen positions up to its own. */
static void attend_head(const tiny_config *c, const float *query, const float *keys,
                        const float *values, size_t n_seen, float *scores, float *mixed)
{
    const float scale = 1.0f / sqrtf((float)c->head_dim);
    tiny_scores(scores, query, keys, c->kv_dim, n_seen, c->head_dim, scale);
    tiny_softmax(scores, n_seen);
    tiny_mix(mixed, scores, values, c->kv_dim, n_seen, c->head_dim);
}

/* Attention of a batch, for the threads that share it. */
typedef struct {
    const engine_model *model;
    size_t layer, position;
} heads;

static void some_heads(const void *work, size_t first, size_t end, size_t thread)
{
    const heads *of = work;
    const engine_model *model = of->model;
    const tiny_config *c = &model->config;
    const float *keys = tiny_cache_row(model->cache.keys, model, of->layer, 0);
    const float *values = tiny_cache_row(model->cache.values, model, of->layer, 0);
    float *scores = model->scratch.scores + thread * model->cache.n_ctx;
    for (size_t unit = first; unit < end; unit++) {
        const size_t i = unit / c->n_heads, head = unit % c->n_heads;
        const size_t own = i * c->n_embd + head * c->head_dim;
        const size_t shared = head / (c->n_heads / c->n_kv_heads) * c->head_dim;
        attend_head(c, model->scratch.q + own, keys + shared, values + shared,
                    of->position + i + 1, scores, model->scratch.mixed + own);
    }
}

static void attend(engine_model *model, size_t layer, size_t n, size_t position)
{
    const heads all = {.model = model, .layer = layer, .position = position};
    const size_t cost = 2 * (position + n) * model->config.head_dim;
    tiny_pool_do(model->pool, n * model->config.n_heads, cost, some_heads, &all);
}

static void attention(engine_model *model, size_t layer, size_t n, size_t position)
{
    const tiny_config *c = &model->config;
    const size_t first = layer * SLOTS_PER_LAYER;
    tiny_scratch *s = &model->scratch;
    float *keys = tiny_cache_row(model->cache.keys, model, layer, position);
    float *values = tiny_cache_row(model->cache.values, model, layer, position);
    normalise(model, model->weights.attn_norms + layer * c->n_embd, n);
    tiny_project(model, first + SLOT_Q, s->normed, n, s->q);
    tiny_project(model, first + SLOT_K, s->normed, n, keys);
    tiny_project(model, first + SLOT_V, s->normed, n, values);
    turn(model, s->q, c->n_heads, n, position);
    turn(model, keys, c->n_kv_heads, n, position);
    attend(model, layer, n, position);
    tiny_project(model, first + SLOT_ATTN_OUT, s->mixed, n, s->normed);
    tiny_add(s->x, s->normed, n * c->n_embd);
}

static void feed_forward(engine_model *model, size_t layer, size_t n)
{
    const tiny_config *c = &model->config;
    const size_t first = layer * SLOTS_PER_LAYER;
    tiny_scratch *s = &model->scratch;
    normalise(model, model->weights.ffn_norms + layer * c->n_embd, n);
    tiny_project(model, first + SLOT_GATE, s->normed, n, s->gate);
    tiny_project(model, first + SLOT_UP, s->normed, n, s->up);
    tiny_swiglu(s->gate, s->up, n * c->n_ff);
    tiny_project(model, first + SLOT_DOWN, s->gate, n, s->normed);
    tiny_add(s->x, s->normed, n * c->n_embd);
}

void tiny_layer(engine_model *model, size_t layer, size_t n, size_t position)
{
    attention(model, layer, n, position);
    feed_forward(model, layer, n);
}
