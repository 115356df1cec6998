/* Evaluated prompts that are kept in a file ("prompt cache"), so that a long one need not be
 * evaluated again. */
#ifndef RKLLM_CPU_PROMPT_CACHE_H
#define RKLLM_CPU_PROMPT_CACHE_H

#include "context.h"

#define PROMPT_CACHE_DEFAULT_PATH "./prompt_cache.bin"

/* One that was loaded. All zero: none. */
struct prompt_cache {
    int32_t *ids;
    size_t n;
    uint8_t *state; /* the engine's */
    size_t size;
    uint64_t lora; /* prompt_cache_lora of the adapter that was in force */
};

/* What stands for an adapter's name in the file; 0 for none. */
uint64_t prompt_cache_lora(const char *name);

/* Write everything the context holds. The file replaces an older one in one step, and only its
 * owner may read it: it holds what was said. */
bool prompt_cache_write(const char *path, const struct context *context, const engine_facts *facts,
                        uint64_t lora, engine_error *error);

/* Read a file that this model can use; *saved was empty. */
bool prompt_cache_read(struct prompt_cache *saved, const char *path, const struct context *context,
                       const engine_facts *facts, engine_error *error);
void prompt_cache_free(struct prompt_cache *saved);

/* Put into the empty context what the saved prompt and these tokens begin with in common, but at
 * most n - 1 of them. Returns how many. */
size_t prompt_cache_restore(const struct prompt_cache *saved, struct context *context,
                            uint64_t lora, const int32_t *ids, size_t n);

#endif
