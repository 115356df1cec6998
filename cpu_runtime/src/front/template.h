/* From what the user says to what the model reads. */
#ifndef RKLLM_CPU_TEMPLATE_H
#define RKLLM_CPU_TEMPLATE_H

#include "engine.h"
#include "settings.h"

/* What rkllm_set_chat_template or rkllm_set_function_tools put in place of the model's own; NULL
 * where nothing was set. */
struct template {
    char *system, *prefix, *postfix;
    char *tool_tag;
};

enum part_kind {
    PART_CONTROL, /* text in which <|user|> and the like are control tokens */
    PART_TEXT,    /* the user's words, in which they are not */
    PART_ROWS,    /* embeddings */
};

struct part {
    enum part_kind kind;
    const char *text;
    const float *rows;
    size_t length; /* bytes or rows */
};

/* A list that points into the template, the model and the request. All zero to start with. */
struct parts {
    struct part *at;
    size_t n;
    size_t n_system; /* how many at the start are the system prompt */
};

void template_clear(struct template *template);

/* These replace what was set before; false when memory is short. */
bool template_set(struct template *template, const char *system, const char *prefix,
                  const char *postfix);
bool template_set_tools(struct template *template, const engine_facts *facts, const char *system,
                        const char *tools, const char *tag);

/* The parts of one turn. `opening`: nothing came before. `gap`: what stands before the turn, or
 * NULL. `plain`: without template, for a run that continues another. Returns NULL or why it
 * refuses; free the list either way. */
const char *template_render(const struct template *template, const engine_facts *facts,
                            const struct request *request, bool opening, const char *gap,
                            bool plain, struct parts *to);
void parts_free(struct parts *parts);

#endif
