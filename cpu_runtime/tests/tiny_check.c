/* Checks of the tiny engine, without a test framework: prints what fails, exits with 1 if any did.
 *
 *     python make_tiny_gguf.py model.gguf
 *     python make_tiny_gguf.py one.gguf --layers 1
 *     python make_tiny_gguf.py adapter.gguf --adapter
 *     cc -std=c11 -D_GNU_SOURCE -O2 -ffp-contract=off -I../src tiny_check*.c ../src/tiny_*.c -lm \
 *         -o tiny_check
 *     ./tiny_check one.gguf adapter.gguf model.gguf [other-model.gguf ...]
 *
 * The adapter is for the first model after it. Add -g -fsanitize=address,undefined for more.
 */
#include "tiny_check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *current;
static int n_checks, n_failed;
static const engine *const tiny = &engine_tiny;

void check(bool good, const char *what, const char *model)
{
    n_checks++;
    if (good)
        return;
    n_failed++;
    printf("FAILED: %s (%s)\n", what, model);
}

static engine_model *open_or_die(const char *path)
{
    const engine_options options = {.n_ctx = CONTEXT, .threads = 1};
    engine_model *model;
    engine_error error = {{0}};
    if (tiny->open(path, &options, &model, &error) != ENGINE_OK) {
        printf("FAILED: %s does not open: %s\n", path, error.text);
        exit(1);
    }
    return model;
}

void some_tokens(const engine_model *model, int32_t *tokens, size_t n, int32_t seed)
{
    for (size_t i = 0; i < n; i++)
        tokens[i] = (seed + (int32_t)i * 37) % tiny->facts(model)->n_vocab;
}

int decode(engine_model *model, const int32_t *tokens, size_t n, size_t position)
{
    return tiny->decode(model, tokens, NULL, n, position, ROWS_LAST, NULL, NULL);
}

float distance(const float *a, const float *b, size_t n)
{
    float most = 0.0f;
    for (size_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(a[i] - b[i]));
    return most;
}

float *copy_logits(const engine_model *model)
{
    size_t bytes = (size_t)tiny->facts(model)->n_vocab * sizeof(float);
    float *copy = malloc(bytes);
    if (!copy)
        exit(1);
    return memcpy(copy, tiny->logits(model), bytes);
}

float logits_differ(const engine_model *model, const float *expected)
{
    return distance(tiny->logits(model), expected, (size_t)tiny->facts(model)->n_vocab);
}

static void check_model(const char *path, engine_model *stranger)
{
    engine_model *model = open_or_die(path), *other = open_or_die(path);
    check_text(model);
    check_long_text(model);
    check_determinism(model, other);
    check_batches(model, other);
    check_embeddings(model);
    check_limits(model);
    check_stop(model);
    check_erase(model, other);
    check_state(model, other, stranger);
    tiny->close(model);
    tiny->close(other);
}

int main(int count, char **arguments)
{
    if (count < 4) {
        fprintf(stderr, "usage: %s one-layer.gguf adapter.gguf model.gguf ...\n", arguments[0]);
        return 2;
    }
    const char *adapter = arguments[2], *first = arguments[3];
    engine_model *one = open_or_die(current = arguments[1]), *other = open_or_die(current);
    check_matrices();
    check_merges(one);
    check_erase_middle(one, other);
    for (int i = 3; i < count; i++)
        check_model(current = arguments[i], one);
    engine_model *model = open_or_die(current = first);
    check_lora(model, first, adapter);
    check_refusals(first, adapter);
    tiny->close(model);
    tiny->close(one);
    tiny->close(other);
    printf("%d checks, %d failed\n", n_checks, n_failed);
    return n_failed ? 1 : 0;
}
