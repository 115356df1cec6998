/* One run. It is also what a playing engine knows as its stage. */
#ifndef RKLLM_CPU_RUN_H
#define RKLLM_CPU_RUN_H

#include "callback.h"
#include "prompt.h"
#include "session.h"

struct engine_stage {
    struct session *session;
    const struct request *request;
    struct prompt prompt;
    struct perf_clock clock;
    size_t reused; /* tokens of the prompt that were in a saved one */
    struct utf8_hold hold; /* half a character */
    char *text;            /* room for what run_tell tells */
    size_t room;
    bool resumed;  /* it continues a paused one */
    bool paused;   /* the callback has returned 1 */
    bool open_end; /* what it leaves in the cache does not end with an end token */
};

/* Run a request on a session that was entered for it. Returns what rkllm_run is to return. */
int run_perform(struct session *session, const struct request *request);

/* ---- For the parts of a run ---- */

static inline bool run_stopped(const struct engine_stage *run) {
    return atomic_load(&run->session->stop);
}

/* Call back; a NORMAL result comes once per row of the batch. Returns the callback's answer. */
int run_emit(struct engine_stage *run, LLMCallState state, const struct outcome *outcome);

/* Call back with what a token adds: the characters that are whole now, or WAITING while there are
 * none; false when memory is short. The second tells that a character will stay incomplete. */
bool run_tell(struct engine_stage *run, const char *bytes, size_t length, int32_t id);
void run_tell_rest(struct engine_stage *run);

/* The end: one callback with the perf figures. The second returns 0, the third -1. */
void run_end(struct engine_stage *run, LLMCallState state, const char *text, int32_t id);
int run_finish(struct engine_stage *run);
int run_fail(struct engine_stage *run, const char *why);

/* Make room in the context for n more; false when that is impossible. */
bool run_make_room(struct engine_stage *run, size_t n);

/* Evaluate tokens, or rows in their place, through the user's embeddings where there are any. */
int run_read(struct engine_stage *run, const int32_t *ids, const float *rows, size_t n,
             bool want_all, const atomic_bool *stop, engine_error *error);

/* Take from a saved prompt what this one begins with; the rest is still to be evaluated. */
void prefill_saved(struct engine_stage *run);

/* Evaluate the prompt. Where `all` is not NULL it gets an array of the prompt's logits or hidden
 * states, to be freed. Returns an ENGINE_ code. */
int prefill(struct engine_stage *run, float **all, engine_error *error);

/* Generate an answer to what has been evaluated. */
int generate(struct engine_stage *run);

#endif
