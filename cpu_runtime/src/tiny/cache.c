/* The KV cache: room, taking positions out, saving and loading. */
#include "model.h"

#include <stdlib.h>
#include <string.h>

static const char magic[8] = "tinykv1";

bool tiny_cache_make(tiny_cache *cache, const tiny_config *config, size_t n_ctx)
{
    size_t rows, floats;
    cache->n_ctx = n_ctx;
    if (!tiny_multiply(config->n_layers, n_ctx, &rows) ||
        !tiny_multiply(rows, config->kv_dim, &floats))
        return false;
    cache->keys = tiny_floats(floats);
    cache->values = tiny_floats(floats);
    cache->cosines = tiny_floats(n_ctx * config->rope_pairs);
    cache->sines = tiny_floats(n_ctx * config->rope_pairs);
    if (!cache->keys || !cache->values || !cache->cosines || !cache->sines)
        return false;
    for (size_t i = 0; i < n_ctx; i++)
        tiny_rope_angles((double)i, (double)config->rope_base, config->rope_pairs,
                         cache->cosines + i * config->rope_pairs,
                         cache->sines + i * config->rope_pairs);
    return true;
}

void tiny_cache_free(tiny_cache *cache)
{
    free(cache->keys);
    free(cache->values);
    free(cache->cosines);
    free(cache->sines);
    *cache = (tiny_cache){0};
}

/* A key carries its position as an angle; turning it back by the distance moves it down. */
static void turn_keys(const engine_model *model, float *keys, size_t n, size_t distance)
{
    const tiny_config *c = &model->config;
    const float *cosines = model->cache.cosines + distance * c->rope_pairs;
    float *back = model->scratch.q; /* n_embd values at least: room for the negative sines */
    for (size_t i = 0; i < c->rope_pairs; i++)
        back[i] = -model->cache.sines[distance * c->rope_pairs + i];
    for (size_t head = 0; head < n * c->n_kv_heads; head++)
        tiny_rope(keys + head * c->head_dim, cosines, back, c->rope_pairs);
}

bool tiny_cut(engine_model *model, size_t n)
{
    if (n > model->cache.n_used)
        return false;
    model->cache.n_used = n;
    return true;
}

int tiny_erase(engine_model *model, size_t from, size_t to)
{
    tiny_cache *cache = &model->cache;
    if (from > to || to > cache->n_used)
        return ENGINE_REFUSED;
    size_t n = cache->n_used - to, bytes = n * model->config.kv_dim * sizeof(float);
    for (size_t layer = 0; n && from < to && layer < model->config.n_layers; layer++) {
        float *keys = tiny_cache_row(cache->keys, model, layer, from);
        memmove(keys, tiny_cache_row(cache->keys, model, layer, to), bytes);
        memmove(tiny_cache_row(cache->values, model, layer, from),
                tiny_cache_row(cache->values, model, layer, to), bytes);
        turn_keys(model, keys, n, to - from);
    }
    cache->n_used -= to - from;
    return ENGINE_OK;
}

/* Before the rows: whose they are, and how many. */
typedef struct {
    char magic[8];
    uint64_t fingerprint, n_positions;
} state_head;

static state_head head_of(const engine_model *model, size_t n)
{
    state_head head = {.fingerprint = model->fingerprint, .n_positions = n};
    memcpy(head.magic, magic, sizeof head.magic);
    return head;
}

static size_t rows_bytes(const engine_model *model, size_t n)
{
    return n * model->config.kv_dim * sizeof(float);
}

size_t tiny_state_size(engine_model *model, size_t n)
{
    return sizeof(state_head) + 2 * model->config.n_layers * rows_bytes(model, n);
}

int tiny_state_save(engine_model *model, size_t n, uint8_t *to, size_t size)
{
    if (n > model->cache.n_used || size != tiny_state_size(model, n))
        return ENGINE_REFUSED;
    const size_t bytes = rows_bytes(model, n);
    state_head head = head_of(model, n);
    memcpy(to, &head, sizeof head);
    to += sizeof head;
    for (size_t layer = 0; layer < model->config.n_layers; layer++) {
        memcpy(to, tiny_cache_row(model->cache.keys, model, layer, 0), bytes);
        memcpy(to + bytes, tiny_cache_row(model->cache.values, model, layer, 0), bytes);
        to += 2 * bytes;
    }
    return ENGINE_OK;
}

int tiny_state_load(engine_model *model, size_t n, const uint8_t *from, size_t size)
{
    state_head head;
    if (n > model->cache.n_ctx || size != tiny_state_size(model, n))
        return ENGINE_REFUSED;
    const state_head expected = head_of(model, n);
    const size_t bytes = rows_bytes(model, n);
    memcpy(&head, from, sizeof head);
    if (memcmp(&head, &expected, sizeof head) != 0)
        return ENGINE_REFUSED;
    from += sizeof head;
    for (size_t layer = 0; layer < model->config.n_layers; layer++) {
        memcpy(tiny_cache_row(model->cache.keys, model, layer, 0), from, bytes);
        memcpy(tiny_cache_row(model->cache.values, model, layer, 0), from + bytes, bytes);
        from += 2 * bytes;
    }
    model->cache.n_used = n;
    return ENGINE_OK;
}
