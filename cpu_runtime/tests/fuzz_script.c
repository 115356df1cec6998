/* Damages scripts in many ways: each must be parsed, or refused with a reason, and leave nothing.
 *
 *     fuzz_script SEED COUNT
 *
 * Variant i depends on SEED + i alone. With -DLIBFUZZER and -fsanitize=fuzzer it is libFuzzer's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/rng.h"
#include "scripted/script.h"

static const char SEED_SCRIPT[] =
    "#!rkllm-script 1\n# everything there is\ncontext 100\nvocab 10\nembd 8\nname \"n\"\n"
    "template user \"<u>\" \"<e>\"\ntemplate tool \"a\" \"b\"\ntemplate system \"a\" \"b\"\n"
    "init delay 1\ninit wait \"f\"\ninit print \"x\"\ninit fail \"why\"\ninit null\ninit hang\n"
    "init segv\ninit abort\ninit exit 3\nrun mode logits when \"x\"\n logits 2 10\n nofinish\n"
    "run\n delay 1.5\n sleep 2\n prefill 3\n wait \"f\"\n"
    " token \"\\xe4\\xbd\" 7\n raw \"\\n\\t\\r\"\n"
    " repeat 3 token \"\\\"\\\\\"\n clock 2\n echo\n echo_rendered\n batch \"a\" - \"b\"\n waiting\n null\n"
    " waiting \"x\"\n state 3 \"s\"\n hidden 1 2\n late \"l\" 5\n return -1\n hang until abort\n"
    " hang\n deaf\n segv\n abort\n exit 1\n print stdout \"a\"\n print stderr \"b\"\n"
    " error\n finish\n";

enum { ROOM = 4096 };

static void fail(const char *what) {
    printf("FAILED: %s\n", what);
    abort();
}

static void check_section(const struct script_section *section) {
    for (size_t i = 0; i < section->n; i++) {
        const struct script_line *line = &section->lines[i];
        if (line->n_numbers > 2) fail("a line has too many numbers");
        for (size_t k = 0; k < line->n_texts; k++) {
            if (!line->texts[k] && line->op != OP_BATCH) fail("a text is missing");
        }
    }
}

static bool try_script(const char *text, size_t length) {
    struct script script;
    engine_error error = {""};
    if (script_parse(&script, text, length, &error) != ENGINE_OK) {
        if (!strstr(error.text, "line ")) fail("a refusal names no line");
        if (script.runs || script.name || script.init.lines) fail("a refused script is not empty");
        return false;
    }
    if (script.context <= 0 || script.vocab <= 0 || script.embd <= 0) fail("a fact is no count");
    check_section(&script.init);
    for (size_t i = 0; i < script.n_runs; i++) check_section(&script.runs[i]);
    script_free(&script);
    return true;
}

#ifdef LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    try_script((const char *)data, size);
    return 0;
}
#else

static size_t below(struct rng *random, size_t n) {
    return (size_t)(rng_next(random) * (double)n);
}

/* Any byte, those that mean something to the parser more often. */
static char any_byte(struct rng *random) {
    static const char MEANING[] = "\"\\#\n -x0.9";
    if (below(random, 2)) return MEANING[below(random, sizeof MEANING)];
    return (char)below(random, 256);
}

/* Copy one stretch of the text over, into, or out of another place. */
static size_t move_stretch(struct rng *random, char *text, size_t length) {
    size_t n = below(random, 40), from = below(random, length), to = below(random, length);
    if (from + n > length) n = length - from;
    if (below(random, 3) == 0) { /* out */
        memmove(text + from, text + from + n, length - from - n);
        return length - n;
    }
    if (length + n > ROOM) return length;
    char stretch[40];
    memcpy(stretch, text + from, n);
    memmove(text + to + n, text + to, length - to);
    memcpy(text + to, stretch, n);
    return length + n;
}

static size_t damage(struct rng *random, char *text) {
    size_t length = strlen(SEED_SCRIPT);
    memcpy(text, SEED_SCRIPT, length);
    for (size_t i = below(random, 4) + 1; i > 0 && length > 1; i--) {
        switch (below(random, 4)) {
            case 0: length = move_stretch(random, text, length); break;
            case 1: length = 1 + below(random, length); break;
            default: text[below(random, length)] = any_byte(random);
        }
    }
    return length;
}

int main(int n_arguments, char **arguments) {
    static char text[ROOM];
    if (n_arguments != 3) return 2;
    unsigned long seed = strtoul(arguments[1], NULL, 10), n = strtoul(arguments[2], NULL, 10);
    unsigned long good = 0;
    if (!try_script(SEED_SCRIPT, strlen(SEED_SCRIPT))) fail("the undamaged script is refused");
    for (unsigned long i = 0; i < n; i++) {
        struct rng random;
        rng_seed(&random, seed + i);
        good += try_script(text, damage(&random, text));
    }
    printf("fuzz_script: %lu variants, %lu parsed, %lu refused\n", n, good, n - good);
    return 0;
}
#endif
