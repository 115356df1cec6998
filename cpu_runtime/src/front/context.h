/* What the model's cache holds: one token id per position, in step with the engine. */
#ifndef RKLLM_CPU_CONTEXT_H
#define RKLLM_CPU_CONTEXT_H

#include "engine.h"

enum { NO_TOKEN = -1 }; /* the id of a position that came from an embedding */

struct context {
    const engine *engine;
    engine_model *model;
    int32_t *ids;
    size_t n, capacity;
    size_t n_system;  /* positions at the start that are the system prompt */
    size_t run_start; /* where the run under way, or paused, began */
    size_t n_evaluated; /* positions at the start, those that were cut off the end included, that
                           the engine holds as if `ids` had been evaluated from the first on */
    uint64_t adapter;   /* with which they were evaluated; 0: none */
};

bool context_open(struct context *context, const engine *runs, engine_model *model,
                  size_t capacity);
void context_close(struct context *context);

/* Evaluate n tokens after what is there, or the embeddings in their place; the caller has seen to
 * the room. `keep` as in `decode`. An engine that plays evaluates nothing, its tokens are only
 * counted. Returns ENGINE_OK, ENGINE_REFUSED or ENGINE_ABORTED; unless OK, nothing has been added. */
int context_read(struct context *context, const int32_t *ids, const float *embeddings, size_t n,
                 engine_rows keep, const atomic_bool *stop, engine_error *error);

/* Take the positions [from, to) out; later ones move down. */
bool context_cut(struct context *context, size_t from, size_t to);

/* What follows is evaluated with this adapter; 0: none. */
void context_use_adapter(struct context *context, uint64_t adapter);

/* Put back what was cut off the end, as far as it is what `ids` begin with; the last of the n ids
 * stays out, which has to be evaluated for its logits. Returns how many are back. */
size_t context_restore(struct context *context, const int32_t *ids, size_t n);

/* Forget what was cut off: the caller has changed what the engine holds. */
void context_forget_cut(struct context *context);

/* Make room for n more by dropping the oldest positions after the first `keep`: at least half of
 * them, so that it does not have to be done for every token. False when that cannot be. */
bool context_make_room(struct context *context, size_t n, size_t keep);

#endif
