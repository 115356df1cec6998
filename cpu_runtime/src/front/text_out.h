/* What a run calls back with: results, text in whole characters, the end. */
#ifndef RKLLM_CPU_TEXT_OUT_H
#define RKLLM_CPU_TEXT_OUT_H

#include "callback.h"
#include "run_state.h"

/* Call back; a NORMAL result comes once per row of the batch. Returns the callback's answer. */
int run_emit(struct engine_host *run, LLMCallState state, const struct outcome *outcome);

/* Call back with what a token adds: the characters that are whole now, or WAITING while there are
 * none; false when memory is short. The second reports that a character will stay incomplete. */
bool text_out(struct engine_host *run, const char *bytes, size_t length, int32_t id);
void text_out_rest(struct engine_host *run);

/* The end: one callback with the perf figures. The second returns 0, the third -1. */
void run_end(struct engine_host *run, LLMCallState state, const char *text, int32_t id);
int run_finish(struct engine_host *run);
int run_fail(struct engine_host *run, const char *why);

#endif
