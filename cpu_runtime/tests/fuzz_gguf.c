/* Damages a GGUF file in many ways and sees that nothing worse than a refusal comes of it.
 *
 *     cc -std=c11 -D_GNU_SOURCE -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all \
 *         -ffp-contract=off -I../src fuzz_gguf.c ../src/tiny_*.c -lm -o fuzz_gguf
 *     ./fuzz_gguf FILE SEED COUNT [MODEL]
 *
 * Variant i depends on FILE and SEED + i alone. Where MODEL is given, FILE is an adapter for it. A
 * variant that hangs dies of SIGALRM. With -DLIBFUZZER and -fsanitize=fuzzer it is libFuzzer's.
 */
#include "tiny/gguf.h"
#include "tiny/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONTEXT = 48, TOKENS = 40, SECONDS = 30 };
static const engine *const tiny = &engine_tiny;

static void decode_some(engine_model *model)
{
    int32_t tokens[TOKENS];
    static const char text[] = "<|user|>What does len do? caf\xc3\xa9 \xff<|end|>";
    int64_t n = tiny->tokenize(model, text, sizeof text, true, tokens, TOKENS);
    const char *bytes;
    if (n < 1)
        return;
    size_t count = n < TOKENS ? (size_t)n : TOKENS;
    for (size_t i = 0; i < count; i++)
        tiny->piece(model, tokens[i], false, &bytes);
    tiny->decode(model, tokens, NULL, count, 0, ROWS_LOGITS, NULL, NULL);
    if (count > 2)
        tiny->erase(model, 1, 2);
    tiny->decode(model, tokens, NULL, 1, model->cache.n_used, ROWS_LAST, NULL, NULL);
}

static bool exercise_model(const uint8_t *bytes, size_t size)
{
    const engine_options options = {.n_ctx = CONTEXT, .threads = 1};
    engine_model *model;
    engine_error error;
    if (tiny_open_memory(bytes, size, &options, &model, &error) != ENGINE_OK)
        return false;
    decode_some(model);
    tiny->close(model);
    return true;
}

#ifdef LIBFUZZER

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    exercise_model(data, size);
    return 0;
}

#else

static bool exercise_adapter(const char *path, const uint8_t *bytes, size_t size)
{
    const engine_options options = {.n_ctx = CONTEXT, .threads = 1};
    engine_model *model;
    engine_error error;
    if (tiny->open(path, &options, &model, &error) != ENGINE_OK) {
        printf("%s does not open: %s\n", path, error.text);
        exit(2);
    }
    int index = tiny_lora_load_memory(model, bytes, size, 1.0f, &error);
    if (index >= 0) {
        tiny->lora_use(model, index);
        decode_some(model);
    }
    tiny->close(model);
    return index >= 0;
}

/* ---- damage ---- */

typedef struct {
    uint8_t *bytes;
    size_t size, head; /* head: bytes before the tensors' values */
    const tiny_gguf *original;
    uint64_t random;
} variant;

