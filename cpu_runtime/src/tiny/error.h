/* Refusals in one plain sentence, and the checked arithmetic that avoids worse. */
#ifndef RKLLM_CPU_TINY_ERROR_H
#define RKLLM_CPU_TINY_ERROR_H

#include "engine.h"

/* A run of bytes inside a file: not NUL-terminated, any bytes. */
typedef struct {
    const char *at;
    size_t length;
} tiny_text;

enum { TINY_NAME = 72 };

/* Fills error->text (error may be NULL) and returns ENGINE_REFUSED. */
int tiny_refuse(engine_error *error, const char *format, ...);
int tiny_no_memory(engine_error *error);

/* A name out of a file, shortened and made printable for a message. */
const char *tiny_shown(tiny_text name, char shown[TINY_NAME]);

/* false where a * b does not fit. */
bool tiny_multiply(size_t a, size_t b, size_t *product);

/* `count` floats on a cache line's border, uninitialised; NULL when memory is short. */
float *tiny_floats(size_t count);

#endif
