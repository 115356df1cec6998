/* The engines in this library. */
#ifndef RKLLM_CPU_ENGINES_H
#define RKLLM_CPU_ENGINES_H

#include "engine.h"

/* The engine that reads this file, or NULL with the reason in *error. */
const engine *engines_choose(const char *path, engine_error *error);

/* What rkllm_cpu_backend, rkllm_cpu_problem and rkllm_cpu_limits return. */
const char *engines_about(void);
const char *engines_problem(void);
const char *engines_limits(void);

/* What an engine computes on: "cpu", or the devices of llama.cpp. */
const char *engines_platform(const engine *which);

#endif
