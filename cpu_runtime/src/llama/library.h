/* A libllama (https://github.com/ggml-org/llama.cpp) that is installed, opened at run time.
 *
 * Its header is not used, so that one build runs with many releases. Structures that it passes by
 * value are opaque rooms larger than any release needs, filled by the library's own defaults; only
 * members whose place is checked when the library is opened are written.
 */
#ifndef RKLLM_CPU_LLAMA_LIBRARY_H
#define RKLLM_CPU_LLAMA_LIBRARY_H

#include "engine.h"

typedef struct libllama_model libllama_model;
typedef struct libllama_vocab libllama_vocab;
typedef struct libllama_context libllama_context;
typedef struct libllama_memory libllama_memory;
typedef struct libllama_adapter libllama_adapter;

/* llama_model_params and llama_context_params: 160 bytes at most up to release 0.5. As the last
 * argument, and as a result, a larger one is passed like a smaller one by the calling conventions
 * of x86-64 and aarch64. */
typedef struct {
    uint64_t words[128];
} libllama_room;

/* llama_batch, the one structure whose layout has to be known. */
typedef struct {
    int32_t n_tokens;
    int32_t *token;   /* or NULL and */
    float *embd;      /* rows of embeddings */
    int32_t *pos;
    int32_t *n_seq_id;
    int32_t **seq_id;
    int8_t *logits; /* which tokens' rows to keep */
} libllama_batch;

_Static_assert(sizeof(libllama_room) == 1024, "size of libllama_room");
_Static_assert(sizeof(libllama_batch) == 56, "size of llama_batch");
_Static_assert(offsetof(libllama_batch, token) == 8, "place of token");
_Static_assert(offsetof(libllama_batch, embd) == 16, "place of embd");
_Static_assert(offsetof(libllama_batch, pos) == 24, "place of pos");
_Static_assert(offsetof(libllama_batch, n_seq_id) == 32, "place of n_seq_id");
_Static_assert(offsetof(libllama_batch, seq_id) == 40, "place of seq_id");
_Static_assert(offsetof(libllama_batch, logits) == 48, "place of logits");

/* llama_chat_message. */
typedef struct {
    const char *role, *content;
} libllama_message;

typedef void (*libllama_log)(int level, const char *text, void *userdata);
typedef bool (*libllama_abort)(void *userdata);

