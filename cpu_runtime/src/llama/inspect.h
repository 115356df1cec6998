/* What kind of GGUF file a file is, before the library reads it. */
#ifndef RKLLM_CPU_LLAMA_INSPECT_H
#define RKLLM_CPU_LLAMA_INSPECT_H

#include "engine.h"

/* Refuse, in a sentence that says what it is, a file that is no whole language model: a part of a
 * split one, an adapter, a vision projector, one cut short. */
int llama_inspect(const char *path, engine_error *error);

#endif
