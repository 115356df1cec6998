#include "inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "library.h"

/* Types of values; sizes of those that have one. */
enum { U16 = 2, U32 = 4, STRING = 8, ARRAY = 9, KINDS = 13 };
static const uint8_t SIZES[KINDS] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

/* Far above what models have; a file that claims more ends before it anyway. */
enum { MOST_KEYS = 1 << 20, MOST_TENSORS = 1 << 22, MOST_DIMS = 8 };

typedef struct {
    FILE *file;
    uint64_t at, size;
    bool cut; /* the file ended where more was announced */
} reader;

typedef struct {
    char architecture[64], type[32];
    uint32_t split_number, split_count, alignment;
    uint64_t n_tensors, last_offset, data_start;
} summary;

/* ---- Reading ---- */

static bool take(reader *from, void *to, size_t n) {
    if (from->cut || fread(to, 1, n, from->file) != n) from->cut = true;
    from->at += n;
    return !from->cut;
}

/* Short ways are read, which keeps the buffer. */
static bool skip(reader *from, uint64_t n) {
    char unused[4096];
    if (from->cut || n > from->size - from->at) {
        from->cut = true;
        return false;
    }
    if (n <= sizeof unused) return take(from, unused, (size_t)n);
    from->at += n;
    from->cut = fseeko(from->file, (off_t)from->at, SEEK_SET) != 0;
    return !from->cut;
}

static uint32_t take_u32(reader *from) {
    uint32_t value = 0;
    return take(from, &value, sizeof value) ? value : 0;
}

static uint64_t take_u64(reader *from) {
    uint64_t value = 0;
    return take(from, &value, sizeof value) ? value : 0;
}

/* The beginning of a string; the rest is skipped. */
static bool take_text(reader *from, char *to, size_t room) {
    uint64_t length = take_u64(from);
    size_t n = length < room - 1 ? (size_t)length : room - 1;
    *to = '\0';
    if (from->cut || !take(from, to, n)) return false;
    to[n] = '\0';
    for (size_t i = 0; i < n; i++) {
        if (to[i] < 32 || to[i] > 126) to[i] = '?';
    }
    return skip(from, length - n);
}

static bool skip_array(reader *from) {
    uint32_t kind = take_u32(from);
    uint64_t count = take_u64(from);
    char unused[2];
    if (from->cut || kind >= KINDS || kind == ARRAY) return false;
    if (SIZES[kind]) return count <= from->size / SIZES[kind] && skip(from, count * SIZES[kind]);
    for (uint64_t i = 0; i < count; i++) {
        if (!take_text(from, unused, sizeof unused)) return false;
    }
    return true;
}

/* ---- Metadata and tensors ---- */

static bool take_value(reader *from, const char *key, summary *to) {
    uint32_t kind = take_u32(from), number = 0;
    char unused[2];
    if (kind == STRING && strcmp(key, "general.architecture") == 0) {
        return take_text(from, to->architecture, sizeof to->architecture);
    }
    if (kind == STRING && strcmp(key, "general.type") == 0) {
        return take_text(from, to->type, sizeof to->type);
    }
    if (kind == STRING) return take_text(from, unused, sizeof unused);
    if (kind == ARRAY) return skip_array(from);
    if (from->cut || kind >= KINDS) return false;
    if (kind != U16 && kind != U32) return skip(from, SIZES[kind]);
    if (!take(from, &number, SIZES[kind])) return false;
    if (strcmp(key, "split.no") == 0) to->split_number = number;
    if (strcmp(key, "split.count") == 0) to->split_count = number;
    if (strcmp(key, "general.alignment") == 0 && number > 0) to->alignment = number;
    return true;
}

static bool take_tensor(reader *from, summary *to) {
    char unused[2];
    uint32_t n_dims;
    if (!take_text(from, unused, sizeof unused)) return false;
    n_dims = take_u32(from);
    if (from->cut || n_dims > MOST_DIMS || !skip(from, 8 * n_dims + 4)) return false;
    uint64_t offset = take_u64(from);
    if (offset > to->last_offset) to->last_offset = offset;
    return !from->cut;
}

static bool take_all(reader *from, summary *to) {
    char key[96];
    skip(from, 8); /* magic and version */
    to->n_tensors = take_u64(from);
    uint64_t n_keys = take_u64(from);
    if (from->cut || n_keys > MOST_KEYS || to->n_tensors > MOST_TENSORS) return false;
    for (uint64_t i = 0; i < n_keys; i++) {
        if (!take_text(from, key, sizeof key) || !take_value(from, key, to)) return false;
    }
    for (uint64_t i = 0; i < to->n_tensors; i++) {
        if (!take_tensor(from, to)) return false;
    }
    to->data_start = (from->at + to->alignment - 1) / to->alignment * to->alignment;
    return true;
}

/* ---- Judging ---- */

static int judge(const char *path, const reader *from, const summary *what, bool whole,
                 engine_error *error) {
    if (from->cut) {
        return llama_refuse(error, "%.160s is cut short: it ends within its list of contents",
                            path);
    }
    if (!whole) return llama_refuse(error, "%.160s is a damaged GGUF file", path);
    if (what->split_count > 1) {
        return llama_refuse(error,
                            "%.160s is part %u of %u of a split model: join the parts with "
                            "'llama-gguf-split --merge'",
                            path, what->split_number + 1, what->split_count);
    }
    if (strcmp(what->type, "adapter") == 0) {
        return llama_refuse(error, "%.160s is an adapter: load it with rkllm_load_lora", path);
    }
    if (strcmp(what->type, "mmproj") == 0 || strcmp(what->architecture, "clip") == 0) {
        return llama_refuse(error,
                            "%.160s is the vision projector of a model, not the language model",
                            path);
    }
    if (!*what->architecture) {
        return llama_refuse(error, "%.160s does not say what architecture it is of", path);
    }
    if (what->n_tensors == 0) {
        return llama_refuse(error, "%.160s holds a vocabulary only, no model", path);
    }
    if (what->data_start + what->last_offset >= from->size) {
        return llama_refuse(error, "%.160s is cut short: it has %llu bytes, but more than %llu are "
                            "announced", path, (unsigned long long)from->size,
                            (unsigned long long)(what->data_start + what->last_offset));
    }
    return ENGINE_OK;
}

/* Non-blocking, or opening a pipe that nobody writes to would wait for ever. */
static FILE *open_file(const char *path, uint64_t *size) {
    struct stat status;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) return NULL;
    bool regular = fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
    FILE *file = regular ? fdopen(descriptor, "rb") : NULL;
    if (!file) {
        close(descriptor);
        errno = regular ? errno : EINVAL;
        return NULL;
    }
    *size = (uint64_t)status.st_size;
    return file;
}

int llama_inspect(const char *path, engine_error *error) {
    reader from = {0};
    summary what = {.alignment = 32};
    from.file = open_file(path, &from.size);
    if (!from.file) return llama_refuse(error, "cannot read %.160s: %s", path, strerror(errno));
    bool whole = take_all(&from, &what);
    fclose(from.file);
    return judge(path, &from, &what, whole, error);
}
