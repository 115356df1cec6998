/* Finds keys in a GGUF file and reads their values. */
#include "metadata.h"

#include <math.h>
#include <string.h>

bool tiny_text_is(tiny_text text, const char *word)
{
    size_t length = strlen(word);
    return text.length == length && memcmp(text.at, word, length) == 0;
}

float tiny_f32(const uint8_t *b)
{
    uint32_t bits = tiny_u32(b);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

const tiny_kv *tiny_find(const tiny_gguf *file, const char *key)
{
    for (size_t i = 0; i < file->n_kvs; i++)
        if (tiny_text_is(file->kvs[i].key, key))
            return &file->kvs[i];
    return NULL;
}

static int wrong_type(const char *key, engine_error *error)
{
    return tiny_refuse(error, "the key %s has the wrong type", key);
}

int tiny_get_text(const tiny_gguf *file, const char *key, tiny_text *value, engine_error *error)
{
    const tiny_kv *kv = tiny_find(file, key);
    if (!kv)
        return ENGINE_OK;
    if (kv->type != GGUF_STRING)
        return wrong_type(key, error);
    *value = (tiny_text){(const char *)kv->value, kv->size};
    return ENGINE_OK;
}

/* Negative numbers come out huge and fail the reader's upper bound. */
static bool whole_number(const tiny_kv *kv, uint64_t *number)
{
    switch (kv->type) {
    case GGUF_U8: *number = kv->value[0]; return true;
    case GGUF_U16: *number = tiny_u16(kv->value); return true;
    case GGUF_U32:
    case GGUF_I32: *number = tiny_u32(kv->value); return true;
    case GGUF_U64:
    case GGUF_I64: *number = tiny_u64(kv->value); return true;
    default: return false;
    }
}

int tiny_get_size(const tiny_gguf *file, const char *key, size_t *value, engine_error *error)
{
    uint64_t number;
    const tiny_kv *kv = tiny_find(file, key);
    if (!kv)
        return ENGINE_OK;
    if (!whole_number(kv, &number))
        return wrong_type(key, error);
    if (number > INT32_MAX)
        return tiny_refuse(error, "the key %s has a value out of range", key);
    *value = (size_t)number;
    return ENGINE_OK;
}

int tiny_get_float(const tiny_gguf *file, const char *key, float *value, engine_error *error)
{
    const tiny_kv *kv = tiny_find(file, key);
    if (!kv)
        return ENGINE_OK;
    if (kv->type != GGUF_F32)
        return wrong_type(key, error);
    *value = tiny_f32(kv->value);
    if (!isfinite(*value))
        return tiny_refuse(error, "the key %s is not a finite number", key);
    return ENGINE_OK;
}

int tiny_get_bool(const tiny_gguf *file, const char *key, bool *value, engine_error *error)
{
    const tiny_kv *kv = tiny_find(file, key);
    if (!kv)
        return ENGINE_OK;
    if (kv->type != GGUF_BOOL)
        return wrong_type(key, error);
    *value = kv->value[0] != 0;
    return ENGINE_OK;
}
