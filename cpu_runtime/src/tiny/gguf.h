/* A GGUF file (version 2 or 3, little-endian) taken apart, nothing in it believed unchecked.
 *
 * Everything handed out points into the file's bytes, which stay until tiny_gguf_close. What the
 * reader keeps besides them is bounded by the size of the file.
 */
#ifndef RKLLM_CPU_TINY_GGUF_H
#define RKLLM_CPU_TINY_GGUF_H

#include "error.h"

enum {
    GGUF_U8 = 0, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL,
    GGUF_STRING, GGUF_ARRAY, GGUF_U64, GGUF_I64, GGUF_F64, GGUF_KINDS
};

enum { TENSOR_F32 = 0, TENSOR_F16 = 1, TENSOR_Q8_0 = 8 };

typedef struct {
    tiny_text key;
    uint32_t type;        /* GGUF_... */
    uint32_t element;     /* of an array: the type of its elements */
    size_t count;         /* of an array: how many */
    const uint8_t *value; /* a string's or an array's begins after its lengths */
    size_t size;          /* in bytes */
} tiny_kv;

typedef struct {
    tiny_text name;
    uint32_t type;        /* TENSOR_... */
    size_t dims[4];       /* dims[0] runs fastest; 1 where the tensor has fewer */
    uint64_t offset;
    const uint8_t *data;
    size_t bytes;
    bool used;            /* found by tiny_gguf_tensor */
} tiny_tensor;

typedef struct {
    uint8_t *owned;       /* the bytes, where the reader read them itself */
    const uint8_t *bytes;
    size_t size;
    tiny_kv *kvs;
    size_t n_kvs;
    tiny_tensor *tensors;
    size_t n_tensors;
} tiny_gguf;

bool tiny_gguf_recognises(const uint8_t *head, size_t size);

/* On ENGINE_REFUSED there is nothing to close. */
int tiny_gguf_open(tiny_gguf *file, const char *path, engine_error *error);
int tiny_gguf_parse(tiny_gguf *file, const uint8_t *bytes, size_t size, engine_error *error);
void tiny_gguf_close(tiny_gguf *file);

/* The part of parsing that concerns the tensors' list (tiny_tensor.c). */
typedef struct {
    const uint8_t *at;
    size_t left;
} tiny_cursor;

bool tiny_take(tiny_cursor *cursor, size_t size, const uint8_t **bytes);
bool tiny_take_u32(tiny_cursor *cursor, uint32_t *value);
bool tiny_take_u64(tiny_cursor *cursor, uint64_t *value);
bool tiny_take_text(tiny_cursor *cursor, tiny_text *text);
int tiny_parse_tensors(tiny_gguf *file, tiny_cursor *cursor, engine_error *error);

/* Metadata (tiny_metadata.c). A key of the wrong type is refused; one that is absent leaves *value
 * as it was, so that set it to the default before. */
const tiny_kv *tiny_find(const tiny_gguf *file, const char *key);
int tiny_get_text(const tiny_gguf *file, const char *key, tiny_text *value, engine_error *error);
int tiny_get_size(const tiny_gguf *file, const char *key, size_t *value, engine_error *error);
int tiny_get_float(const tiny_gguf *file, const char *key, float *value, engine_error *error);
int tiny_get_bool(const tiny_gguf *file, const char *key, bool *value, engine_error *error);
bool tiny_text_is(tiny_text text, const char *word);

/* Tensors (tiny_tensor.c). NULL where there is none of that name. */
tiny_tensor *tiny_gguf_tensor(const tiny_gguf *file, const char *name);
/* Row `row` (dims[0] values) as floats. */
void tiny_tensor_row(const tiny_tensor *tensor, size_t row, float *to);

static inline uint16_t tiny_u16(const uint8_t *b)
{
    return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t tiny_u32(const uint8_t *b)
{
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline uint64_t tiny_u64(const uint8_t *b)
{
    return tiny_u32(b) | (uint64_t)tiny_u32(b + 4) << 32;
}

float tiny_f32(const uint8_t *b);

#endif
