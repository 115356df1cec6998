/* The adapters that were loaded, by name. They cannot be unloaded one by one. */
#ifndef RKLLM_CPU_LORA_H
#define RKLLM_CPU_LORA_H

#include "engine.h"

struct loras {
    char **names; /* the engine's index is the place in this list */
    size_t n;
};

bool loras_load(struct loras *loras, const engine *with, engine_model *model, const char *name,
                const char *path, float scale, engine_error *error);

/* Put one in force for what is evaluated next; NULL: none. Returns NULL or why it refuses. */
const char *loras_use(const struct loras *loras, const engine *with, engine_model *model,
                      const char *name);
void loras_free(struct loras *loras);

#endif
