#include "engines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static const engine *const ENGINES[] = {&engine_tiny, &engine_scripted};

const char engines_about[] = "cpu (tiny, scripted)";

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
    for (size_t i = 0; i < sizeof ENGINES / sizeof *ENGINES; i++) {
        if (ENGINES[i]->recognises(head, (size_t)length)) return ENGINES[i];
    }
    snprintf(error->text, sizeof error->text, "%.160s is neither a GGUF file nor a script", path);
    return NULL;
}
