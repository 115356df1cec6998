/* What engines cannot do, in words: for refusals and for rkllm_cpu_limits. */
#ifndef RKLLM_CPU_LIMITS_H
#define RKLLM_CPU_LIMITS_H

#include "engine.h"

/* NULL, or why something is refused: the sentence of the lowest bit that both sets have. */
const char *limits_fault(unsigned lacks, unsigned needs);

/* One line per engine, "tiny: batch, cross_attention, video\n". Returns the length written, at
 * most `room` - 1. */
size_t limits_write(const engine *const *engines, size_t n, char *to, size_t room);

#endif
