#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evaluate.h"
#include "generate.h"
#include "limits.h"
#include "log.h"
#include "prefill.h"
#include "text_out.h"

/* ---- The prompt ---- */

static int32_t end_token(const engine_facts *facts) {
    return facts->eot >= 0 ? facts->eot : facts->eos;
}

/* An answer that was cut short still has to end before the next turn begins. */
static bool close_turn(struct engine_host *run) {
    int32_t end = end_token(run->session->facts);
    if (!run->session->turn_open || run->session->context.n == 0 || end < 0) return true;
    return prompt_add(&run->prompt, &end, NULL, 1);
}

/* What the model's template has between an answer and the next turn. */
static const char *turn_gap(const struct engine_host *run) {
    const struct session *session = run->session;
    const struct context *context = &session->context;
    if (context->n == 0 || session->template.prefix) return NULL;
    bool answered = session->turn_open || context->ids[context->n - 1] == end_token(session->facts);
    return answered ? session->facts->turn_gap : NULL;
}

static const char *build_text(struct engine_host *run) {
    const struct session *session = run->session;
    struct tokenizer tokenizer = {session->engine, session->model, session->facts,
                                  &session->callbacks};
    struct parts parts = {0};
    bool opening = session->context.n == 0;
    const char *fault = template_render(&session->template, session->facts, run->request, opening,
                                        turn_gap(run), run->resumed, &parts);
    bool templated = !run->resumed && run->request->type != RKLLM_INPUT_EMBED;
    if (!fault && templated && !close_turn(run)) fault = "there is not enough memory";
    if (!fault) fault = prompt_add_parts(&run->prompt, &parts, opening, &tokenizer);
    parts_free(&parts);
    return fault;
}

static const char *build_tokens(struct engine_host *run) {
    const struct request *request = run->request;
    for (size_t i = 0; i < request->n_rows; i++) {
        if (request->tokens[i] < 0 || request->tokens[i] >= run->session->facts->n_vocab) {
            return "the input holds a token that the model does not have";
        }
    }
    bool ok = prompt_add(&run->prompt, request->tokens, NULL, request->n_rows);
    return ok ? NULL : "there is not enough memory";
}

/* A continued run without new input reads its last token once more: that gives the logits. */
static const char *repeat_last(struct engine_host *run) {
    struct context *context = &run->session->context;
    int32_t last = context->n > 0 ? context->ids[context->n - 1] : NO_TOKEN;
    if (last == NO_TOKEN) return "there is no token to continue from";
    if (!prompt_add(&run->prompt, &last, NULL, 1)) return "there is not enough memory";
    context_cut(context, context->n - 1, context->n);
    return NULL;
}

static const char *build_prompt(struct engine_host *run) {
    const struct session *session = run->session;
    if (run->request->embeddings) {
        const char *fault = limits_fault(session->facts->lacks | session->engine->lacks,
                                         LACKS_EMBEDDINGS);
        if (fault) return fault;
    }
    bool tokens = run->request->type == RKLLM_INPUT_TOKEN;
    if (run->request->n_rows > session->context.capacity) {
        return "the input is longer than max_context_len";
    }
    const char *fault = tokens ? build_tokens(run) : build_text(run);
    if (fault || run->prompt.n > 0 || session->engine->play) return fault;
    return run->resumed ? repeat_last(run) : "the prompt is empty";
}

/* ---- A run ---- */

/* Does this run only tell the model something? A system turn asks for no answer. */
static bool is_statement(const struct engine_host *run) {
    const struct request *request = run->request;
    return !run->resumed && strcmp(request->role, "system") == 0 &&
           (request->type == RKLLM_INPUT_PROMPT || request->type == RKLLM_INPUT_MULTIMODAL);
}

