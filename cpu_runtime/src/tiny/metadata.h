/* Keys of a GGUF file by name. */
#ifndef RKLLM_CPU_TINY_METADATA_H
#define RKLLM_CPU_TINY_METADATA_H

#include "gguf_types.h"

/* A key of the wrong type is refused; one that is absent leaves *value as it was: set it to the
 * default before. */
const tiny_kv *tiny_find(const tiny_gguf *file, const char *key);
int tiny_get_text(const tiny_gguf *file, const char *key, tiny_text *value, engine_error *error);
int tiny_get_size(const tiny_gguf *file, const char *key, size_t *value, engine_error *error);
int tiny_get_float(const tiny_gguf *file, const char *key, float *value, engine_error *error);
int tiny_get_bool(const tiny_gguf *file, const char *key, bool *value, engine_error *error);
bool tiny_text_is(tiny_text text, const char *word);
float tiny_f32(const uint8_t *b);

#endif
