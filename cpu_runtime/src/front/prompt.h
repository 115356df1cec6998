/* What a run has to evaluate before it can answer. */
#ifndef RKLLM_CPU_PROMPT_H
#define RKLLM_CPU_PROMPT_H

#include "template.h"

/* A stretch of tokens, or of embeddings that stand in their place. */
struct segment {
    size_t first, n;
    const float *rows; /* NULL: tokens */
};

struct prompt {
    int32_t *ids; /* NO_TOKEN where embeddings are */
    size_t n, room;
    struct segment *segments;
    size_t n_segments;
    size_t n_system; /* tokens at the start that are the system prompt, the first one included */
    char *rendered;  /* the text as the model sees it; NULL for input that is no text */
};

/* Who turns text into tokens. */
struct tokenizer {
    const engine *engine;
    const engine_model *model;
    const engine_facts *facts;
    const struct callbacks *callbacks; /* theirs is asked first where there is one */
};

/* Append tokens or embeddings; false when memory is short. `ids` may be NULL for embeddings. */
bool prompt_add(struct prompt *prompt, const int32_t *ids, const float *rows, size_t n);

/* Append parts, after the token that opens a conversation where `opening`. Returns NULL or why it
 * refuses; free the prompt either way. */
const char *prompt_add_parts(struct prompt *prompt, const struct parts *parts, bool opening,
                             const struct tokenizer *tokenizer);
void prompt_free(struct prompt *prompt);

#endif
