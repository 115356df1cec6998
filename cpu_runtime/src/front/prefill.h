/* Evaluating the prompt of a run. */
#ifndef RKLLM_CPU_PREFILL_H
#define RKLLM_CPU_PREFILL_H

#include "run_state.h"

/* Take from a saved prompt what this one begins with; the rest is still to be evaluated. */
void prefill_saved(struct engine_host *run);

/* Take from what was cut off the end of the cache what this prompt begins with, where the run is
 * kept. The vendor's changelog of 1.2.0 calls it "automatic prompt cache reuse". */
void prefill_cut_off(struct engine_host *run);

/* Evaluate the prompt. Where `all` is not NULL it gets an array of the prompt's logits or hidden
 * states, to be freed. Returns an ENGINE_ code. */
int prefill(struct engine_host *run, float **all, engine_error *error);

#endif
