/* Damaged calls before the host: host_fuzz SEED COUNT. What frame_divide accepts must be safe to put
 * addresses into, and to call with.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/rng.h"
#include "host/call.h"
#include "host/host.h"

enum { ENTRIES = 6, BLOCK = 64 };

void host_fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static uint32_t below(struct rng *random, uint32_t n) {
    return (uint32_t)(rng_next(random) * n);
}

static uint64_t any_value(struct rng *random, uint32_t block) {
    switch (below(random, 4)) {
    case 0: return below(random, block + 1);
    case 1: return UINT64_MAX - below(random, 8);
    case 2: return (uint64_t)block - 8 + below(random, 12);
    default: return (uint64_t)below(random, UINT32_MAX) << 16;
    }
}

static void fill(struct rng *random, struct frame_call *call, struct frame_entry *entries) {
    call->n_arguments = below(random, 7);
    call->n_relocations = below(random, ENTRIES);
    call->n_descriptors = below(random, 3);
    call->block_size = below(random, BLOCK);
    call->outputs = below(random, BLOCK);
    strcpy(call->function, "rkllm_run");
    for (uint32_t i = 0; i < call->n_arguments + call->n_relocations; i++)
        entries[i] = (struct frame_entry){below(random, 7), below(random, BLOCK + 4),
                                          any_value(random, call->block_size)};
}

/* A byte changed, or the end cut off. */
static size_t damage(struct rng *random, unsigned char *body, size_t size) {
    uint32_t at = below(random, sizeof(struct frame_call));
    if (below(random, 2)) body[at] ^= (unsigned char)(1u << below(random, 8));
    return below(random, 8) ? size : below(random, (uint32_t)size + 1);
}

static bool is_inside(const struct call *call, const struct frame_entry *entry) {
    uint64_t address;
    memcpy(&address, call->parts.block + entry->at, sizeof address);
    uint64_t offset = address - (uint64_t)(uintptr_t)call->parts.block;
    return entry->place != PLACE_BLOCK || offset <= call->parts.call->block_size;
}

static void use(struct call *call) {
    void *handle = NULL;
    struct places places = {.handle = &handle, .callback = 1};
    call_relocate(call, &places);
    uint32_t n = call->parts.call->n_relocations;
    if (n > 0 && !is_inside(call, &call->parts.relocations[n - 1])) {
        fprintf(stderr, "a pointer leads out of the block\n");
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    long seed = atol(argv[1]), count = atol(argv[2]), accepted = 0;
    for (long i = 0; i < count; i++) {
        struct {
            struct frame_call call;
            struct frame_entry entries[7 + ENTRIES];
            unsigned char block[BLOCK];
        } made;
        struct rng random;
        rng_seed(&random, (uint64_t)(seed + i));
        memset(&made, 0, sizeof made);
        fill(&random, &made.call, made.entries);
        uint32_t n = made.call.n_arguments + made.call.n_relocations;
        size_t size = sizeof made.call + n * sizeof *made.entries + made.call.block_size;
        size = damage(&random, (unsigned char *)&made, size);
        struct call *call = calloc(1, sizeof *call);
        call->body = malloc(size ? size : 1);
        memcpy(call->body, &made, size);
        bool is_call = frame_divide(call->body, size, &call->parts);
        if (is_call) {
            memset(call->descriptors, -1, sizeof call->descriptors);
            use(call);
            accepted++;
            call_free(call);
        } else {
            free(call->body);
            free(call);
        }
    }
    printf("%ld calls, %ld accepted\n", count, accepted);
    return accepted > 0 && accepted < count ? 0 : 1;
}
