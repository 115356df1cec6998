/* The tensors of a GGUF file. */
#ifndef RKLLM_CPU_TINY_TENSOR_H
#define RKLLM_CPU_TINY_TENSOR_H

#include "cursor.h"

/* Reads the list of tensors, which comes after the metadata. */
int tiny_parse_tensors(tiny_gguf *file, tiny_cursor *cursor, engine_error *error);

/* NULL where there is none of that name. */
tiny_tensor *tiny_gguf_tensor(const tiny_gguf *file, const char *name);
/* Row `row` (dims[0] values) as floats. */
void tiny_tensor_row(const tiny_tensor *tensor, size_t row, float *to);
/* The same of a Q8_0 tensor as its bytes, and a scale for every 32 of them. */
void tiny_tensor_q8_row(const tiny_tensor *tensor, size_t row, int8_t *values, float *scales);

#endif
