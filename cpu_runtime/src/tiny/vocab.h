/* The vocabulary of a SentencePiece-like BPE tokenizer as GGUF files carry it. */
#ifndef RKLLM_CPU_TINY_VOCAB_H
#define RKLLM_CPU_TINY_VOCAB_H

#include "gguf_types.h"

enum tiny_kind {
    KIND_NORMAL = 1, KIND_UNKNOWN, KIND_CONTROL, KIND_USER_DEFINED, KIND_UNUSED, KIND_BYTE
};

typedef struct {
    tiny_text text;   /* as the file has it: U+2581 for a space, <0x0A> for a byte */
    tiny_text piece;  /* the bytes it stands for; control tokens: same as text */
    float score;
    uint8_t kind;     /* enum tiny_kind */
} tiny_token;

/* Some of the tokens, sorted by text. */
typedef struct {
    int32_t *ids;
    size_t count;
    size_t longest;   /* bytes of the longest text */
    bool begins[256]; /* is there one that begins with this byte? */
} tiny_index;

typedef struct {
    tiny_token *tokens;
    size_t count;
    char *arena;        /* holds all texts and pieces */
    tiny_index mergers; /* what ordinary text is made of */
    tiny_index user;    /* found whole in any text */
    tiny_index special; /* those, and the control tokens */
    int32_t bytes[256]; /* -1 where there is no token for the byte */
    int32_t bos, eos, eot, unknown;
    bool add_bos, add_space_prefix;
} tiny_vocab;

/* tiny_vocab_free is due after a refusal too. */
int tiny_vocab_read(tiny_vocab *vocab, const tiny_gguf *file, engine_error *error);
void tiny_vocab_free(tiny_vocab *vocab);

/* Indexes (tiny_index.c). */
int tiny_index_build(tiny_index *index, const tiny_vocab *vocab, unsigned kinds);
/* The token that is exactly this text, or -1. */
int32_t tiny_index_find(const tiny_index *index, const tiny_token *tokens, tiny_text text);
/* The longest token that the text begins with, or -1. */
int32_t tiny_index_prefix(const tiny_index *index, const tiny_token *tokens, tiny_text text);

/* Text to tokens (tiny_tokenize.c, tiny_merge.c); the contract is engine.h's. */
typedef struct {
    int32_t *tokens;
    size_t capacity;
    size_t count;     /* goes on counting beyond capacity */
} tiny_output;

static inline void tiny_put(tiny_output *output, int32_t token)
{
    if (output->count < output->capacity)
        output->tokens[output->count] = token;
    output->count++;
}

int64_t tiny_tokenize(const tiny_vocab *vocab, tiny_text text, bool special, int32_t *tokens,
                      size_t capacity);
/* `text` has its spaces replaced already. false when memory is short. */
bool tiny_merge(const tiny_vocab *vocab, tiny_text text, tiny_output *output);

#endif
