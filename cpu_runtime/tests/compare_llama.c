/* The engine tiny beside llama.cpp: compare_llama MODEL, with F32 weights. Neither knows anything of
 * the other's code, so that where they agree both are right. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

enum { CONTEXT = 512, MOST_TOKENS = 128 };
static const double MOST_DIFFERENCE = 0.02;

static const char *const TEXTS[] = {
    "", " ", "   ", "a", "Hello", "Hello, world!", "  leading spaces", "trailing spaces  ",
    "two  spaces   and more", "a\tb\t\tc", "line one\nline two\n", "line one\r\nline two\r\n",
    "\n\n\n", "What is a list?", "A list is a mutable sequence of objects.",
    "def f(x):\n    return x + 1\n", "if a == b and not c: print('yes')", "3.14159 and 1,000,000",
    "0123456789", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "na\xc3\xafve caf\xc3\xa9",
    "\xc3\x9c\x62\x65r Stra\xc3\x9f\x65n", "\xe4\xbd\xa0\xe5\xa5\xbd\xef\xbc\x8c\xe4\xb8\x96\xe7\x95\x8c",
    "\xf0\x9f\x98\x80", "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb works",
    "\xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd8\xa7", "e\xcc\x81 is two characters",
    "\xe2\x96\x81 is the mark of a space", "no\xc2\xa0\x62reak", "<|user|>", "<|user|>Hello<|end|>",
    "text <|assistant|> amid", "<|user", "<|end|><|end|>", "<0x41>", "<s>", "</s> end", "<unk>",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "antidisestablishmentarianism",
    "The quick brown fox jumps over the lazy dog.", "import sys; sys.exit(0)",
};
enum { N_TEXTS = sizeof TEXTS / sizeof *TEXTS };

static int n_failed;

static void check(bool good, const char *what, const char *detail) {
    if (good) return;
    n_failed++;
    printf("FAILED: %s: %s\n", what, detail);
}

static engine_model *open_with(const engine *with, const char *path) {
    const engine_options options = {.n_ctx = CONTEXT, .threads = 1};
    engine_model *model;
    engine_error error = {""};
    if (with->open(path, &options, &model, &error) == ENGINE_OK) return model;
    printf("%s cannot open %s: %s\n", with->name, path, error.text);
    exit(1);
}

typedef struct {
    engine_model *tiny, *llama;
} pair;

/* ---- Tokens ---- */

static size_t compare_tokens(const pair *of, const char *text, bool special, int32_t *tokens) {
    int32_t other[MOST_TOKENS];
    size_t length = strlen(text);
    int64_t n = engine_tiny.tokenize(of->tiny, text, length, special, tokens, MOST_TOKENS);
    int64_t m = engine_llama.tokenize(of->llama, text, length, special, other, MOST_TOKENS);
    bool equal = n == m && n >= 0 && n <= MOST_TOKENS &&
                 memcmp(tokens, other, (size_t)n * sizeof *tokens) == 0;
    check(equal, special ? "tokens, control tokens included" : "tokens", text);
    return equal ? (size_t)n : 0;
}

static void compare_pieces(const pair *of) {
    int32_t n = engine_tiny.facts(of->tiny)->n_vocab;
    check(n == engine_llama.facts(of->llama)->n_vocab, "size of the vocabulary", "");
    for (int32_t i = 0; i < 2 * n; i++) {
        const char *a, *b;
        char id[32];
        size_t length = engine_tiny.piece(of->tiny, i / 2, i % 2, &a);
        size_t other = engine_llama.piece(of->llama, i / 2, i % 2, &b);
        snprintf(id, sizeof id, "token %d", (int)(i / 2));
        check(length == other && memcmp(a, b, length) == 0, "piece", id);
    }
}

/* ---- Numbers ---- */

static size_t likeliest(const float *row, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++) best = row[i] > row[best] ? i : best;
    return best;
}

static double difference(const float *a, const float *b, size_t n) {
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        most = d > most || isnan(d) ? d : most;
    }
    return most;
}

static void decode(const pair *of, const int32_t *tokens, size_t n, engine_rows rows) {
    engine_error error = {""};
    int code = engine_tiny.decode(of->tiny, tokens, NULL, n, 0, rows, NULL, &error);
    if (code == ENGINE_OK) {
        code = engine_llama.decode(of->llama, tokens, NULL, n, 0, rows, NULL, &error);
    }
    check(code == ENGINE_OK, "decode", error.text);
}

static void compare_rows(const pair *of, const int32_t *tokens, size_t n) {
    const engine_facts *facts = engine_tiny.facts(of->tiny);
    size_t width = (size_t)facts->n_vocab;
    size_t n_equal = 0;
    decode(of, tokens, n, ROWS_LOGITS);
    const float *a = engine_tiny.logits(of->tiny), *b = engine_llama.logits(of->llama);
    double logits = difference(a, b, n * width);
    for (size_t i = 0; i < n; i++) {
        n_equal += likeliest(a + i * width, width) == likeliest(b + i * width, width);
    }
    decode(of, tokens, n, ROWS_HIDDEN);
    double hidden = difference(engine_tiny.hidden(of->tiny), engine_llama.hidden(of->llama),
                               n * (size_t)facts->n_embd);
    printf("%zu positions: logits differ by %.4f at most, hidden states by %.4f, %zu of the likeliest "
           "tokens are equal\n", n, logits, hidden, n_equal);
    check(logits < MOST_DIFFERENCE, "logits", "");
    check(hidden < MOST_DIFFERENCE, "hidden states", "");
    check(n_equal == n, "the likeliest tokens", "");
}

int main(int argc, char **argv) {
    int32_t all[CONTEXT], tokens[MOST_TOKENS];
    size_t n = 0;
    if (argc != 2) return 2;
    pair of = {open_with(&engine_tiny, argv[1]), open_with(&engine_llama, argv[1])};
    all[n++] = engine_tiny.facts(of.tiny)->bos;
    for (size_t i = 0; i < 2 * N_TEXTS; i++) {
        size_t found = compare_tokens(&of, TEXTS[i / 2], i % 2, tokens);
        if (n + found > CONTEXT || i % 2) continue;
        memcpy(all + n, tokens, found * sizeof *tokens);
        n += found;
    }
    compare_pieces(&of);
    compare_rows(&of, all, n);
    engine_tiny.close(of.tiny);
    engine_llama.close(of.llama);
    printf("compare_llama: %d texts, %d failed\n", 2 * N_TEXTS, n_failed);
    return n_failed > 0;
}
