/* Takes bytes from a GGUF file one after the other; false where they end. */
#ifndef RKLLM_CPU_TINY_CURSOR_H
#define RKLLM_CPU_TINY_CURSOR_H

#include "gguf_types.h"

typedef struct {
    const uint8_t *at;
    size_t left;
} tiny_cursor;

bool tiny_take(tiny_cursor *cursor, size_t size, const uint8_t **bytes);
bool tiny_take_u32(tiny_cursor *cursor, uint32_t *value);
bool tiny_take_u64(tiny_cursor *cursor, uint64_t *value);
bool tiny_take_text(tiny_cursor *cursor, tiny_text *text);

#endif
