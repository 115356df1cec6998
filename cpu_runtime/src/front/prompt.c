#include "prompt.h"

#include <stdlib.h>
#include <string.h>

#include "context.h"

static const char NO_MEMORY[] = "there is not enough memory";

void prompt_free(struct prompt *prompt) {
    free(prompt->ids);
    free(prompt->segments);
    free(prompt->rendered);
    *prompt = (struct prompt){0};
}

static bool grow(struct prompt *prompt, size_t n) {
    if (prompt->n + n <= prompt->room) return true;
    size_t room = 2 * (prompt->n + n);
    int32_t *grown = realloc(prompt->ids, room * sizeof *grown);
    if (!grown) return false;
    prompt->ids = grown;
    prompt->room = room;
    return true;
}

/* The n ids after the last ones become part of the prompt. */
static bool close_segment(struct prompt *prompt, const float *rows, size_t n) {
    size_t known = prompt->n_segments;
    if (n == 0) return true;
    if (known > 0 && !rows && !prompt->segments[known - 1].rows) {
        prompt->segments[known - 1].n += n;
    } else {
        size_t size = (known + 1) * sizeof *prompt->segments;
        struct segment *grown = realloc(prompt->segments, size);
        if (!grown) return false;
        prompt->segments = grown;
        grown[prompt->n_segments++] = (struct segment){prompt->n, n, rows};
    }
    prompt->n += n;
    return true;
}

bool prompt_add(struct prompt *prompt, const int32_t *ids, const float *rows, size_t n) {
    if (!grow(prompt, n)) return false;
    for (size_t i = 0; i < n; i++) prompt->ids[prompt->n + i] = rows ? NO_TOKEN : ids[i];
    return close_segment(prompt, rows, n);
}

/* ---- Text ---- */

static const char *ask_user(struct prompt *prompt, const char *text, size_t length,
                            const struct tokenizer *with) {
    const struct callbacks *callbacks = with->callbacks;
    size_t room = length + 16; /* no tokenizer needs more tokens than bytes, but for a few extra */
    if (length > INT32_MAX - 16 || !grow(prompt, room)) return NO_MEMORY;
    int n = callbacks->tokenize(callbacks->tokenize_userdata, text, (int32_t)length,
                                prompt->ids + prompt->n, (int32_t)room);
    if (n < 0 || (size_t)n > room) return "the tokenizer callback failed";
    for (size_t i = 0; i < (size_t)n; i++) {
        int32_t id = prompt->ids[prompt->n + i];
        if (id < 0 || id >= with->facts->n_vocab) {
            return "the tokenizer callback gave a token that the model does not have";
        }
    }
    return close_segment(prompt, NULL, (size_t)n) ? NULL : NO_MEMORY;
}

static const char *ask_engine(struct prompt *prompt, const char *text, size_t length, bool control,
                              const struct tokenizer *with) {
    size_t room = length + 1;
    for (;;) {
        if (!grow(prompt, room)) return NO_MEMORY;
        int64_t n = with->engine->tokenize(with->model, text, length, control,
                                           prompt->ids + prompt->n, room);
        if (n < 0) return NO_MEMORY;
        if ((uint64_t)n <= room) return close_segment(prompt, NULL, (size_t)n) ? NULL : NO_MEMORY;
        room = (size_t)n;
    }
}

/* The texts of parts [from, to) in one string. */
static char *join(const struct part *from, const struct part *to) {
    size_t length = 0;
    for (const struct part *part = from; part < to; part++) {
        if (part->text) length += part->length;
    }
    char *joined = malloc(length + 1), *end = joined;
    if (!joined) return NULL;
    for (const struct part *part = from; part < to; part++) {
        if (part->text) end = mempcpy(end, part->text, part->length);
    }
    *end = '\0';
    return joined;
}

/* A user's tokenizer knows its own control tokens, and may join what stands in two parts. */
static const char *add_joined(struct prompt *prompt, const struct part *from,
                              const struct part *to, const struct tokenizer *with) {
    char *text = join(from, to);
    const char *fault = text ? ask_user(prompt, text, strlen(text), with) : NO_MEMORY;
    free(text);
    return fault;
}

/* Add the parts [from, to), of which either all are text or one is embeddings. */
static const char *add_stretch(struct prompt *prompt, const struct part *from,
                               const struct part *to, const struct tokenizer *with) {
    if (from->kind == PART_ROWS) {
        return prompt_add(prompt, NULL, from->rows, from->length) ? NULL : NO_MEMORY;
    }
    if (with->callbacks->tokenize) return add_joined(prompt, from, to, with);
    const char *fault = NULL;
    for (const struct part *part = from; part < to && !fault; part++) {
        fault = ask_engine(prompt, part->text, part->length, part->kind == PART_CONTROL, with);
    }
    return fault;
}

/* Add a list of parts stretch by stretch. */
static const char *add_all(struct prompt *prompt, const struct part *part, const struct part *end,
                           const struct tokenizer *with) {
    const char *fault = NULL;
    while (part < end && !fault) {
        const struct part *next = part + 1;
        while (part->kind != PART_ROWS && next < end && next->kind != PART_ROWS) next++;
        fault = add_stretch(prompt, part, next, with);
        part = next;
    }
    return fault;
}

const char *prompt_add_parts(struct prompt *prompt, const struct parts *parts, bool opening,
                             const struct tokenizer *with) {
    const engine_facts *facts = with->facts;
    const struct part *end = parts->at + parts->n, *turn = parts->at + parts->n_system;
    if (parts->n == 0) return NULL;
    prompt->rendered = join(parts->at, end);
    if (!prompt->rendered) return NO_MEMORY;
    bool mark = opening && facts->add_bos && facts->bos >= 0 && !with->callbacks->tokenize &&
                parts->at->kind != PART_ROWS;
    if (mark && !prompt_add(prompt, &facts->bos, NULL, 1)) return NO_MEMORY;
    const char *fault = add_all(prompt, parts->at, turn, with);
    if (parts->n_system > 0) prompt->n_system = prompt->n;
    return fault ? fault : add_all(prompt, turn, end, with);
}
