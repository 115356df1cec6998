#include "prompt_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file is this, the ids, the engine's state. It is for the machine that wrote it. */
struct head {
    char magic[16];
    uint64_t model, lora; /* hashes of names */
    uint64_t n, state_size;
    uint64_t sum; /* over ids and state */
};

static const char MAGIC[16] = "rkllm-cpu kv 1\n";

/* FNV-1a: finds damage, keeps nobody from writing such a file. */
static uint64_t hash(uint64_t start, const void *bytes, size_t n) {
    const unsigned char *at = bytes;
    for (size_t i = 0; i < n; i++) start = (start ^ at[i]) * 0x100000001B3u;
    return start;
}

static uint64_t hash_text(const char *text) {
    return hash(0xCBF29CE484222325u, text, strlen(text));
}

uint64_t prompt_cache_lora(const char *name) {
    return name ? hash_text(name) : 0;
}

static uint64_t hash_model(const engine_facts *facts) {
    uint64_t sum = hash(hash_text(facts->name), &facts->n_vocab, sizeof facts->n_vocab);
    return hash(sum, &facts->n_embd, sizeof facts->n_embd);
}

static uint64_t hash_body(const struct prompt_cache *saved) {
    uint64_t sum = hash(hash_text(""), saved->ids, saved->n * sizeof *saved->ids);
    return hash(sum, saved->state, saved->size);
}

void prompt_cache_free(struct prompt_cache *saved) {
    free(saved->ids);
    free(saved->state);
    *saved = (struct prompt_cache){0};
}

static bool refuse(engine_error *error, const char *path, const char *why) {
    snprintf(error->text, sizeof error->text, "%.160s: %s", path, why);
    return false;
}

/* ---- Writing ---- */

/* A copy of what the context holds, to be freed in any case. Returns NULL or why there is none. */
static const char *capture(struct prompt_cache *saved, const struct context *context,
                           uint64_t lora) {
    *saved = (struct prompt_cache){.n = context->n, .lora = lora};
    saved->size = context->engine->state_size(context->model, context->n);
    saved->ids = malloc(saved->n * sizeof *saved->ids + 1);
    saved->state = malloc(saved->size + 1);
    if (!saved->ids || !saved->state) return strerror(ENOMEM);
    memcpy(saved->ids, context->ids, saved->n * sizeof *saved->ids);
    int code = context->engine->state_save(context->model, saved->n, saved->state, saved->size);
    return code == ENGINE_OK ? NULL : "this model's cache cannot be saved";
}

/* `path` is a pattern that becomes the name. */
static bool write_file(char *path, const struct head *head, const struct prompt_cache *saved) {
    int descriptor = mkostemp(path, O_CLOEXEC);
    FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "wb");
    if (!file) return false;
    bool ok = fwrite(head, sizeof *head, 1, file) == 1 &&
              fwrite(saved->ids, sizeof *saved->ids, saved->n, file) == saved->n &&
              fwrite(saved->state, 1, saved->size, file) == saved->size;
    return (fclose(file) == 0) && ok;
}

/* Under another name first: nobody finds half a file, also after a crash. */
static bool replace_file(const char *path, const struct head *head,
                         const struct prompt_cache *saved, engine_error *error) {
    char *other;
    if (asprintf(&other, "%s.XXXXXX", path) < 0) return refuse(error, path, strerror(ENOMEM));
    bool ok = write_file(other, head, saved) && rename(other, path) == 0;
    if (!ok) {
        refuse(error, path, strerror(errno));
        unlink(other);
    }
    free(other);
    return ok;
}

bool prompt_cache_write(const char *path, const struct context *context, const engine_facts *facts,
                        uint64_t lora, engine_error *error) {
    struct prompt_cache saved;
    const char *fault = capture(&saved, context, lora);
    if (fault) {
        prompt_cache_free(&saved);
        return refuse(error, path, fault);
    }
    struct head head = {.model = hash_model(facts), .lora = lora, .n = saved.n,
                        .state_size = saved.size, .sum = hash_body(&saved)};
    memcpy(head.magic, MAGIC, sizeof MAGIC);
    bool ok = replace_file(path, &head, &saved, error);
    prompt_cache_free(&saved);
    return ok;
}

/* ---- Reading ---- */

static const char *head_fault(const struct head *head, const struct context *context,
                              const engine_facts *facts) {
    if (memcmp(head->magic, MAGIC, sizeof MAGIC) != 0) return "this is no saved prompt";
    if (head->model != hash_model(facts)) return "it was saved from another model";
    if (head->n == 0 || head->n > context->capacity) return "it does not fit into max_context_len";
    return NULL;
}

static const char *read_body(struct prompt_cache *saved, const struct head *head, FILE *file) {
    *saved = (struct prompt_cache){.n = head->n, .size = head->state_size, .lora = head->lora};
    saved->ids = malloc(saved->n * sizeof *saved->ids);
    saved->state = malloc(saved->size + 1);
    if (!saved->ids || !saved->state) return strerror(ENOMEM);
    bool whole = fread(saved->ids, sizeof *saved->ids, saved->n, file) == saved->n &&
                 fread(saved->state, 1, saved->size, file) == saved->size && fgetc(file) == EOF;
    return whole && hash_body(saved) == head->sum ? NULL : "the file is damaged";
}

static const char *read_all(struct prompt_cache *saved, FILE *file, const struct context *context,
                            const engine_facts *facts) {
    struct head head;
    struct stat status;
    if (fstat(fileno(file), &status) != 0) return strerror(errno);
    if (!S_ISREG(status.st_mode)) return "this is no regular file";
    if (fread(&head, sizeof head, 1, file) != 1) return "this is no saved prompt";
    const char *fault = head_fault(&head, context, facts);
    /* The engine judges the state; here it only must not be larger than its file. */
    if (!fault && head.state_size > (uint64_t)status.st_size) fault = "the file is damaged";
    return fault ? fault : read_body(saved, &head, file);
}

/* Non-blocking, or opening a pipe that nobody writes to would wait for ever. */
static FILE *open_file(const char *path) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return descriptor < 0 ? NULL : fdopen(descriptor, "rb");
}

bool prompt_cache_read(struct prompt_cache *saved, const char *path, const struct context *context,
                       const engine_facts *facts, engine_error *error) {
    FILE *file = open_file(path);
    if (!file) return refuse(error, path, strerror(errno));
    const char *fault = read_all(saved, file, context, facts);
    fclose(file);
    if (!fault) return true;
    prompt_cache_free(saved);
    return refuse(error, path, fault);
}

/* ---- Using ---- */

size_t prompt_cache_restore(const struct prompt_cache *saved, struct context *context,
                            uint64_t lora, const int32_t *ids, size_t n) {
    size_t common = 0;
    if (context->n > 0 || lora != saved->lora) return 0;
    /* The last one is always evaluated: that gives the logits. */
    while (common < saved->n && common + 1 < n && ids[common] == saved->ids[common] &&
           ids[common] != NO_TOKEN) {
        common++;
    }
    if (common == 0) return 0;
    context_forget_cut(context);
    if (context->engine->state_load(context->model, saved->n, saved->state, saved->size) !=
        ENGINE_OK) {
        return 0;
    }
    memcpy(context->ids, ids, common * sizeof *ids);
    context->n = context->n_evaluated = common;
    return common;
}
