/* A GGUF file (version 2 or 3, little-endian) taken apart, nothing in it believed unchecked.
 *
 * Everything handed out points into the file's bytes, which stay until tiny_gguf_close. What the
 * reader keeps besides them is bounded by the size of the file.
 */
#ifndef RKLLM_CPU_TINY_GGUF_H
#define RKLLM_CPU_TINY_GGUF_H

#include "gguf_types.h"

bool tiny_gguf_recognises(const uint8_t *head, size_t size);

/* On ENGINE_REFUSED there is nothing to close. */
int tiny_gguf_open(tiny_gguf *file, const char *path, engine_error *error);
int tiny_gguf_parse(tiny_gguf *file, const uint8_t *bytes, size_t size, engine_error *error);
void tiny_gguf_close(tiny_gguf *file);

#endif
