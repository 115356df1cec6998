/* The KV cache: taking positions out, saving and loading. */
#include <string.h>

#include "model.h"

bool llama_cut(engine_model *model, size_t n) {
    return model->library->memory_seq_rm(model->memory, 0, (int32_t)n, -1);
}

int llama_erase(engine_model *model, size_t from, size_t to) {
    const libllama *with = model->library;
    if (!with->memory_can_shift(model->memory) ||
        !with->memory_seq_rm(model->memory, 0, (int32_t)from, (int32_t)to)) {
        return ENGINE_REFUSED;
    }
    with->memory_seq_add(model->memory, 0, (int32_t)to, -1, (int32_t)from - (int32_t)to);
    model->last = NULL;
    return ENGINE_OK;
}

/* Before the library's own bytes: whose they are, and how many positions. The library checks what
 * its model is, but a release need not read what another has written. */
typedef struct {
    char magic[8];
    uint64_t fingerprint, n_positions;
} state_head;

static state_head head_of(const engine_model *model, size_t n) {
    state_head head = {.fingerprint = model->fingerprint, .n_positions = n};
    memcpy(head.magic, "llamakv", sizeof head.magic);
    return head;
}

size_t llama_state_size(engine_model *model, size_t n) {
    if (!llama_cut(model, n)) return 0; /* only what is saved may be in the cache */
    return sizeof(state_head) + model->library->state_seq_get_size(model->context, 0);
}

int llama_state_save(engine_model *model, size_t n, uint8_t *to, size_t size) {
    const state_head head = head_of(model, n);
    if (size <= sizeof head || !llama_cut(model, n)) return ENGINE_REFUSED;
    memcpy(to, &head, sizeof head);
    size_t room = size - sizeof head;
    size_t written = model->library->state_seq_get_data(model->context, to + sizeof head, room, 0);
    return written == room ? ENGINE_OK : ENGINE_REFUSED;
}

int llama_state_load(engine_model *model, size_t n, const uint8_t *from, size_t size) {
    const state_head expected = head_of(model, n);
    if (size <= sizeof expected || memcmp(from, &expected, sizeof expected) != 0) {
        return ENGINE_REFUSED;
    }
    model->last = NULL;
    libllama_forget_errors();
    if (model->library->state_seq_set_data(model->context, from + sizeof expected,
                                           size - sizeof expected, 0) > 0) {
        return ENGINE_OK;
    }
    llama_cut(model, 0); /* whatever a part of it has left */
    return ENGINE_REFUSED;
}
