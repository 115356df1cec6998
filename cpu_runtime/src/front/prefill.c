#include "prefill.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evaluate.h"

static int refuse(engine_error *error, const char *why) {
    snprintf(error->text, sizeof error->text, "%s", why);
    return ENGINE_REFUSED;
}

/* What the engine has kept of its last n tokens, as wide as one row is. */
static const float *kept_rows(const struct engine_host *run, size_t *width) {
    const struct session *session = run->session;
    if (run->request->mode == MODE_HIDDEN) {
        *width = (size_t)session->facts->n_embd;
        return session->engine->hidden(session->model);
    }
    *width = (size_t)session->facts->n_vocab;
    return session->engine->logits(session->model);
}

static int read_segments(struct engine_host *run, float *all, engine_error *error) {
    const struct prompt *prompt = &run->prompt;
    engine_rows wanted = run->request->mode == MODE_HIDDEN ? ROWS_HIDDEN : ROWS_LOGITS;
    int code = ENGINE_OK;
    for (size_t i = 0; i < prompt->n_segments && code == ENGINE_OK; i++) {
        const struct segment *segment = &prompt->segments[i];
        code = run_evaluate(run, prompt->ids + segment->first, segment->rows, segment->n,
                            all ? wanted : ROWS_LAST, &run->session->stop, error);
        if (code != ENGINE_OK || !all) continue;
        size_t width;
        const float *rows = kept_rows(run, &width);
        memcpy(all + segment->first * width, rows, segment->n * width * sizeof *all);
    }
    return code;
}

static bool begins_with_ids(const struct prompt *prompt) {
    return prompt->n_segments > 0 && !prompt->segments->rows;
}

static void skip(struct engine_host *run, size_t n) {
    run->reused += n;
    run->prompt.segments->first += n;
    run->prompt.segments->n -= n;
}

void prefill_saved(struct engine_host *run) {
    struct session *session = run->session;
    const struct prompt *prompt = &run->prompt;
    if (!begins_with_ids(prompt)) return;
    skip(run, prompt_cache_restore(&session->saved, &session->context,
                                   prompt_cache_lora(run->request->lora), prompt->ids,
                                   prompt->segments->n));
}

void prefill_cut_off(struct engine_host *run) {
    const struct prompt *prompt = &run->prompt;
    bool asked = run->request->keep_history && !run->resumed && run->reused == 0;
    if (!asked || !begins_with_ids(prompt)) return;
    skip(run, context_restore(&run->session->context, prompt->ids, prompt->segments->n));
}

/* Refuse rows that would not fit: the engine keeps them, and the caller gets a copy. */
static int check_rows(const struct engine_host *run, size_t width, engine_error *error) {
    const double mb = 1 << 20, need = 2.0 * (double)run->prompt.n * (double)width * sizeof(float);
    double free_bytes = perf_free_memory();
    if (free_bytes < 0 || need <= free_bytes) return ENGINE_OK;
    snprintf(error->text, sizeof error->text,
             "the %s of %zu tokens need %.0f MB of memory, but only %.0f MB are free",
             run->request->mode == MODE_HIDDEN ? "hidden states" : "logits", run->prompt.n,
             need / mb, free_bytes / mb);
    return ENGINE_REFUSED;
}

int prefill(struct engine_host *run, float **all, engine_error *error) {
    run->clock.prefill_tokens = (int32_t)(run->prompt.n - run->reused);
    if (!all) return read_segments(run, NULL, error);
    size_t width;
    kept_rows(run, &width);
    if (check_rows(run, width, error) != ENGINE_OK) return ENGINE_REFUSED;
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
