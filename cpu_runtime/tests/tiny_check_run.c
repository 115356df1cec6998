/* Evaluation, and adapters. */
#include "tiny_check.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const engine *const tiny = &engine_tiny;

static void generate(engine_model *model, int32_t *out, size_t n)
{
    int32_t token = tiny->facts(model)->bos;
    for (size_t i = 0; i < n; i++) {
        CHECK(decode(model, &token, 1, i) == ENGINE_OK);
        const float *logits = tiny->logits(model);
        token = 0;
        for (int32_t id = 1; id < tiny->facts(model)->n_vocab; id++)
            token = logits[id] > logits[token] ? id : token;
        out[i] = token;
    }
}

void check_determinism(engine_model *model, engine_model *other)
{
    int32_t first[40], second[40], third[40];
    generate(model, first, 40);
    generate(model, second, 40);
    generate(other, third, 40);
    CHECK(memcmp(first, second, sizeof first) == 0);
    CHECK(memcmp(first, third, sizeof first) == 0);
}

void check_batches(engine_model *model, engine_model *other)
{
    const size_t n_vocab = (size_t)tiny->facts(model)->n_vocab;
    const size_t n_embd = (size_t)tiny->facts(model)->n_embd;
    int32_t tokens[LONG];
    some_tokens(model, tokens, LONG, 5);
    CHECK(tiny->decode(model, tokens, NULL, LONG, 0, ROWS_LOGITS, NULL, NULL) == ENGINE_OK);
    for (size_t i = 0; i < LONG; i++) {
        CHECK(decode(other, &tokens[i], 1, i) == ENGINE_OK);
        CHECK(distance(tiny->logits(other), tiny->logits(model) + i * n_vocab, n_vocab) < 1e-4f);
        CHECK(distance(tiny->hidden(other), tiny->hidden(model) + i * n_embd, n_embd) < 1e-4f);
    }
    float *last = copy_logits(other);
    CHECK(decode(model, tokens + 40, LONG - 40, 40) == ENGINE_OK);
    CHECK(logits_differ(model, last) < 1e-4f);
    free(last);
}

void check_embeddings(engine_model *model)
{
    const size_t n_embd = (size_t)tiny->facts(model)->n_embd;
    int32_t tokens[LONG];
    float *rows = malloc(LONG * n_embd * sizeof *rows);
    if (!rows)
        exit(1);
    some_tokens(model, tokens, LONG, 11);
    for (size_t i = 0; i < LONG; i++)
        tiny_matrix_get_row(&model->weights.embeddings, (size_t)tokens[i], rows + i * n_embd);
    CHECK(decode(model, tokens, LONG, 0) == ENGINE_OK);
    float *expected = copy_logits(model);
    CHECK(tiny->decode(model, NULL, rows, LONG, 0, ROWS_LAST, NULL, NULL) == ENGINE_OK);
    CHECK(logits_differ(model, expected) == 0.0f);
    rows[0] = NAN; /* whatever comes of these, it must come without a fault */
    rows[n_embd] = INFINITY;
    rows[2 * n_embd] = FLT_MAX;
    CHECK(tiny->decode(model, NULL, rows, LONG, 0, ROWS_LOGITS, NULL, NULL) == ENGINE_OK);
    CHECK(decode(model, tokens, LONG, 0) == ENGINE_OK);
    CHECK(logits_differ(model, expected) == 0.0f);
    free(expected);
    free(rows);
}

void check_limits(engine_model *model)
{
    int32_t tokens[CONTEXT + 1] = {0}, wrong = tiny->facts(model)->n_vocab;
    CHECK(decode(model, tokens, CONTEXT, 0) == ENGINE_OK);
    CHECK(decode(model, tokens, CONTEXT + 1, 0) == ENGINE_REFUSED);
    CHECK(decode(model, tokens, 1, CONTEXT) == ENGINE_REFUSED);
    CHECK(decode(model, tokens, 0, 0) == ENGINE_REFUSED);
    CHECK(decode(model, &wrong, 1, 0) == ENGINE_REFUSED);
    CHECK(tiny->logits(model) == NULL);
    CHECK(decode(model, tokens, 4, 0) == ENGINE_OK);
    CHECK(decode(model, tokens, 1, 5) == ENGINE_REFUSED);
}

void check_stop(engine_model *model)
{
    atomic_bool stop = true;
    int32_t tokens[LONG];
    some_tokens(model, tokens, LONG, 1);
    CHECK(tiny->decode(model, tokens, NULL, LONG, 0, ROWS_LAST, &stop, NULL) == ENGINE_ABORTED);
    CHECK(tiny->logits(model) == NULL && tiny->hidden(model) == NULL);
    atomic_store(&stop, false);
    CHECK(tiny->decode(model, tokens, NULL, LONG, 0, ROWS_LAST, &stop, NULL) == ENGINE_OK);
}

void check_lora(engine_model *model, const char *model_path, const char *adapter)
{
    int32_t tokens[LONG];
    engine_error error = {{0}};
    some_tokens(model, tokens, LONG, 2);
    decode(model, tokens, LONG, 0);
    float *plain = copy_logits(model);
    CHECK(tiny->lora_use(model, 0) == ENGINE_REFUSED);
    CHECK(tiny->lora_load(model, model_path, 1.0f, &error) == ENGINE_REFUSED && error.text[0]);
    CHECK(tiny->lora_load(model, adapter, NAN, &error) == ENGINE_REFUSED);
    CHECK(tiny->lora_load(model, adapter, 1.0f, &error) == 0);
    CHECK(tiny->lora_load(model, adapter, 0.0f, &error) == 1);
    decode(model, tokens, LONG, 0);
    CHECK(logits_differ(model, plain) == 0.0f);
    CHECK(tiny->lora_use(model, 0) == ENGINE_OK);
    decode(model, tokens, LONG, 0);
    CHECK(logits_differ(model, plain) > 1e-2f);
    CHECK(tiny->lora_use(model, 1) == ENGINE_OK);
    decode(model, tokens, LONG, 0);
    CHECK(logits_differ(model, plain) == 0.0f);
    CHECK(tiny->lora_use(model, 2) == ENGINE_REFUSED);
    CHECK(tiny->lora_use(model, -1) == ENGINE_OK);
    free(plain);
}
