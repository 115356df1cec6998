/* What must not open, and the words it is refused with. */
#include "tiny_check.h"

#include <string.h>

static const engine *const tiny = &engine_tiny;

static void check_refused_path(const char *path, const char *words)
{
    const engine_options options = {.n_ctx = CONTEXT, .threads = 1};
    engine_model *model;
    engine_error error = {{0}};
    CHECK(tiny->open(path, &options, &model, &error) == ENGINE_REFUSED);
    CHECK(model == NULL && strstr(error.text, words));
}

static int try_open(const uint8_t *bytes, size_t size, engine_error *error)
{
    const engine_options options = {.n_ctx = CONTEXT, .threads = 1};
    engine_model *model;
    int result = tiny_open_memory(bytes, size, &options, &model, error);
    tiny->close(model);
    return result;
}

static void check_truncations(const uint8_t *bytes, size_t size)
{
    engine_error error = {{0}};
    CHECK(try_open(bytes, size, &error) == ENGINE_OK);
    for (size_t cut = 64; cut < size; cut += 1 + cut / 256) {
        CHECK(try_open(bytes, size - cut, &error) == ENGINE_REFUSED);
        CHECK(error.text[0] && !strchr(error.text, '\n'));
    }
    CHECK(try_open(bytes, size - 64, &error) && strstr(error.text, "lies beyond the end"));
    CHECK(try_open(bytes, 3, &error) && strstr(error.text, "not a GGUF file"));
    CHECK(try_open(bytes, 5, &error) && strstr(error.text, "header"));
}

static void check_damage(uint8_t *bytes, size_t size)
{
    engine_error error = {{0}};
    uint8_t version = bytes[4];
    bytes[4] = 1;
    CHECK(try_open(bytes, size, &error) && strstr(error.text, "version 1"));
    bytes[4] = version;
    bytes[15] = 0x80; /* 2^63 tensors */
    CHECK(try_open(bytes, size, &error) && strstr(error.text, "more tensors"));
    bytes[15] = 0;
    memset(bytes + size - 4, 0xff, 4); /* of an F32 matrix: not a number */
    CHECK(try_open(bytes, size, &error) && strstr(error.text, "not a finite number"));
}

void check_refusals(const char *path, const char *adapter)
{
    tiny_gguf file;
    engine_error error;
    check_refused_path("no/such/file", "cannot be opened");
    check_refused_path(".", "not a regular file");
    check_refused_path("/dev/null", "not a regular file");
    check_refused_path(adapter, "tokenizer.ggml");
    CHECK(tiny_gguf_open(&file, path, &error) == ENGINE_OK);
    check_truncations(file.bytes, file.size);
    check_damage(file.owned, file.size);
    tiny_gguf_close(&file);
    CHECK(tiny->recognises((const uint8_t *)"GGUF", 4));
    CHECK(!tiny->recognises((const uint8_t *)"GGU", 3));
    tiny->close(NULL);
}
