/* Evaluating tokens of a run, in a context that has room for them. */
#ifndef RKLLM_CPU_EVALUATE_H
#define RKLLM_CPU_EVALUATE_H

#include "run_state.h"

/* Make room in the context for n more; false when that is impossible. */
bool run_make_room(struct engine_host *run, size_t n);

/* Evaluate tokens, or rows in their place, through the user's embeddings where there are any.
 * Returns an ENGINE_ code. */
int run_evaluate(struct engine_host *run, const int32_t *ids, const float *rows, size_t n,
                 engine_rows keep, const atomic_bool *stop, engine_error *error);

#endif
