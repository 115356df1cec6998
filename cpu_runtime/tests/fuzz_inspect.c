/* Damaged GGUF files before the engine llama: fuzz_inspect MODEL SEED COUNT. Nothing is given to
 * a libllama, whose readers are not this project's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "front/rng.h"
#include "llama/inspect.h"

static uint8_t *read_model(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*size);
    bool ok = bytes && fread(bytes, 1, *size, file) == *size;
    fclose(file);
    return ok ? bytes : NULL;
}

static uint32_t below(struct rng *random, uint32_t n) {
    return (uint32_t)(rng_next(random) * n);
}

/* A few bytes of the head changed, or the end cut off. */
static size_t damage(struct rng *random, uint8_t *bytes, size_t size) {
    for (uint32_t n = 1 + below(random, 4); n > 0; n--) {
        size_t at = below(random, (uint32_t)(size < 8192 ? size : 8192));
        bytes[at] = below(random, 3) ? (uint8_t)below(random, 256) : 0xff;
    }
    return below(random, 4) ? size : 1 + below(random, (uint32_t)size);
}

static bool write_all(const char *path, const uint8_t *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    if (!file) return false;
    bool ok = fwrite(bytes, 1, size, file) == size;
    return fclose(file) == 0 && ok;
}

int main(int argc, char **argv) {
    size_t size;
    if (argc != 4) return 2;
    uint8_t *bytes = read_model(argv[1], &size), *copy = malloc(size);
    char path[] = "/tmp/fuzz_inspect.XXXXXX";
    int descriptor = mkstemp(path), refused = 0;
    long seed = atol(argv[2]), count = atol(argv[3]);
    if (!bytes || !copy || descriptor < 0) return 2;
    close(descriptor);
    for (long i = 0; i < count; i++) {
        struct rng random;
        engine_error error = {""};
        rng_seed(&random, (uint64_t)(seed + i));
        memcpy(copy, bytes, size);
        if (!write_all(path, copy, damage(&random, copy, size))) return 2;
        if (llama_inspect(path, &error) == ENGINE_OK) continue;
        refused++;
        if (!*error.text) {
            printf("variant %ld is refused without a word\n", seed + i);
            return 1;
        }
    }
    unlink(path);
    free(bytes);
    free(copy);
    printf("fuzz_inspect: %ld variants, %d refused\n", count, refused);
    return 0;
}
