#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

static int refuse(engine_error *error, const char *why) {
    snprintf(error->text, sizeof error->text, "%s", why);
    return ENGINE_REFUSED;
}

/* The user's embeddings of some tokens, to be freed. */
static float *ask_embeddings(struct engine_stage *run, const int32_t *ids, size_t n) {
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

int run_read(struct engine_stage *run, const int32_t *ids, const float *rows, size_t n,
             bool want_all, const atomic_bool *stop, engine_error *error) {
    struct session *session = run->session;
    float *asked = NULL;
    if (!rows && session->callbacks.embed) {
        asked = ask_embeddings(run, ids, n);
        if (!asked) return refuse(error, "the embedding callback failed");
        rows = asked;
    }
    int code = context_read(&session->context, ids, rows, n, want_all, stop, error);
    free(asked);
    return code;
}

/* What the engine has kept of its last n tokens, as wide as one row is. */
static const float *kept_rows(const struct engine_stage *run, size_t *width) {
    const struct session *session = run->session;
    if (run->request->mode == MODE_HIDDEN) {
        *width = (size_t)session->facts->n_embd;
        return session->engine->hidden(session->model);
    }
    *width = (size_t)session->facts->n_vocab;
    return session->engine->logits(session->model);
}

static int read_segments(struct engine_stage *run, float *all, engine_error *error) {
    const struct prompt *prompt = &run->prompt;
    int code = ENGINE_OK;
    for (size_t i = 0; i < prompt->n_segments && code == ENGINE_OK; i++) {
        const struct segment *segment = &prompt->segments[i];
        code = run_read(run, prompt->ids + segment->first, segment->rows, segment->n, all != NULL,
                        &run->session->stop, error);
        if (code != ENGINE_OK || !all) continue;
        size_t width;
        const float *rows = kept_rows(run, &width);
        memcpy(all + segment->first * width, rows, segment->n * width * sizeof *all);
    }
    return code;
}

void prefill_saved(struct engine_stage *run) {
    struct session *session = run->session;
    struct prompt *prompt = &run->prompt;
    if (prompt->n_segments == 0 || prompt->segments->rows) return;
    run->reused = saved_restore(&session->saved, &session->context,
                                saved_lora(run->request->lora), prompt->ids,
                                prompt->segments->n);
    prompt->segments->first += run->reused;
    prompt->segments->n -= run->reused;
}

int prefill(struct engine_stage *run, float **all, engine_error *error) {
    run->clock.prefill_tokens = (int32_t)(run->prompt.n - run->reused);
    if (!all) return read_segments(run, NULL, error);
    size_t width;
    kept_rows(run, &width);
    float *rows = malloc(run->prompt.n * width * sizeof *rows);
    if (!rows) return refuse(error, "there is not enough memory");
    int code = read_segments(run, rows, error);
    if (code == ENGINE_OK) {
        *all = rows;
    } else {
        free(rows);
    }
    return code;
}
