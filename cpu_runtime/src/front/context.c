#include "context.h"

#include <stdlib.h>
#include <string.h>

bool context_open(struct context *context, const engine *runs, engine_model *model,
                  size_t capacity) {
    *context = (struct context){.engine = runs, .model = model, .capacity = capacity};
    context->ids = calloc(capacity, sizeof *context->ids);
    return context->ids != NULL;
}

void context_close(struct context *context) {
    free(context->ids);
    context->ids = NULL;
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

static void append(struct context *context, const int32_t *ids, size_t n) {
    memcpy(context->ids + context->n, ids, n * sizeof *ids);
    context->n += n;
}

int context_read(struct context *context, const int32_t *ids, const float *embeddings, size_t n,
                 engine_rows keep, const atomic_bool *stop, engine_error *error) {
    int code = ENGINE_OK;
    if (n == 0) return ENGINE_OK; /* an empty prompt may be played */
    /* Embeddings may be others next time, also those that a callback makes of the same ids. */
    bool repeatable = context->n_evaluated >= context->n && !embeddings;
    context->n_evaluated = smaller(context->n_evaluated, context->n); /* the rest is overwritten */
    if (context->engine->decode) {
        code = context->engine->decode(context->model, ids, embeddings, n, context->n, keep,
                                       stop, error);
    }
    if (code == ENGINE_OK) append(context, ids, n);
    if (code == ENGINE_OK && repeatable) context->n_evaluated = context->n;
    return code;
}

/* Where a position is once [from, to) is gone. */
static size_t moved(size_t position, size_t from, size_t to) {
    if (position <= from) return position;
    return position >= to ? position - (to - from) : from;
}

bool context_cut(struct context *context, size_t from, size_t to) {
    if (from >= to) return true;
    /* The end needs no erasing: what comes next is written over it. */
    if (to < context->n && context->engine->decode &&
        context->engine->erase(context->model, from, to) != ENGINE_OK) {
        return false;
    }
    /* What follows a gap was evaluated with what was in it. */
    if (to < context->n) context->n_evaluated = smaller(context->n_evaluated, from);
    memmove(context->ids + from, context->ids + to, (context->n - to) * sizeof *context->ids);
    context->n -= to - from;
    context->n_system = moved(context->n_system, from, to);
    context->run_start = moved(context->run_start, from, to);
    return true;
}

void context_use_adapter(struct context *context, uint64_t adapter) {
    if (adapter != context->adapter) context_forget_cut(context);
    context->adapter = adapter;
}

size_t context_restore(struct context *context, const int32_t *ids, size_t n) {
    const int32_t *held = context->ids + context->n;
    size_t most = context->n_evaluated > context->n ? context->n_evaluated - context->n : 0;
    size_t same = 0;
    while (same < most && same + 1 < n && ids[same] == held[same] && ids[same] != NO_TOKEN) same++;
    if (same == 0 || !context->engine->cut(context->model, context->n + same)) return 0;
    context->n += same;
    context->n_evaluated = context->n;
    return same;
}

void context_forget_cut(struct context *context) {
    context->n_evaluated = 0;
}

bool context_make_room(struct context *context, size_t n, size_t keep) {
    size_t room = context->capacity - context->n;
    if (n <= room) return true;
    size_t droppable = context->n > keep ? context->n - keep : 0;
    size_t drop = n - room > droppable / 2 ? n - room : droppable / 2;
    return drop <= droppable && context_cut(context, keep, keep + drop);
}
