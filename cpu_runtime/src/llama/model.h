/* An open model: what the files of this engine share. */
#ifndef RKLLM_CPU_LLAMA_MODEL_H
#define RKLLM_CPU_LLAMA_MODEL_H

#include "library.h"

/* Tokens evaluated at once: of a prompt, and where every token's row is kept, which takes the
 * library as much memory again for each. */
enum { BATCH = 512, BATCH_OF_ROWS = 64 };

/* The bytes of all tokens. */
typedef struct {
    char *bytes;
    uint32_t *starts; /* n_vocab + 1 */
    bool *hidden;     /* empty unless special tokens are asked for */
} llama_pieces;

enum llama_text {
    TEXT_NAME, TEXT_SYSTEM_PREFIX, TEXT_SYSTEM_POSTFIX, TEXT_PROMPT_PREFIX, TEXT_PROMPT_POSTFIX,
    TEXT_TOOL_PREFIX, TEXT_TOOL_POSTFIX, TEXT_GAP, N_TEXTS
};

struct engine_model {
    const libllama *library;
    libllama_model *model;
    libllama_context *context;
    libllama_memory *memory;
    const libllama_vocab *vocab;
    engine_facts facts;
    char *texts[N_TEXTS]; /* behind the facts' strings */
    llama_pieces pieces;
    uint64_t fingerprint;

    const atomic_bool *stop; /* of the decode under way */
    float *rows;             /* kept by the last decode, or */
    const float *last;       /* the library's own */
    size_t room;             /* floats in `rows` */
    engine_rows kept;

    libllama_adapter **adapters;
    float *scales;
    int n_adapters;
};

bool llama_pieces_make(engine_model *model);
void llama_pieces_free(llama_pieces *pieces);
size_t llama_piece(const engine_model *model, int32_t token, bool special, const char **bytes);
int64_t llama_tokens(const engine_model *model, const char *text, size_t length, bool special,
                     int32_t *tokens, size_t capacity);

/* The chat template's pieces into `texts`, "" where the library does not know the template; false
 * when memory is short. */
bool llama_template_cut(engine_model *model);

int llama_decode_rows(engine_model *model, const int32_t *tokens, const float *embeddings,
                      size_t n, size_t position, engine_rows rows, const atomic_bool *stop,
                      engine_error *error);
const float *llama_logits(const engine_model *model);
const float *llama_hidden(const engine_model *model);

bool llama_cut(engine_model *model, size_t n);
int llama_erase(engine_model *model, size_t from, size_t to);
size_t llama_state_size(engine_model *model, size_t n);
int llama_state_save(engine_model *model, size_t n, uint8_t *to, size_t size);
int llama_state_load(engine_model *model, size_t n, const uint8_t *from, size_t size);

int llama_lora_load(engine_model *model, const char *path, float scale, engine_error *error);
int llama_lora_use(engine_model *model, int index);

#endif
