#include "text_out.h"

#include <stdlib.h>

#include "log.h"

int run_emit(struct engine_host *run, LLMCallState state, const struct outcome *outcome) {
    struct outcome rows[MAX_BATCH];
    const struct session *session = run->session;
    size_t n = state == RKLLM_RUN_NORMAL ? (size_t)session->settings.n_batch : 1;
    for (size_t i = 0; i < n; i++) rows[i] = *outcome;
    int answer = callback_call(&session->callbacks, run->request->userdata, state, rows, n);
    bool may_pause = state == RKLLM_RUN_NORMAL || state == RKLLM_RUN_WAITING;
    if (answer == 1 && may_pause) run->paused = true;
    return answer;
}

/* ---- Whole characters ---- */

static bool reserve(struct engine_host *run, size_t length) {
    if (run->room >= UTF8_ROOM(length)) return true;
    char *grown = realloc(run->text, UTF8_ROOM(length));
    if (!grown) return false;
    run->text = grown;
    run->room = UTF8_ROOM(length);
    return true;
}

bool text_out(struct engine_host *run, const char *bytes, size_t length, int32_t id) {
    if (!reserve(run, length)) return false;
    size_t written = utf8_push(&run->hold, bytes, length, run->text);
    bool waiting = written == 0 && run->hold.length > 0;
    struct outcome outcome = {.text = run->text, .token_id = id};
    run_emit(run, waiting ? RKLLM_RUN_WAITING : RKLLM_RUN_NORMAL, &outcome);
    return true;
}

void text_out_rest(struct engine_host *run) {
    if (run->hold.length == 0 || !reserve(run, 0)) return;
    utf8_flush(&run->hold, run->text);
    struct outcome outcome = {.text = run->text, .token_id = NO_TOKEN};
    run_emit(run, RKLLM_RUN_NORMAL, &outcome);
}

/* ---- The end ---- */

static void log_figures(const struct engine_host *run, const struct perf_figures *perf) {
    const struct session *session = run->session;
    if (session->log_level >= LOG_PERF) {
        log_info("prefill %d tokens in %.1f ms, generate %d tokens in %.1f ms, %.1f MB",
                 perf->prefill_tokens, perf->prefill_ms, perf->generated_tokens,
                 perf->generate_ms, perf->memory_mb);
    }
    if (session->log_level >= LOG_CACHE) {
        log_info("cache holds %zu of %zu tokens", session->context.n, session->context.capacity);
    }
}

void run_end(struct engine_host *run, LLMCallState state, const char *text, int32_t id) {
    text_out_rest(run);
    struct perf_figures perf = perf_read(&run->clock);
    struct outcome outcome = {.text = text, .token_id = id, .perf = &perf};
    log_figures(run, &perf);
    run_emit(run, state, &outcome);
    run->paused = false; /* the last half of a character is too late a moment */
}

int run_finish(struct engine_host *run) {
    run_end(run, RKLLM_RUN_FINISH, "", NO_TOKEN);
    return 0;
}

int run_fail(struct engine_host *run, const char *why) {
    log_error("rkllm_run: %s", why);
    run_end(run, RKLLM_RUN_ERROR, "", NO_TOKEN);
    return -1;
}
