/* Generating an answer. */
#ifndef RKLLM_CPU_GENERATE_H
#define RKLLM_CPU_GENERATE_H

#include "run_state.h"

/* Generate an answer to what has been evaluated. Returns what rkllm_run is to return. */
int generate(struct engine_host *run);

#endif
