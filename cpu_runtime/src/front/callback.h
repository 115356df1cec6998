/* Calling the user back. */
#ifndef RKLLM_CPU_CALLBACK_H
#define RKLLM_CPU_CALLBACK_H

#include "perf.h"
#include "settings.h"

enum { MAX_BATCH = 100 };

/* One result, whatever the release makes of it. */
struct outcome {
    const char *text;
    int32_t token_id;
    const float *hidden, *logits; /* n_rows rows of the given width */
    int32_t n_embd, n_vocab, n_rows;
    const struct perf_figures *perf;
};

/* Call back with n rows of a batch. Returns what the callback returns, 0 where it is void. */
int callback_call(const struct callbacks *callbacks, void *userdata, LLMCallState state,
                  const struct outcome *rows, size_t n);

#endif
