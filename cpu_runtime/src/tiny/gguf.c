/* Reads the file, its header and its metadata. */
#include "gguf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cursor.h"
#include "tensor.h"

/* Far above what a model of this engine has, far below what would hurt. */
enum { MOST_KVS = 4096 };
static const uint64_t most_bytes = (uint64_t)2 << 30;

static const char ends_early[] = "the file ends within its metadata";

/* Bytes of one value; 0 for strings and arrays, whose size the file itself says. */
static size_t size_of_type(uint32_t type)
{
    static const uint8_t sizes[GGUF_KINDS] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return type < GGUF_KINDS ? sizes[type] : 0;
}

static int take_array(tiny_cursor *cursor, tiny_kv *kv, engine_error *error)
{
    uint64_t count;
    char shown[TINY_NAME];
    if (!tiny_take_u32(cursor, &kv->element) || !tiny_take_u64(cursor, &count))
        return tiny_refuse(error, ends_early);
    size_t each = size_of_type(kv->element);
    if (!each && kv->element != GGUF_STRING)
        return tiny_refuse(error, "the key %s is an array of a type that is not known",
                           tiny_shown(kv->key, shown));
    /* A string takes 8 bytes for its length at least. */
    if (count > cursor->left / (each ? each : 8))
        return tiny_refuse(error, "the array %s is longer than the file",
                           tiny_shown(kv->key, shown));
    kv->count = (size_t)count;
    kv->value = cursor->at;
    if (each) {
        tiny_take(cursor, kv->count * each, &kv->value);
    } else {
        tiny_text skipped;
        for (size_t i = 0; i < kv->count; i++)
            if (!tiny_take_text(cursor, &skipped))
                return tiny_refuse(error, "the array %s is longer than the file",
                                   tiny_shown(kv->key, shown));
    }
    kv->size = (size_t)(cursor->at - kv->value);
    return ENGINE_OK;
}

static int take_kv(tiny_cursor *cursor, tiny_kv *kv, engine_error *error)
{
    char shown[TINY_NAME];
    if (!tiny_take_text(cursor, &kv->key) || !tiny_take_u32(cursor, &kv->type))
        return tiny_refuse(error, ends_early);
    if (kv->type == GGUF_ARRAY)
        return take_array(cursor, kv, error);
    if (kv->type == GGUF_STRING) {
        tiny_text text;
        if (!tiny_take_text(cursor, &text))
            return tiny_refuse(error, ends_early);
        kv->value = (const uint8_t *)text.at;
        kv->size = text.length;
        return ENGINE_OK;
    }
    kv->size = size_of_type(kv->type);
    if (!kv->size)
        return tiny_refuse(error, "the key %s has a type that is not known",
                           tiny_shown(kv->key, shown));
    if (!tiny_take(cursor, kv->size, &kv->value))
        return tiny_refuse(error, ends_early);
    return ENGINE_OK;
}

static int parse_header(tiny_gguf *file, tiny_cursor *cursor, engine_error *error)
{
    const uint8_t *magic;
    uint32_t version;
    uint64_t n_tensors, n_kvs;
    if (!tiny_take(cursor, 4, &magic) || memcmp(magic, "GGUF", 4) != 0)
        return tiny_refuse(error, "the file is not a GGUF file");
    if (!tiny_take_u32(cursor, &version) || !tiny_take_u64(cursor, &n_tensors) ||
        !tiny_take_u64(cursor, &n_kvs))
        return tiny_refuse(error, "the file ends within its header");
    if (version != 2 && version != 3)
        return tiny_refuse(error, "the GGUF version %u is not supported, only 2 and 3 are",
                           (unsigned)version);
    /* A key takes 13 bytes at least, a tensor's entry 32. */
    if (n_kvs > MOST_KVS || n_kvs > cursor->left / 13)
        return tiny_refuse(error, "the file claims more keys than it can hold");
    if (n_tensors > cursor->left / 32)
        return tiny_refuse(error, "the file claims more tensors than it can hold");
    file->n_kvs = (size_t)n_kvs;
    file->n_tensors = (size_t)n_tensors;
    file->kvs = calloc(file->n_kvs + 1, sizeof *file->kvs);
    file->tensors = calloc(file->n_tensors + 1, sizeof *file->tensors);
    return file->kvs && file->tensors ? ENGINE_OK : tiny_no_memory(error);
}

static int parse(tiny_gguf *file, engine_error *error)
{
    tiny_cursor cursor = {file->bytes, file->size};
    int result = parse_header(file, &cursor, error);
    for (size_t i = 0; result == ENGINE_OK && i < file->n_kvs; i++)
        result = take_kv(&cursor, &file->kvs[i], error);
    return result == ENGINE_OK ? tiny_parse_tensors(file, &cursor, error) : result;
}

int tiny_gguf_parse(tiny_gguf *file, const uint8_t *bytes, size_t size, engine_error *error)
{
    *file = (tiny_gguf){.bytes = bytes, .size = size};
    int result = parse(file, error);
    if (result != ENGINE_OK)
        tiny_gguf_close(file);
    return result;
}

static uint8_t *read_all(int descriptor, size_t size)
{
    uint8_t *bytes = malloc(size ? size : 1);
    size_t done = 0;
    while (bytes && done < size) {
        ssize_t got = read(descriptor, bytes + done, size - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) { /* an error, or the file has shrunk */
            free(bytes);
            return NULL;
        }
        done += (size_t)got;
    }
    return bytes;
}

/* Read whole instead of mapped: a file that shrinks under a map would kill the process. */
static int read_file(int descriptor, uint8_t **bytes, size_t *size, engine_error *error)
{
    struct stat status;
    if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode))
        return tiny_refuse(error, "the model is not a regular file");
    if ((uint64_t)status.st_size > most_bytes)
        return tiny_refuse(error, "the model is larger than 2 GiB");
    *size = (size_t)status.st_size;
    *bytes = read_all(descriptor, *size);
    return *bytes ? ENGINE_OK : tiny_refuse(error, "the model file cannot be read");
}

int tiny_gguf_open(tiny_gguf *file, const char *path, engine_error *error)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    /* O_NONBLOCK: opening a FIFO must not wait for its writer. */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return tiny_refuse(error, "the model file cannot be opened");
    int result = read_file(descriptor, &bytes, &size, error);
    close(descriptor);
    if (result != ENGINE_OK)
        return result;
    result = tiny_gguf_parse(file, bytes, size, error);
    if (result == ENGINE_OK)
        file->owned = bytes;
    else
        free(bytes);
    return result;
}

void tiny_gguf_close(tiny_gguf *file)
{
    free(file->kvs);
    free(file->tensors);
    free(file->owned);
    *file = (tiny_gguf){0};
}

bool tiny_gguf_recognises(const uint8_t *head, size_t size)
{
    return size >= 4 && memcmp(head, "GGUF", 4) == 0;
}
