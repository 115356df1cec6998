#include "engines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "limits.h"

#ifdef RKLLM_LLAMA
static const engine *const ENGINES[] = {&engine_llama, &engine_scripted};
#else
static const engine *const ENGINES[] = {&engine_tiny, &engine_scripted};
#endif
enum { N_ENGINES = sizeof ENGINES / sizeof *ENGINES };

const char *engines_about(void) {
#ifdef RKLLM_LLAMA
    return llama_about();
#else
    return "cpu (tiny, scripted)";
#endif
}

const char *engines_problem(void) {
#ifdef RKLLM_LLAMA
    return llama_problem();
#else
    return NULL;
#endif
}

const char *engines_platform(const engine *which) {
#ifdef RKLLM_LLAMA
    if (which == &engine_llama) return llama_devices();
#endif
    (void)which;
    return "cpu";
}

const char *engines_limits(void) {
    static char text[512]; /* always the same, so that threads may write it at the same time */
    limits_write(ENGINES, N_ENGINES, text, sizeof text);
    return text;
}

static bool is_npu_model(const char *path) {
    const char *suffix = strrchr(path, '.');
    return suffix && strcasecmp(suffix, ".rkllm") == 0;
}

/* The file's first bytes; -1 with errno when it cannot be read. */
static ssize_t read_head(const char *path, uint8_t *head, size_t size) {
    /* Non-blocking, or opening a pipe that nobody writes to would wait for ever. */
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return -1;
    struct stat status;
    ssize_t length = -1;
    if (fstat(file, &status) == 0) {
        if (S_ISREG(status.st_mode)) {
            length = read(file, head, size);
        } else {
            errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
        }
    }
    int reason = errno;
    close(file);
    errno = reason;
    return length;
}

/* What people take for a model by mistake. */
static const struct {
    const char *head, *sentence;
} MISTAKES[] = {
    {"version https://git-lfs", "is a pointer of Git LFS, not the model: run 'git lfs pull'"},
    {"<!DOCTYPE", "is a web page, not the model: download the file itself"},
    {"<!doctype", "is a web page, not the model: download the file itself"},
    {"<html", "is a web page, not the model: download the file itself"},
    {"PK\x03\x04", "is a ZIP archive: unpack it"},
    {"\x1f\x8b", "is compressed: unpack it"},
    {"lmgg", "is of a format before GGUF: convert it, or get the model as GGUF"},
    {"fmgg", "is of a format before GGUF: convert it, or get the model as GGUF"},
    {"tjgg", "is of a format before GGUF: convert it, or get the model as GGUF"},
};

static const char *what_else(const uint8_t *head, size_t size) {
    if (size == 0) return "is empty";
    for (size_t i = 0; i < sizeof MISTAKES / sizeof *MISTAKES; i++) {
        size_t length = strlen(MISTAKES[i].head);
        if (size >= length && memcmp(head, MISTAKES[i].head, length) == 0) {
            return MISTAKES[i].sentence;
        }
    }
    /* Eight bytes of length, then JSON. */
    if (size > 9 && head[7] == 0 && head[8] == '{') {
        return "is a safetensors file: convert it to GGUF";
    }
    return "is neither a GGUF file nor a script";
}

const engine *engines_choose(const char *path, engine_error *error) {
    uint8_t head[64];
    if (is_npu_model(path)) {
        snprintf(error->text, sizeof error->text,
                 "a .rkllm model needs the NPU; the CPU runtime reads GGUF files and scripts");
        return NULL;
    }
    ssize_t length = read_head(path, head, sizeof head);
    if (length < 0) {
        snprintf(error->text, sizeof error->text, "cannot read %.160s: %s", path, strerror(errno));
        return NULL;
    }
    for (size_t i = 0; i < N_ENGINES; i++) {
        if (ENGINES[i]->recognises(head, (size_t)length)) return ENGINES[i];
    }
    snprintf(error->text, sizeof error->text, "%.160s %s", path, what_else(head, (size_t)length));
    return NULL;
}
