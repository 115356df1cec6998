#include "limits.h"

#include <string.h>

static const struct {
    unsigned bit;
    const char *name, *sentence;
} LIMITS[] = {
    {LACKS_BATCH, "batch", "n_batch above 1 is not available on the CPU"},
    {LACKS_CROSS_ATTENTION, "cross_attention", "cross attention is not available on the CPU"},
    {LACKS_VIDEO, "video", "video input is not available on the CPU"},
    {LACKS_EMBEDDINGS, "embeddings", "this model takes no embeddings as input"},
    {LACKS_PROMPT_CACHE, "prompt_cache", "this model's cache cannot be saved"},
};
enum { N_LIMITS = sizeof LIMITS / sizeof *LIMITS };

const char *limits_fault(unsigned lacks, unsigned needs) {
    for (size_t i = 0; i < N_LIMITS; i++) {
        if (LIMITS[i].bit & lacks & needs) return LIMITS[i].sentence;
    }
    return NULL;
}

/* Append what fits. */
static size_t add(char *to, size_t at, size_t room, const char *text) {
    size_t length = strlen(text), left = room - 1 - at;
    if (length > left) length = left;
    memcpy(to + at, text, length);
    to[at + length] = '\0';
    return at + length;
}

size_t limits_write(const engine *const *engines, size_t n, char *to, size_t room) {
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const char *before = ": ";
        at = add(to, at, room, engines[i]->name);
        for (size_t k = 0; k < N_LIMITS; k++) {
            if (!(engines[i]->lacks & LIMITS[k].bit)) continue;
            at = add(to, add(to, at, room, before), room, LIMITS[k].name);
            before = ", ";
        }
        at = add(to, at, room, "\n");
    }
    return at;
}
