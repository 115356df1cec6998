/* What a playing engine may do. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

/* RKLLM's numbers reach the engine as the engine's own. */
_Static_assert((int)STAGE_NORMAL == (int)RKLLM_RUN_NORMAL, "states agree");
_Static_assert((int)STAGE_WAITING == (int)RKLLM_RUN_WAITING, "states agree");
_Static_assert((int)STAGE_FINISH == (int)RKLLM_RUN_FINISH, "states agree");
_Static_assert((int)STAGE_ERROR == (int)RKLLM_RUN_ERROR, "states agree");

bool stage_aborted(engine_stage *stage) {
    return run_stopped(stage);
}

bool stage_sleep(engine_stage *stage, double ms) {
    return session_sleep(stage->session, ms);
}

/* Played tokens fill the context like real ones. */
static void count_token(engine_stage *stage) {
    int32_t id = NO_TOKEN;
    perf_prefilled(&stage->clock);
    stage->clock.generated_tokens++;
    if (!run_make_room(stage, 1)) return;
    context_read(&stage->session->context, &id, NULL, 1, false, NULL, NULL);
}

int stage_emit(engine_stage *stage, int state, const char *text, int32_t token_id) {
    if (state == STAGE_FINISH || state == STAGE_ERROR) {
        run_end(stage, (LLMCallState)state, text, token_id);
        return 0;
    }
    if (state == STAGE_NORMAL || state == STAGE_WAITING) count_token(stage);
    struct outcome outcome = {.text = text, .token_id = token_id};
    return run_emit(stage, (LLMCallState)state, &outcome);
}

int stage_emit_token(engine_stage *stage, const char *text, int32_t token_id) {
    count_token(stage);
    run_tell(stage, text, strlen(text), token_id);
    return stage->paused ? 1 : 0;
}

int stage_emit_batch(engine_stage *stage, const char *const *texts, const int32_t *token_ids,
                     size_t n) {
    struct outcome rows[MAX_BATCH];
    size_t n_batch = (size_t)stage->session->settings.n_batch;
    for (size_t i = 0; i < n_batch; i++) {
        rows[i] = (struct outcome){.text = i < n ? texts[i] : NULL,
                                   .token_id = i < n ? token_ids[i] : NO_TOKEN};
    }
    count_token(stage);
    int answer = deliver(&stage->session->callbacks, stage->request->userdata, RKLLM_RUN_NORMAL,
                         rows, n_batch);
    if (answer == 1) stage->paused = true;
    return answer;
}

/* A sequence that a test can compute and a float holds exactly. */
static float *made_up(size_t n) {
    float *values = malloc(n * sizeof *values);
    if (!values) return NULL;
    for (size_t i = 0; i < n; i++) values[i] = (float)((int)(i % 257) - 128) / 128.0f;
    return values;
}

static int emit_rows(engine_stage *stage, int state, int32_t rows, int32_t width, bool hidden) {
    float *values = made_up((size_t)rows * (size_t)width);
    if (!values) return run_fail(stage, "there is not enough memory");
    struct outcome outcome = {
        .text = "",
        .token_id = NO_TOKEN,
        .hidden = hidden ? values : NULL,
        .logits = hidden ? NULL : values,
        .n_embd = width,
        .n_vocab = width,
        .n_rows = rows,
    };
    int answer = run_emit(stage, (LLMCallState)state, &outcome);
    free(values);
    return answer;
}

int stage_emit_logits(engine_stage *stage, int state, int32_t rows, int32_t vocab_size) {
    return emit_rows(stage, state, rows, vocab_size, false);
}

int stage_emit_hidden(engine_stage *stage, int state, int32_t rows, int32_t embd_size) {
    return emit_rows(stage, state, rows, embd_size, true);
}

bool stage_emit_late(engine_stage *stage, const char *text, double ms) {
    return late_add(&stage->session->late, &stage->session->callbacks, stage->request->userdata,
                    text, ms);
}

bool stage_read_late(engine_stage *stage, double ms) {
    return late_add_reading(&stage->session->late, stage->request->given, ms);
}

int32_t stage_limit(const engine_stage *stage) {
    int32_t limit = stage->request->max_new_tokens;
    return limit > 0 ? limit : INT32_MAX;
}

int32_t stage_rows(const engine_stage *stage) {
    return stage->session->settings.n_batch;
}

const char *stage_input(const engine_stage *stage, int32_t row) {
    return row == 0 ? stage->request->text : stage->request->row_texts[row - 1];
}

int stage_mode(const engine_stage *stage) {
    return (int)stage->request->mode;
}

bool stage_resumed(const engine_stage *stage) {
    return stage->resumed;
}
