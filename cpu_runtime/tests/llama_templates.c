/* What the engine llama makes of chat templates: llama_templates NAME MODEL ..., the models of
 * make_tiny_gguf.py --template NAME. */
#include <stdio.h>
#include <string.h>

#include "engine.h"

static const struct {
    const char *name;
    const char *system_prefix, *system_postfix, *prompt_prefix, *prompt_postfix, *turn_gap;
    bool warns;
} KNOWN[] = {
    {"chatml", "<|im_start|>system\n", "<|im_end|>\n", "<|im_start|>user\n",
     "<|im_end|>\n<|im_start|>assistant\n", "", false},
    /* The end token is one of this vocabulary's. */
    {"phi3", "<|system|>\n", "<|end|>\n", "<|user|>\n", "<|end|>\n<|assistant|>\n", "\n", false},
    /* The system's words go into the user's turn: there are no pieces for them. */
    {"gemma", "", "", "<start_of_turn>user\n", "<end_of_turn>\n<start_of_turn>model\n", "", false},
    {"unheard-of", "", "", "", "", "", true},
};

static int n_failed;

static void check_text(const char *name, const char *what, const char *got, const char *wanted) {
    if (strcmp(got, wanted) == 0) return;
    n_failed++;
    printf("FAILED: %s, %s: got \"%s\", wanted \"%s\"\n", name, what, got, wanted);
}

static void check_template(size_t i, const char *path) {
    const engine_options options = {.n_ctx = 64, .threads = 1};
    engine_model *model;
    engine_error error = {""};
    const char *name = KNOWN[i].name;
    if (engine_llama.open(path, &options, &model, &error) != ENGINE_OK) {
        n_failed++;
        printf("FAILED: %s cannot be opened: %s\n", path, error.text);
        return;
    }
    const engine_facts *facts = engine_llama.facts(model);
    check_text(name, "system_prefix", facts->system_prefix, KNOWN[i].system_prefix);
    check_text(name, "system_postfix", facts->system_postfix, KNOWN[i].system_postfix);
    check_text(name, "prompt_prefix", facts->prompt_prefix, KNOWN[i].prompt_prefix);
    check_text(name, "prompt_postfix", facts->prompt_postfix, KNOWN[i].prompt_postfix);
    check_text(name, "turn_gap", facts->turn_gap, KNOWN[i].turn_gap);
    check_text(name, "warning", strstr(error.text, "chat template") ? "yes" : "no",
               KNOWN[i].warns ? "yes" : "no");
    engine_llama.close(model);
}

int main(int argc, char **argv) {
    for (int arg = 1; arg + 1 < argc; arg += 2) {
        for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++) {
            if (strcmp(argv[arg], KNOWN[i].name) == 0) check_template(i, argv[arg + 1]);
        }
    }
    printf("llama_templates: %d failed\n", n_failed);
    return n_failed > 0;
}
