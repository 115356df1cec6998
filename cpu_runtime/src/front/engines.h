/* The engines in this library. */
#ifndef RKLLM_CPU_ENGINES_H
#define RKLLM_CPU_ENGINES_H

#include "engine.h"

/* The engine that reads this file, or NULL with the reason in *error. */
const engine *engines_choose(const char *path, engine_error *error);

/* What rkllm_cpu_backend tells. */
extern const char engines_about[];

#endif
