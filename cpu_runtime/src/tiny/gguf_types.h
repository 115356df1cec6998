/* What a GGUF file consists of, and the numbers in its bytes. Everything points into the file's
 * bytes, which stay until tiny_gguf_close. */
#ifndef RKLLM_CPU_TINY_GGUF_TYPES_H
#define RKLLM_CPU_TINY_GGUF_TYPES_H

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

#endif
