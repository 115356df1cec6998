#include "callback.h"

#include <string.h>

#if RKLLM_ABI >= 10201
static void fill_perf(const struct perf_figures *from, RKLLMPerfStat *to) {
    to->prefill_time_ms = (float)from->prefill_ms;
    to->prefill_tokens = from->prefill_tokens;
    to->generate_time_ms = (float)from->generate_ms;
    to->generate_tokens = from->generated_tokens;
    to->memory_usage_mb = (float)from->memory_mb;
}
#endif

static void fill(const struct outcome *from, RKLLMResult *to) {
    memset(to, 0, sizeof *to); /* padding too: it may be copied out whole */
    to->text = from->text;
    to->token_id = from->token_id;
    to->last_hidden_layer.hidden_states = from->hidden;
    to->last_hidden_layer.embd_size = from->hidden ? from->n_embd : 0;
    to->last_hidden_layer.num_tokens = from->hidden ? from->n_rows : 0;
#if RKLLM_ABI >= 10200
    to->logits.logits = from->logits;
    to->logits.vocab_size = from->logits ? from->n_vocab : 0;
    to->logits.num_tokens = from->logits ? from->n_rows : 0;
#endif
#if RKLLM_ABI >= 10201
    if (from->perf) fill_perf(from->perf, &to->perf);
#endif
}

int callback_call(const struct callbacks *callbacks, void *userdata, LLMCallState state,
                  const struct outcome *rows, size_t n) {
    RKLLMResult results[MAX_BATCH];
    for (size_t i = 0; i < n; i++) fill(&rows[i], &results[i]);
    if (!userdata) userdata = callbacks->result_userdata;
#if RKLLM_ABI < 10200
    /* The only release with a state of its own for this. */
    if (rows->hidden) state = RKLLM_RUN_GET_LAST_HIDDEN_LAYER;
#endif
#if RKLLM_ABI >= 10201
    return callbacks->result(results, userdata, state);
#else
    callbacks->result(results, userdata, state);
    return 0;
#endif
}
