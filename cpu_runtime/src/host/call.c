#include "call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host.h"

#if defined(__clang__)
/* The types of the library's functions are not known here: all of them take integers and pointers. */
#define ANY_FUNCTION __attribute__((no_sanitize("function")))
#else
#define ANY_FUNCTION
#endif

static uint64_t value_of(const struct frame_entry *entry, const struct call *call,
                         const struct places *places) {
    switch (entry->place) {
    case PLACE_BLOCK:
        return (uint64_t)(uintptr_t)(call->parts.block + entry->value);
    case PLACE_HANDLE:
        return (uint64_t)(uintptr_t)*places->handle;
    case PLACE_HANDLE_ADDRESS:
        return (uint64_t)(uintptr_t)places->handle;
    case PLACE_CALLBACK:
        return (uint64_t)places->callback;
    default:
        return entry->value;
    }
}

static void put_number(unsigned char *at, int number) {
    char text[FRAME_NUMBER_BYTES + 2];
    int length = snprintf(text, sizeof text, "%d", number);
    memset(at, '/', FRAME_NUMBER_BYTES);
    memcpy(at + FRAME_NUMBER_BYTES - length, text, (size_t)length);
}

void call_relocate(struct call *call, const struct places *places) {
    const struct frame_parts *parts = &call->parts;
    for (uint32_t i = 0; i < parts->call->n_relocations; i++) {
        const struct frame_entry *entry = &parts->relocations[i];
        if (entry->place == PLACE_DESCRIPTOR) {
            put_number(parts->block + entry->at, call->descriptors[entry->value]);
        } else {
            uint64_t value = value_of(entry, call, places);
            memcpy(parts->block + entry->at, &value, sizeof value);
        }
    }
}

typedef uintptr_t word;

ANY_FUNCTION int call_enter(const struct call *call, void *function, const struct places *places) {
    word a[FRAME_MAX_ARGUMENTS];
    union {
        void *address;
        int (*of1)(word);
        int (*of2)(word, word);
        int (*of3)(word, word, word);
        int (*of4)(word, word, word, word);
        int (*of5)(word, word, word, word, word);
        int (*of6)(word, word, word, word, word, word);
    } to = {.address = function};
    uint32_t n = call->parts.call->n_arguments;
    for (uint32_t i = 0; i < n; i++)
        a[i] = (word)value_of(&call->parts.arguments[i], call, places);
    switch (n) {
    case 1: return to.of1(a[0]);
    case 2: return to.of2(a[0], a[1]);
    case 3: return to.of3(a[0], a[1], a[2]);
    case 4: return to.of4(a[0], a[1], a[2], a[3]);
    case 5: return to.of5(a[0], a[1], a[2], a[3], a[4]);
    case 6: return to.of6(a[0], a[1], a[2], a[3], a[4], a[5]);
    default: host_fail(call->parts.call->function, "it has a number of arguments that is not known");
    }
}

enum { MAX_KEPT = 32 };
static struct call *kept[MAX_KEPT]; /* one for each function */

static void close_descriptors(struct call *call) {
    for (uint32_t i = 0; i < call->parts.call->n_descriptors; i++)
        if (call->descriptors[i] >= 0) close(call->descriptors[i]);
    memset(call->descriptors, -1, sizeof call->descriptors);
}

void call_free(struct call *call) {
    close_descriptors(call);
    free(call->body);
    free(call);
}

void call_keep(struct call *call) {
    const char *function = call->parts.call->function;
    if (strcmp(function, "rkllm_init") != 0) close_descriptors(call);
    for (size_t i = 0; i < MAX_KEPT && call->parts.call->block_size > 0; i++) {
        if (kept[i] && strcmp(kept[i]->parts.call->function, function) != 0) continue;
        if (kept[i]) call_free(kept[i]);
        kept[i] = call;
        return;
    }
    call_free(call);
}
