#include "generate.h"

#include "evaluate.h"
#include "sampler.h"
#include "text_out.h"

/* An answer in the making. */
struct answer {
    struct engine_host *run;
    struct sampler sampler;
    int32_t pending; /* emitted, but not evaluated yet */
};

static bool tell(struct answer *answer, int32_t id) {
    const struct session *session = answer->run->session;
    const char *bytes;
    size_t length = session->engine->piece(session->model, id, !session->settings.skip_special,
                                           &bytes);
    return text_out(answer->run, bytes, length, id);
}

/* ---- Choosing ---- */

/* The latest tokens but control tokens: an answer has to end, however often others have. */
static size_t recent_tokens(const struct session *session, int32_t *recent) {
    const struct context *context = &session->context;
    size_t n = 0, first = context->n > PENALTY_WINDOW ? context->n - PENALTY_WINDOW : 0;
    for (size_t i = first; i < context->n; i++) {
        const char *bytes;
        int32_t id = context->ids[i];
        if (id == NO_TOKEN || session->engine->piece(session->model, id, false, &bytes) == 0) {
            continue;
        }
        recent[n++] = id;
    }
    return n;
}

static int32_t choose(struct answer *answer) {
    const struct session *session = answer->run->session;
    int32_t recent[PENALTY_WINDOW];
    size_t n = recent_tokens(session, recent);
    const float *logits = session->engine->logits(session->model);
    return sampler_pick(&answer->sampler, logits, recent, n);
}

static bool ends(const struct session *session, int32_t id) {
    if (id == session->facts->eos || id == session->facts->eot) return true;
    return session->engine->ends && session->engine->ends(session->model, id);
}

/* ---- The loop ---- */

static bool limit_reached(const struct engine_host *run) {
    int32_t limit = run->request->max_new_tokens;
    return limit > 0 && run->clock.generated_tokens >= limit;
}

/* An answer without limit ends with the context: dropping old tokens might go on for ever. */
static bool has_room(struct engine_host *run) {
    const struct context *context = &run->session->context;
    if (run->request->max_new_tokens <= 0) return context->n < context->capacity;
    return run_make_room(run, 1);
}

/* One token. Returns ENGINE_OK to go on, ENGINE_ABORTED when the answer is over. */
static int step(struct answer *answer, engine_error *error) {
    struct engine_host *run = answer->run;
    if (run_stopped(run)) return ENGINE_ABORTED;
    int32_t id = choose(answer);
    bool end = ends(run->session, id) && !run->session->settings.ignore_eos;
    run->clock.generated_tokens++;
    perf_prefilled(&run->clock);
    answer->pending = id;
    run->open_end = !ends(run->session, id);
    if ((!end || !run->session->settings.skip_special) && !tell(answer, id)) {
        return ENGINE_REFUSED;
    }
    if (end || run->paused || limit_reached(run) || !has_room(run)) return ENGINE_ABORTED;
    int code = run_evaluate(run, &id, NULL, 1, ROWS_LAST, &run->session->stop, error);
    if (code == ENGINE_OK) answer->pending = NO_TOKEN;
    return code;
}

/* What was said belongs to the conversation, the last token included. */
static void read_pending(struct answer *answer) {
    struct engine_host *run = answer->run;
    const struct context *context = &run->session->context;
    engine_error ignored;
    atomic_bool never = false; /* an abort is why we may be here */
    bool kept = run->paused || run->request->keep_history;
    if (answer->pending == NO_TOKEN || !kept || context->n == context->capacity) return;
    run_evaluate(run, &answer->pending, NULL, 1, ROWS_LAST, &never, &ignored);
}

static int say(struct answer *answer) {
    struct engine_host *run = answer->run;
    engine_error error = {"there is not enough memory"};
    int code;
    do {
        code = step(answer, &error);
    } while (code == ENGINE_OK);
    if (code == ENGINE_REFUSED) return run_fail(run, error.text);
    read_pending(answer);
    return run->paused ? 0 : run_finish(run);
}

int generate(struct engine_host *run) {
    struct session *session = run->session;
    struct answer answer = {.run = run, .pending = NO_TOKEN};
    if (!sampler_open(&answer.sampler, &run->request->sampling, (size_t)session->facts->n_vocab,
                      &session->random)) {
        return run_fail(run, "there is not enough memory");
    }
    int code = say(&answer);
    sampler_close(&answer.sampler);
    return code;
}
