/* Text to tokens and back. */
#include "tiny_check.h"

#include <stdlib.h>
#include <string.h>

static const engine *const tiny = &engine_tiny;

static bool comes_back(const engine_model *model, const char *text, size_t length)
{
    int32_t tokens[512];
    char joined[4096];
    size_t at = 0;
    int64_t n = tiny->tokenize(model, text, length, false, tokens, 512);
    for (int64_t i = 0; i < n; i++) {
        const char *bytes;
        size_t size = tiny->piece(model, tokens[i], false, &bytes);
        memcpy(joined + at, bytes, size);
        at += size;
    }
    size_t prefix = model->vocab.add_space_prefix && length ? 1 : 0;
    return at == length + prefix && memcmp(joined + prefix, text, length) == 0;
}

void check_text(const engine_model *model)
{
    static const char *const texts[] = {
        "", "and one test", "  two  spaces ", "\ttab\nline\r", "caf\xc3\xa9 \xe4\xbd\xa0\xe5\xa5\xbd",
        "\xf0\x9f\x98\x80", "<|end|> in the text", "half \xc3", "\xff\xfe\x80", "\xe2\x96\x41"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        CHECK(comes_back(model, texts[i], strlen(texts[i])));
    CHECK(comes_back(model, "a\0b", 3));
    int32_t tokens[64];
    int32_t eot = tiny->facts(model)->eot;
    const char *bytes;
    CHECK(tiny->tokenize(model, "<|end|>", 7, true, tokens, 64) == 1 && tokens[0] == eot);
    CHECK(tiny->tokenize(model, "<|end|>", 7, false, tokens, 64) > 1 && tokens[0] != eot);
    CHECK(tiny->tokenize(model, "<|end|><|en", 11, true, tokens, 1) > 1);
    CHECK(tiny->piece(model, eot, false, &bytes) == 0);
    CHECK(tiny->piece(model, eot, true, &bytes) == 7 && memcmp(bytes, "<|end|>", 7) == 0);
    CHECK(tiny->piece(model, -1, true, &bytes) == 0);
    CHECK(tiny->piece(model, tiny->facts(model)->n_vocab, true, &bytes) == 0);
}

/* A prompt of a megabyte must not take more than moments: merging is not quadratic. */
void check_long_text(const engine_model *model)
{
    enum { SIZE = 1 << 20 };
    char *text = malloc(SIZE);
    if (!text)
        exit(1);
    for (size_t i = 0; i < SIZE; i++)
        text[i] = "aaan at to "[i % 11];
    CHECK(tiny->tokenize(model, text, SIZE, true, NULL, 0) > SIZE / 20);
    memset(text, 'a', SIZE);
    CHECK(tiny->tokenize(model, text, SIZE, true, NULL, 0) > 0);
    memset(text, '<', SIZE);
    CHECK(tiny->tokenize(model, text, SIZE, true, NULL, 0) > 0);
    free(text);
}

/* The generated vocabulary's merges, worked out by hand. */
void check_merges(const engine_model *model)
{
    static const char *const words[] = {"\u2581", "t", "est", "\u2581and", "\u2581"};
    int32_t tokens[8];
    CHECK(tiny->tokenize(model, "test and ", 9, false, tokens, 8) == 5);
    for (size_t i = 0; i < 5; i++) {
        tiny_text text = model->vocab.tokens[tokens[i]].text;
        CHECK(tiny_text_is(text, words[i]));
    }
    CHECK(tiny->tokenize(model, "[pad here]", 10, false, tokens, 8) == 1);
}
