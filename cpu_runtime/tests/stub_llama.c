/* Libraries that are like libllama up to one fault; which one, the macro STUB_... says. */
#include <stdio.h>
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
#ifdef STUB_SOUND
    return (libllama_room){{0}}; /* devices and layers are not where they are known to be */
#else
    return (libllama_room){{0, 0, 0x1FFFFFFFF}};
#endif
}

/* What computes, as ggml says it. */
size_t ggml_backend_dev_count(void);
void *ggml_backend_dev_get(size_t index);
const char *ggml_backend_dev_name(void *device);
void *ggml_backend_dev_by_name(const char *name);
static char names[2][8] = {"CPU", "NPU0"};

size_t ggml_backend_dev_count(void) { return 2; }

void *ggml_backend_dev_get(size_t index) { return names[index]; }

const char *ggml_backend_dev_name(void *device) { return device; }

void *ggml_backend_dev_by_name(const char *name) {
    for (size_t i = 0; i < 2; i++) {
        if (strcmp(names[i], name) == 0) return names[i];
    }
    return NULL;
}

static libllama_log log_error;

void llama_log_set(libllama_log log, void *userdata) {
    (void)userdata;
    log_error = log;
}

/* Which devices and how many layers it is given, in words. */
static void tell(const libllama_room *room) {
    char *const *devices;
    int32_t layers;
    memcpy(&devices, &room->words[0], sizeof devices);
    memcpy(&layers, &room->words[2], sizeof layers);
    fprintf(stderr, "stub: %d layers on", (int)layers);
    for (size_t i = 0; devices && devices[i]; i++) fprintf(stderr, " %s", devices[i]);
    fprintf(stderr, "%s\n", devices ? "." : " any");
}

libllama_model *llama_model_load_from_file(const char *path, libllama_room room) {
    (void)path, (void)room, (void)tell;
#ifdef STUB_CRASH
    abort();
#endif
#ifdef STUB_KINDS
    tell(&room);
    return (libllama_model *)(uintptr_t)8; /* never looked into */
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

/* A library that loads anything, and says that it is of the kind $STUB_KIND. */
#ifdef STUB_KINDS
static bool is(const char *kind) {
    const char *wanted = getenv("STUB_KIND");
    return wanted && strcmp(wanted, kind) == 0;
}

bool llama_model_has_encoder(const libllama_model *model) {
    (void)model;
    return is("encoder-decoder") || is("encoder");
}

bool llama_model_has_decoder(const libllama_model *model) {
    (void)model;
    return !is("encoder");
}

bool llama_model_is_recurrent(const libllama_model *model) {
    (void)model;
    return is("recurrent");
}

bool llama_model_is_hybrid(const libllama_model *model) {
    (void)model;
    return is("hybrid");
}

bool llama_model_is_diffusion(const libllama_model *model) {
    (void)model;
    return is("diffusion");
}

int32_t llama_model_rope_type(const libllama_model *model) {
    (void)model;
    return is("mrope") ? 8 : is("vision") ? 24 : is("imrope") ? 40 : 0;
}

int32_t llama_model_n_ctx_train(const libllama_model *model) {
    (void)model;
    return 1 << 20;
}

libllama_context *llama_init_from_model(libllama_model *model, libllama_room room) {
    (void)model, (void)room;
    if (is("too large")) log_error(4, "llama_init: failed to allocate the cache\n", NULL);
    return is("too large") ? NULL : (libllama_context *)(uintptr_t)8;
}

libllama_memory *llama_get_memory(const libllama_context *context) {
    (void)context;
    return is("no memory") ? NULL : (libllama_memory *)(uintptr_t)8;
}

int32_t llama_pooling_type(const libllama_context *context) {
    (void)context;
    return is("pooling") ? 1 : 0;
}

void llama_free(libllama_context *context) { (void)context; }

void llama_model_free(libllama_model *model) { (void)model; }
#endif

/* The rest is never called. */
#define NEVER(name) \
    void llama_never_##name(void) __asm__("llama_" #name); \
    void llama_never_##name(void) { abort(); }
NEVER(model_get_vocab)
NEVER(model_n_embd)
NEVER(model_n_embd_inp)
NEVER(model_size)
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
NEVER(set_n_threads)
NEVER(set_embeddings)
NEVER(set_abort_callback)
NEVER(get_logits_ith)
NEVER(get_embeddings_ith)
NEVER(memory_seq_rm)
NEVER(memory_seq_add)
NEVER(memory_can_shift)
NEVER(state_seq_get_size)
NEVER(state_seq_get_data)
NEVER(state_seq_set_data)
NEVER(adapter_lora_init)
NEVER(set_adapters_lora)
#ifndef STUB_KINDS
NEVER(model_free)
NEVER(model_n_ctx_train)
NEVER(model_has_encoder)
NEVER(model_has_decoder)
NEVER(model_is_recurrent)
NEVER(model_is_hybrid)
NEVER(model_is_diffusion)
NEVER(model_rope_type)
NEVER(init_from_model)
NEVER(free)
NEVER(pooling_type)
NEVER(get_memory)
#endif
