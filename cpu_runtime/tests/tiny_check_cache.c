/* The KV cache: erasing, saving, loading. */
#include "tiny_check.h"

#include <stdlib.h>
#include <string.h>

static const engine *const tiny = &engine_tiny;

/* With one layer a key depends on its own token and position alone, so that what is left after an
 * erasure is exactly what the remaining tokens would have made. */
void check_erase_middle(engine_model *model, engine_model *other)
{
    int32_t tokens[LONG], kept[LONG];
    some_tokens(model, tokens, LONG, 3);
    memcpy(kept, tokens, 20 * sizeof *tokens);
    memcpy(kept + 20, tokens + 35, (LONG - 35) * sizeof *tokens);
    decode(model, tokens, LONG - 1, 0);
    CHECK(tiny->erase(model, 20, 35) == ENGINE_OK);
    CHECK(decode(model, &tokens[LONG - 1], 1, LONG - 16) == ENGINE_OK);
    decode(other, kept, LONG - 15, 0);
    CHECK(distance(tiny->logits(model), tiny->logits(other),
                   (size_t)tiny->facts(model)->n_vocab) < 1e-4f);
}

void check_erase(engine_model *model, engine_model *other)
{
    int32_t tokens[LONG];
    some_tokens(model, tokens, LONG, 3);
    decode(model, tokens, LONG, 0);
    CHECK(tiny->erase(model, 30, LONG + 1) == ENGINE_REFUSED);
    CHECK(tiny->erase(model, 31, 30) == ENGINE_REFUSED);
    CHECK(tiny->erase(model, 30, 30) == ENGINE_OK);
    CHECK(tiny->erase(model, 30, LONG) == ENGINE_OK);
    CHECK(decode(model, tokens, 2, 31) == ENGINE_REFUSED);
    CHECK(decode(model, tokens + 30, 10, 30) == ENGINE_OK);
    decode(other, tokens, 40, 0);
    CHECK(distance(tiny->logits(model), tiny->logits(other),
                   (size_t)tiny->facts(model)->n_vocab) < 1e-4f);
}

void check_state(engine_model *model, engine_model *other, engine_model *stranger)
{
    int32_t tokens[LONG];
    some_tokens(model, tokens, LONG, 7);
    decode(model, tokens, LONG, 0);
    size_t size = tiny->state_size(model, LONG);
    uint8_t *state = malloc(size);
    if (!state)
        exit(1);
    CHECK(tiny->state_save(model, LONG, state, size) == ENGINE_OK);
    decode(model, tokens, 1, LONG);
    float *expected = copy_logits(model);
    decode(other, tokens + 9, 5, 0);
    CHECK(tiny->state_load(other, LONG, state, size - 1) == ENGINE_REFUSED);
    CHECK(tiny->state_load(other, LONG - 1, state, size) == ENGINE_REFUSED);
    CHECK(tiny->state_load(other, CONTEXT + 1, state, size) == ENGINE_REFUSED);
    CHECK(tiny->state_load(stranger, LONG, state, size) == ENGINE_REFUSED);
    CHECK(tiny->state_load(other, LONG, state, size) == ENGINE_OK);
    CHECK(decode(other, tokens, 1, LONG) == ENGINE_OK);
    CHECK(logits_differ(other, expected) == 0.0f);
    state[0] ^= 1;
    CHECK(tiny->state_load(other, LONG, state, size) == ENGINE_REFUSED);
    free(expected);
    free(state);
}