/* What is called of it: result, name after "llama_", parameters. All are in release b8179. */
#define LIBLLAMA_CALLS(CALL)                                                                      \
    CALL(void, backend_init, (void))                                                              \
    CALL(void, log_set, (libllama_log, void *))                                                   \
    CALL(libllama_room, model_default_params, (void))                                             \
    CALL(libllama_model *, model_load_from_file, (const char *, libllama_room))                   \
    CALL(void, model_free, (libllama_model *))                                                    \
    CALL(const libllama_vocab *, model_get_vocab, (const libllama_model *))                       \
    CALL(int32_t, model_n_ctx_train, (const libllama_model *))                                    \
    CALL(int32_t, model_n_embd, (const libllama_model *))                                         \
    CALL(int32_t, model_n_embd_inp, (const libllama_model *))                                     \
    CALL(uint64_t, model_size, (const libllama_model *))                                          \
    CALL(bool, model_has_encoder, (const libllama_model *))                                       \
    CALL(bool, model_has_decoder, (const libllama_model *))                                       \
    CALL(bool, model_is_recurrent, (const libllama_model *))                                      \
    CALL(bool, model_is_hybrid, (const libllama_model *))                                         \
    CALL(bool, model_is_diffusion, (const libllama_model *))                                      \
    CALL(int32_t, model_rope_type, (const libllama_model *))                                      \
    CALL(int32_t, model_meta_val_str, (const libllama_model *, const char *, char *, size_t))     \
    CALL(const char *, model_chat_template, (const libllama_model *, const char *))               \
    CALL(int32_t, chat_apply_template,                                                            \
         (const char *, const libllama_message *, size_t, bool, char *, int32_t))                 \
    CALL(int32_t, vocab_n_tokens, (const libllama_vocab *))                                       \
    CALL(int32_t, vocab_bos, (const libllama_vocab *))                                            \
    CALL(int32_t, vocab_eos, (const libllama_vocab *))                                            \
    CALL(int32_t, vocab_eot, (const libllama_vocab *))                                            \
    CALL(bool, vocab_is_eog, (const libllama_vocab *, int32_t))                                   \
    CALL(bool, vocab_get_add_bos, (const libllama_vocab *))                                       \
    CALL(int32_t, tokenize,                                                                       \
         (const libllama_vocab *, const char *, int32_t, int32_t *, int32_t, bool, bool))         \
    CALL(int32_t, token_to_piece,                                                                 \
         (const libllama_vocab *, int32_t, char *, int32_t, int32_t, bool))                       \
    CALL(libllama_room, context_default_params, (void))                                           \
    CALL(libllama_context *, init_from_model, (libllama_model *, libllama_room))                  \
    CALL(void, free, (libllama_context *))                                                        \
    CALL(int32_t, pooling_type, (const libllama_context *))                                       \
    CALL(void, set_n_threads, (libllama_context *, int32_t, int32_t))                             \
    CALL(void, set_embeddings, (libllama_context *, bool))                                        \
    CALL(void, set_abort_callback, (libllama_context *, libllama_abort, void *))                  \
    CALL(int32_t, decode, (libllama_context *, libllama_batch))                                   \
    CALL(float *, get_logits_ith, (libllama_context *, int32_t))                                  \
    CALL(float *, get_embeddings_ith, (libllama_context *, int32_t))                              \
    CALL(libllama_memory *, get_memory, (const libllama_context *))                               \
    CALL(bool, memory_seq_rm, (libllama_memory *, int32_t, int32_t, int32_t))                     \
    CALL(void, memory_seq_add, (libllama_memory *, int32_t, int32_t, int32_t, int32_t))           \
    CALL(bool, memory_can_shift, (libllama_memory *))                                             \
    CALL(size_t, state_seq_get_size, (libllama_context *, int32_t))                               \
    CALL(size_t, state_seq_get_data, (libllama_context *, uint8_t *, size_t, int32_t))            \
    CALL(size_t, state_seq_set_data, (libllama_context *, const uint8_t *, size_t, int32_t))      \
    CALL(libllama_adapter *, adapter_lora_init, (libllama_model *, const char *))                 \
    CALL(int32_t, set_adapters_lora, (libllama_context *, libllama_adapter **, size_t, float *))

typedef struct {
#define LIBLLAMA_MEMBER(result, name, parameters) result(*name) parameters;
    LIBLLAMA_CALLS(LIBLLAMA_MEMBER)
#undef LIBLLAMA_MEMBER
    char path[512];    /* the file that the loader took */
    char release[64];  /* "0.5.0-dev", or of what it is made of */
    char devices[128]; /* what computes, e.g. "CPU" */
} libllama;

/* The library, opened by the first call: $RKLLM_LLAMA_LIBRARY, else libllama.so on the loader's
 * path. It stays open. NULL, with the reason in *error, where there is none that can be used. */
const libllama *libllama_open(engine_error *error);

/* Parameters of a model and of a context: the library's defaults, with what this engine decides.
 * The first refuses what $RKLLM_LLAMA_DEVICES and $RKLLM_LLAMA_GPU_LAYERS ask for in vain. */
int libllama_model_room(const libllama *with, libllama_room *room, engine_error *error);
libllama_room libllama_context_room(const libllama *with, int32_t n_ctx, int32_t n_batch);

/* The first error that the library has logged since this was called; "" for none. */
void libllama_forget_errors(void);
void libllama_last_error(char *to, size_t room);

/* Fills error->text from `format` and returns ENGINE_REFUSED. */
int llama_refuse(engine_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
