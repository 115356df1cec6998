#include "frames.h"

#include <string.h>

static bool is_argument(const struct frame_entry *entry, uint64_t block_size) {
    switch (entry->place) {
    case PLACE_BLOCK:
        return entry->value <= block_size;
    case PLACE_VALUE:
    case PLACE_HANDLE:
    case PLACE_HANDLE_ADDRESS:
    case PLACE_CALLBACK:
        return true;
    default:
        return false;
    }
}

static bool is_relocation(const struct frame_entry *entry, const struct frame_call *call) {
    uint64_t end = (uint64_t)entry->at;
    switch (entry->place) {
    case PLACE_BLOCK:
        return end + sizeof(uint64_t) <= call->block_size && entry->value <= call->block_size;
    case PLACE_CALLBACK:
        return end + sizeof(uint64_t) <= call->block_size;
    case PLACE_DESCRIPTOR:
        return end + FRAME_NUMBER_BYTES <= call->block_size && entry->value < call->n_descriptors;
    default:
        return false;
    }
}

static bool has_valid_entries(const struct frame_parts *parts) {
    const struct frame_call *call = parts->call;
    for (uint32_t i = 0; i < call->n_arguments; i++)
        if (!is_argument(&parts->arguments[i], call->block_size)) return false;
    for (uint32_t i = 0; i < call->n_relocations; i++)
        if (!is_relocation(&parts->relocations[i], call)) return false;
    return true;
}

bool frame_divide(unsigned char *body, size_t size, struct frame_parts *parts) {
    if (size < sizeof(struct frame_call) || size > FRAME_MAX_BODY) return false;
    const struct frame_call *call = (const struct frame_call *)(void *)body;
    uint64_t entries = (uint64_t)call->n_arguments + call->n_relocations;
    uint64_t start = sizeof *call + entries * sizeof(struct frame_entry);
    if (call->n_arguments > FRAME_MAX_ARGUMENTS || call->n_descriptors > FRAME_MAX_DESCRIPTORS ||
        call->rows > FRAME_MAX_ROWS || call->outputs > call->block_size ||
        start + call->block_size != size || !memchr(call->function, 0, sizeof call->function))
        return false;
    parts->call = call;
    parts->arguments = (const struct frame_entry *)(const void *)(body + sizeof *call);
    parts->relocations = parts->arguments + call->n_arguments;
    parts->block = body + start;
    return has_valid_entries(parts);
}
