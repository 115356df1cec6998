/* Evaluates tokens: batch by batch through the layers, then the rows that are wanted. */
#include "model.h"

#include <stdlib.h>
#include <string.h>

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int check(const engine_model *model, const int32_t *tokens, const float *embeddings,
                 size_t n, size_t position, engine_error *error)
{
    const tiny_cache *cache = &model->cache;
    if (!n || n > cache->n_ctx || position > cache->n_ctx - n)
        return tiny_refuse(error, "%zu tokens at position %zu do not fit a context of %zu", n,
                           position, cache->n_ctx);
    if (position > cache->n_used)
        return tiny_refuse(error, "position %zu leaves a gap after the %zu in the cache", position,
                           cache->n_used);
    for (size_t i = 0; !embeddings && i < n; i++)
        if (tokens[i] < 0 || (size_t)tokens[i] >= model->config.n_vocab)
            return tiny_refuse(error, "the vocabulary has no token %d", (int)tokens[i]);
    return ENGINE_OK;
}

static int make_room(engine_model *model, size_t n_rows, engine_error *error)
{
    const tiny_config *c = &model->config;
    size_t hidden, logits;
    if (n_rows <= model->room_rows)
        return ENGINE_OK;
    free(model->hidden);
    free(model->logits);
    model->hidden = model->logits = NULL;
    model->room_rows = 0;
    if (tiny_multiply(n_rows, c->n_embd, &hidden) && tiny_multiply(n_rows, c->n_vocab, &logits)) {
        model->hidden = tiny_floats(hidden);
        model->logits = tiny_floats(logits);
    }
    if (!model->hidden || !model->logits)
        return tiny_refuse(error, "there is not enough memory for the logits of %zu tokens",
                           n_rows);
    model->room_rows = n_rows;
    return ENGINE_OK;
}

static void embed(engine_model *model, const int32_t *tokens, const float *embeddings, size_t n)
{
    const size_t width = model->config.n_embd;
    if (embeddings) {
        memcpy(model->scratch.x, embeddings, n * width * sizeof(float));
        return;
    }
    for (size_t i = 0; i < n; i++)
        tiny_matrix_get_row(&model->weights.embeddings, (size_t)tokens[i],
                            model->scratch.x + i * width);
}

/* Final norm and logits of n vectors of the batch, into the rows from `row` on. */
static void finish(engine_model *model, size_t first, size_t n, size_t row)
{
    const tiny_config *c = &model->config;
    float *hidden = model->hidden + row * c->n_embd;
    for (size_t i = 0; i < n; i++)
        tiny_rms_norm(hidden + i * c->n_embd, model->scratch.x + (first + i) * c->n_embd,
                      model->weights.output_norm, c->epsilon, c->n_embd);
    tiny_project(model, model->weights.n_slots - 1, hidden, n, model->logits + row * c->n_vocab);
}

static bool run_layers(engine_model *model, size_t n, size_t position, const atomic_bool *stop)
{
    for (size_t layer = 0; layer < model->config.n_layers; layer++) {
        if (stop && atomic_load_explicit(stop, memory_order_relaxed))
            return false;
        tiny_layer(model, layer, n, position);
    }
    return true;
}

int tiny_decode(engine_model *model, const int32_t *tokens, const float *embeddings, size_t n,
                size_t position, engine_rows rows, const atomic_bool *stop, engine_error *error)
{
    const bool want_all = rows != ROWS_LAST;
    const size_t n_rows = want_all ? n : 1;
    model->n_rows = 0;
    if (check(model, tokens, embeddings, n, position, error) || make_room(model, n_rows, error))
        return ENGINE_REFUSED;
    model->cache.n_used = position;
    for (size_t done = 0, batch; done < n; done += batch) {
        batch = smaller(TINY_BATCH, n - done);
        embed(model, embeddings ? NULL : tokens + done,
              embeddings ? embeddings + done * model->config.n_embd : NULL, batch);
        if (!run_layers(model, batch, position + done, stop))
            return ENGINE_ABORTED;
        model->cache.n_used += batch;
        if (want_all)
            finish(model, 0, batch, done);
        else if (done + batch == n)
            finish(model, batch - 1, 1, 0);
    }
    model->n_rows = n_rows;
    return ENGINE_OK;
}
