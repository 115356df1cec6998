/* What a playing engine may do. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "evaluate.h"
#include "text_out.h"

/* RKLLM's numbers reach the engine as the engine's own. */
_Static_assert((int)HOST_NORMAL == (int)RKLLM_RUN_NORMAL, "states agree");
_Static_assert((int)HOST_WAITING == (int)RKLLM_RUN_WAITING, "states agree");
_Static_assert((int)HOST_FINISH == (int)RKLLM_RUN_FINISH, "states agree");
_Static_assert((int)HOST_ERROR == (int)RKLLM_RUN_ERROR, "states agree");

bool host_aborted(engine_host *host) {
    return run_stopped(host);
}

bool host_sleep(engine_host *host, double ms) {
    return session_sleep(host->session, ms);
}

/* Played tokens fill the context like real ones. */
static void count_token(engine_host *host) {
    int32_t id = NO_TOKEN;
    perf_prefilled(&host->clock);
    host->clock.generated_tokens++;
    if (!run_make_room(host, 1)) return;
    context_read(&host->session->context, &id, NULL, 1, ROWS_LAST, NULL, NULL);
}

int host_emit(engine_host *host, int state, const char *text, int32_t token_id) {
    if (state == HOST_FINISH || state == HOST_ERROR) {
        run_end(host, (LLMCallState)state, text, token_id);
        return 0;
    }
    if (state == HOST_NORMAL || state == HOST_WAITING) count_token(host);
    struct outcome outcome = {.text = text, .token_id = token_id};
    return run_emit(host, (LLMCallState)state, &outcome);
}

int host_emit_token(engine_host *host, const char *text, int32_t token_id) {
    count_token(host);
    text_out(host, text, strlen(text), token_id);
    return host->paused ? 1 : 0;
}

int host_emit_batch(engine_host *host, const char *const *texts, const int32_t *token_ids,
                    size_t n) {
    struct outcome rows[MAX_BATCH];
    size_t n_batch = (size_t)host->session->settings.n_batch;
    for (size_t i = 0; i < n_batch; i++) {
        rows[i] = (struct outcome){.text = i < n ? texts[i] : NULL,
                                   .token_id = i < n ? token_ids[i] : NO_TOKEN};
    }
    count_token(host);
    int answer = callback_call(&host->session->callbacks, host->request->userdata, RKLLM_RUN_NORMAL,
                               rows, n_batch);
    if (answer == 1) host->paused = true;
    return answer;
}

/* A sequence that a test can compute and a float holds exactly. */
static float *made_up(size_t n) {
    float *values = malloc(n * sizeof *values);
    if (!values) return NULL;
    for (size_t i = 0; i < n; i++) values[i] = (float)((int)(i % 257) - 128) / 128.0f;
    return values;
}

static int emit_rows(engine_host *host, int state, int32_t rows, int32_t width, bool hidden) {
    float *values = made_up((size_t)rows * (size_t)width);
    if (!values) return run_fail(host, "there is not enough memory");
    struct outcome outcome = {
        .text = "",
        .token_id = NO_TOKEN,
        .hidden = hidden ? values : NULL,
        .logits = hidden ? NULL : values,
        .n_embd = width,
        .n_vocab = width,
        .n_rows = rows,
    };
    int answer = run_emit(host, (LLMCallState)state, &outcome);
    free(values);
    return answer;
}

int host_emit_logits(engine_host *host, int state, int32_t rows, int32_t vocab_size) {
    return emit_rows(host, state, rows, vocab_size, false);
}

int host_emit_hidden(engine_host *host, int state, int32_t rows, int32_t embd_size) {
    return emit_rows(host, state, rows, embd_size, true);
}

bool host_emit_late(engine_host *host, const char *text, double ms) {
    return late_callback_add(&host->session->late, &host->session->callbacks,
                             host->request->userdata, text, ms);
}

bool host_read_late(engine_host *host, double ms) {
    return late_callback_add_reading(&host->session->late, host->request->given, ms);
}

int32_t host_limit(const engine_host *host) {
    int32_t limit = host->request->max_new_tokens;
    return limit > 0 ? limit : INT32_MAX;
}

int32_t host_rows(const engine_host *host) {
    return host->session->settings.n_batch;
}

const char *host_input(const engine_host *host, int32_t row) {
    return row == 0 ? host->request->text : host->request->row_texts[row - 1];
}

int host_mode(const engine_host *host) {
    return (int)host->request->mode;
}

bool host_resumed(const engine_host *host) {
    return host->resumed;
}

bool host_hides_control(const engine_host *host) {
    return host->session->settings.skip_special;
}
