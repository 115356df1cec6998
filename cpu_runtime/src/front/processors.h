/* How many processors a model may keep busy. */
#ifndef RKLLM_CPU_PROCESSORS_H
#define RKLLM_CPU_PROCESSORS_H

#include <stdint.h>

/* Those that this process may use: its affinity, or less where a control group gives it less
 * time. At least 1. */
int32_t processors_allowed(void);

/* How many of them one model uses, where the caller wants at most `wanted` (0: no limit). One is left
 * to other programs, unless the process was given fewer than the machine has. Threads of llama.cpp
 * wait for each other by spinning: where two share a processor, each waits for a whole slice of time
 * again and again. */
int32_t processors_to_use(int32_t wanted);

/* $RKLLM_CPU_THREADS within 1 .. processors_allowed(), or 0 where it is no number above 0. */
int32_t processors_in_environment(void);

#endif