static uint64_t draw(variant *v)
{
    v->random += 0x9e3779b97f4a7c15u;
    uint64_t z = v->random;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static size_t below(variant *v, size_t limit)
{
    return limit ? (size_t)(draw(v) % limit) : 0;
}

/* Mostly within the metadata, where the structure is. */
static size_t somewhere(variant *v)
{
    size_t head = v->head < v->size ? v->head : v->size;
    return below(v, draw(v) % 8 ? head : v->size);
}

static void put(variant *v, size_t at, const void *what, size_t n)
{
    if (at <= v->size && n <= v->size - at)
        memcpy(v->bytes + at, what, n);
}

static void flip_bits(variant *v)
{
    for (size_t n = 1 + below(v, 8); v->size && n; n--)
        v->bytes[somewhere(v)] ^= (uint8_t)(1u << below(v, 8));
}

static void truncate_file(variant *v)
{
    v->size = somewhere(v);
}

static uint64_t telling_number(variant *v)
{
    static const uint64_t numbers[] = {
        0, 1, 2, 3, 31, 33, 0x7f, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
        0x3fffffffffffffff, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffe0,
        0xffffffffffffffff, 0x7fc000007f800000 /* not a number, infinity */};
    return numbers[below(v, sizeof numbers / sizeof *numbers)] + (draw(v) % 4 ? 0 : below(v, 64));
}

static void write_number(variant *v)
{
    uint64_t number = telling_number(v);
    put(v, somewhere(v), &number, draw(v) % 2 ? 8 : 4);
}

/* Goes for a value that the reader will use. */
static void hit_value(variant *v)
{
    const tiny_gguf *file = v->original;
    if (!file->n_kvs)
        return;
    const tiny_kv *kv = &file->kvs[below(v, file->n_kvs)];
    uint64_t number = telling_number(v);
    size_t at = (size_t)(kv->value - file->bytes);
    bool lengths = kv->type == GGUF_ARRAY || kv->type == GGUF_STRING;
    if (lengths && draw(v) % 2)
        put(v, at - 8, &number, 8);
    else
        put(v, at + below(v, kv->size), &number, kv->size < 8 ? kv->size : 8);
}

/* The dimensions, the type and the offset come right after a tensor's name. */
static void hit_tensor(variant *v)
{
    const tiny_gguf *file = v->original;
    if (!file->n_tensors)
        return;
    const tiny_text name = file->tensors[below(v, file->n_tensors)].name;
    size_t at = (size_t)((const uint8_t *)name.at - file->bytes) + name.length;
    uint64_t number = telling_number(v);
    put(v, at + 4 * below(v, 9), &number, draw(v) % 2 ? 8 : 4);
}

static void swap_words(variant *v)
{
    uint8_t a[8], b[8];
    size_t at = somewhere(v), other = somewhere(v);
    if (at + 8 > v->size || other + 8 > v->size)
        return;
    memcpy(a, v->bytes + at, 8);
    memcpy(b, v->bytes + other, 8);
    put(v, at, b, 8);
    put(v, other, a, 8);
}

static void repeat_chunk(variant *v)
{
    size_t from = somewhere(v), to = somewhere(v), n = 1 + below(v, 256);
    if (from + n <= v->size && to + n <= v->size)
        memmove(v->bytes + to, v->bytes + from, n);
}

static void remove_chunk(variant *v)
{
    size_t from = somewhere(v), n = 1 + below(v, 64);
    if (from + n > v->size)
        return;
    memmove(v->bytes + from, v->bytes + from + n, v->size - from - n);
    v->size -= n;
}

static void damage(variant *v)
{
    static void (*const ways[])(variant *) = {flip_bits,  truncate_file, write_number,
                                              hit_value,  hit_tensor,    swap_words,
                                              hit_value,  repeat_chunk,  remove_chunk};
    for (size_t n = 1 + below(v, 3); n; n--)
        ways[below(v, sizeof ways / sizeof *ways)](v);
}

static size_t head_size(const tiny_gguf *file)
{
    size_t head = file->size;
    for (size_t i = 0; i < file->n_tensors; i++) {
        size_t at = (size_t)(file->tensors[i].data - file->bytes);
        head = at < head ? at : head;
    }
    return head;
}

/* The bytes go into a block of just their size, so that a sanitizer sees every overrun. */
static bool try_variant(const tiny_gguf *file, uint64_t seed, const char *model)
{
    uint8_t *bytes = malloc(file->size);
    if (!bytes)
        exit(2);
    memcpy(bytes, file->bytes, file->size);
    variant v = {bytes, file->size, head_size(file), file, seed};
    damage(&v);
    uint8_t *exact = malloc(v.size ? v.size : 1);
    if (!exact)
        exit(2);
    memcpy(exact, bytes, v.size);
    free(bytes);
    alarm(SECONDS);
    bool loaded = model ? exercise_adapter(model, exact, v.size) : exercise_model(exact, v.size);
    free(exact);
    return loaded;
}

int main(int count, char **arguments)
{
    tiny_gguf file;
    engine_error error;
    if (count < 4) {
        fprintf(stderr, "usage: %s FILE SEED COUNT [MODEL]\n", arguments[0]);
        return 2;
    }
    if (tiny_gguf_open(&file, arguments[1], &error) != ENGINE_OK) {
        fprintf(stderr, "%s: %s\n", arguments[1], error.text);
        return 2;
    }
    uint64_t seed = strtoull(arguments[2], NULL, 10);
    unsigned long n = strtoul(arguments[3], NULL, 10), loaded = 0;
    for (unsigned long i = 0; i < n; i++)
        loaded += try_variant(&file, seed + i, count > 4 ? arguments[4] : NULL);
    tiny_gguf_close(&file);
    printf("%lu damaged files: %lu refused, %lu loaded\n", n, n - loaded, loaded);
    return 0;
}

#endif
