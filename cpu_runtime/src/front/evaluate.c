#include "evaluate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

bool run_make_room(struct engine_host *run, size_t n) {
    struct context *context = &run->session->context;
    int32_t bos = run->session->facts->bos, n_keep = run->session->settings.n_keep;
    size_t keep = n_keep > 0 ? (size_t)n_keep : 0, before = context->n;
    /* Models go astray without the token that opens every text they were trained on. */
    if (keep == 0 && before > 0 && bos >= 0 && context->ids[0] == bos) keep = 1;
    if (!context_make_room(context, n, keep)) return false;
    if (context->n < before) {
        log_warning("the context is full: dropped %zu tokens after the first %zu",
                    before - context->n, keep);
    }
    return true;
}

/* The user's embeddings of some tokens, to be freed. */
static float *ask_embeddings(struct engine_host *run, const int32_t *ids, size_t n) {
    const struct callbacks *callbacks = &run->session->callbacks;
    size_t size = n * (size_t)run->session->facts->n_embd * sizeof(float);
    float *rows = malloc(size);
    int32_t *copy = malloc(n * sizeof *copy); /* the callback may write to it */
    bool ok = rows && copy;
    if (ok) {
        memcpy(copy, ids, n * sizeof *copy);
        ok = callbacks->embed(callbacks->embed_userdata, copy, n, rows, size) == 0;
    }
    free(copy);
    if (ok) return rows;
    free(rows);
    return NULL;
}

int run_evaluate(struct engine_host *run, const int32_t *ids, const float *rows, size_t n,
                 engine_rows keep, const atomic_bool *stop, engine_error *error) {
    struct session *session = run->session;
    float *asked = NULL;
    if (!rows && session->callbacks.embed) {
        asked = ask_embeddings(run, ids, n);
        if (!asked) {
            snprintf(error->text, sizeof error->text, "the embedding callback failed");
            return ENGINE_REFUSED;
        }
        rows = asked;
    }
    int code = context_read(&session->context, ids, rows, n, keep, stop, error);
    free(asked);
    return code;
}
