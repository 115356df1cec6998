/* Libraries that are like libllama up to one fault; which one, the macro STUB_... says. */
#include <stdlib.h>
#include <string.h>

#include "llama/library.h"

/* Every call is there, and does nothing. */
#define STUB(result, name, parameters) result llama_##name parameters;
LIBLLAMA_CALLS(STUB)
#undef STUB

libllama_room llama_context_default_params(void) {
    libllama_room room = {{0}};
#ifdef STUB_DEFAULTS
    const uint32_t first[4] = {512, 2048, 512, 0};
#else
    const uint32_t first[4] = {512, 2048, 512, 1};
#endif
    memcpy(room.words, first, sizeof first);
    return room;
}

libllama_room llama_model_default_params(void) {
    return (libllama_room){{0}};
}

static libllama_log log_error;

void llama_log_set(libllama_log log, void *userdata) {
    (void)userdata;
    log_error = log;
}

libllama_model *llama_model_load_from_file(const char *path, libllama_room room) {
    (void)path, (void)room;
#ifdef STUB_CRASH
    abort();
#endif
    log_error(2, "llama_load: this is no error\n", NULL);
    log_error(4, "llama_load: unknown model architecture: 'new'\n", NULL);
    log_error(4, "llama_load: failed to load model\n", NULL);
    return NULL;
}

void llama_backend_init(void) {}

#ifndef STUB_LACKS
int32_t llama_decode(libllama_context *context, libllama_batch batch) {
    (void)context, (void)batch;
    return -1;
}
#endif

/* The rest is never called: a model cannot be loaded. */
#define NEVER(name) \
    void llama_never_##name(void) __asm__("llama_" #name); \
    void llama_never_##name(void) { abort(); }
NEVER(model_free)
NEVER(model_get_vocab)
NEVER(model_n_ctx_train)
NEVER(model_n_embd)
NEVER(model_n_embd_inp)
NEVER(model_size)
NEVER(model_has_encoder)
NEVER(model_has_decoder)
NEVER(model_is_recurrent)
NEVER(model_is_hybrid)
NEVER(model_is_diffusion)
NEVER(model_rope_type)
NEVER(model_meta_val_str)
NEVER(model_chat_template)
NEVER(chat_apply_template)
NEVER(vocab_n_tokens)
NEVER(vocab_bos)
NEVER(vocab_eos)
NEVER(vocab_eot)
NEVER(vocab_is_eog)
NEVER(vocab_get_add_bos)
NEVER(tokenize)
NEVER(token_to_piece)
NEVER(init_from_model)
NEVER(free)
NEVER(pooling_type)
NEVER(set_n_threads)
NEVER(set_embeddings)
NEVER(set_abort_callback)
NEVER(get_logits_ith)
NEVER(get_embeddings_ith)
NEVER(get_memory)
NEVER(memory_seq_rm)
NEVER(memory_seq_add)
NEVER(memory_can_shift)
NEVER(state_seq_get_size)
NEVER(state_seq_get_data)
NEVER(state_seq_set_data)
NEVER(adapter_lora_init)
NEVER(set_adapters_lora)