static int emit_rows(struct engine_host *run, const float *rows) {
    const engine_facts *facts = run->session->facts;
    bool hidden = run->request->mode == MODE_HIDDEN;
    struct outcome outcome = {
        .text = "",
        .token_id = NO_TOKEN,
        .hidden = hidden ? rows : NULL,
        .logits = hidden ? NULL : rows,
        .n_embd = facts->n_embd,
        .n_vocab = facts->n_vocab,
        .n_rows = (int32_t)run->prompt.n,
    };
    run_emit(run, RKLLM_RUN_NORMAL, &outcome);
    run->paused = false; /* there is nothing left to continue */
    return 0;
}

/* Mark what has been read as the system prompt, which is where a conversation may return to. */
static void note_system(struct engine_host *run) {
    struct context *context = &run->session->context;
    if (context->n != run->prompt.n) return; /* not the start of the conversation */
    context->n_system = is_statement(run) ? context->n : run->prompt.n_system;
}

/* What a run was asked to save beside its answer must not cost the answer. */
static void save_prompt(const struct engine_host *run) {
    const struct session *session = run->session;
    const struct request *request = run->request;
    engine_error error;
    if (request->save_cache &&
        !prompt_cache_write(request->cache_path, &session->context, session->facts,
                            prompt_cache_lora(request->lora), &error)) {
        log_warning("the prompt was not saved: %s", error.text);
    }
}

static int answer(struct engine_host *run) {
    engine_error error = {""};
    float *rows = NULL;
    bool wants_rows = run->request->mode != MODE_GENERATE;
    size_t before = run->session->context.n;
    if (!wants_rows) { /* neither has logits */
        prefill_saved(run);
        prefill_cut_off(run);
    }
    int code = prefill(run, wants_rows ? &rows : NULL, &error);
    if (code != ENGINE_OK) context_cut(&run->session->context, before, run->session->context.n);
    if (code == ENGINE_REFUSED) return run_fail(run, error.text);
    if (code == ENGINE_ABORTED) return run_finish(run);
    run->open_end = !is_statement(run);
    note_system(run);
    save_prompt(run);
    if (wants_rows) {
        code = emit_rows(run, rows);
        free(rows);
        return code;
    }
    return is_statement(run) ? run_finish(run) : generate(run);
}

static int play(struct engine_host *run) {
    struct session *session = run->session;
    const struct prompt *prompt = &run->prompt;
    prefill_saved(run);
    run->clock.prefill_tokens = (int32_t)(prompt->n - run->reused);
    context_read(&session->context, prompt->ids + run->reused, NULL, prompt->n - run->reused,
                 ROWS_LAST, NULL, NULL);
    note_system(run);
    save_prompt(run);
    return session->engine->play(session->model, run, run->request->text, prompt->rendered);
}

static int perform(struct engine_host *run) {
    struct session *session = run->session;
    const char *fault = loras_use(&session->loras, session->engine, session->model,
                                  run->request->lora);
    context_use_adapter(&session->context, prompt_cache_lora(run->request->lora));
    if (!fault) fault = build_prompt(run);
    if (fault) return run_fail(run, fault);
    if (!run_make_room(run, run->prompt.n)) {
        char why[128];
        snprintf(why, sizeof why, "the prompt has %zu tokens, but the context has room for %zu",
                 run->prompt.n, session->context.capacity);
        return run_fail(run, why);
    }
    return session->engine->play ? play(run) : answer(run);
}

int run_perform(struct session *session, const struct request *request) {
    struct engine_host run = {
        .session = session, .request = request, .resumed = session->paused};
    if (run.resumed) run.hold = session->held;
    struct context *context = &session->context;
    perf_start(&run.clock);
    if (!run.resumed) context->run_start = context->n;
    int code = perform(&run);
    session->paused = run.paused;
    session->paused_history = request->keep_history;
    if (!run.paused) {
        bool keep = request->keep_history && code == 0;
        if (keep) session->turn_open = run.open_end;
        if (!keep) context_cut(context, context->run_start, context->n);
    }
    session->held = run.hold;
    prompt_free(&run.prompt);
    free(run.text);
    late_callback_start(&session->late);
    return code;
}
