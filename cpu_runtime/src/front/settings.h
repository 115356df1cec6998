/* What a model was opened with, and what a run was asked for: RKLLM's structures with the
 * differences between its releases gone and every string copied. Only abi.c and callback.c know the
 * releases apart. */
#ifndef RKLLM_CPU_SETTINGS_H
#define RKLLM_CPU_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rkllm_cpu.h"

struct sampling {
    int32_t top_k;
    float top_p, temperature;
    float repeat_penalty, frequency_penalty, presence_penalty;
    int32_t mirostat;
    float mirostat_tau, mirostat_eta;
};

struct settings {
    char *model_path;
    int32_t n_ctx, max_new_tokens, n_keep;
    struct sampling sampling;
    bool skip_special, ignore_eos, cross_attention;
    int32_t n_batch;
    int32_t n_processors;  /* to use at most; 0: no limit */
    bool processors_asked; /* n_processors is the caller's, not a default */
    char *image_start, *image_end; /* "" where there is none */
};

/* The callbacks a model was opened with; the last two are NULL before release 1.3.0. */
struct callbacks {
    LLMResultCallback result;
    void *result_userdata;
    int (*tokenize)(void *userdata, const char *text, int32_t length, int32_t *tokens,
                    int32_t room);
    void *tokenize_userdata;
    int (*embed)(void *userdata, int32_t *tokens, uint64_t n, void *embeddings, uint64_t size);
    void *embed_userdata;
};

typedef enum { MODE_GENERATE, MODE_HIDDEN, MODE_LOGITS } run_mode;

struct request {
    RKLLMInputType type;
    run_mode mode;
    char *role;        /* never NULL */
    char *text;        /* PROMPT and MULTIMODAL */
    const char *given; /* what it was copied from: the caller's, who may free it */
    int32_t *tokens;   /* TOKEN */
    float *embeddings; /* EMBED and MULTIMODAL: rows of the model's embedding size */
    size_t n_rows;     /* tokens, or rows of embeddings */
    char **row_texts;  /* of the batch's rows after the first */
    size_t n_row_texts;
    size_t n_images; /* n_rows is n_images equal shares */
    char *image_start, *image_end;
    bool keep_history, save_cache;
    char *cache_path, *lora; /* NULL where not asked for */
    struct sampling sampling;
    int32_t max_new_tokens; /* 0 or less: no limit */
    void *userdata;
};

void settings_free(struct settings *settings);
void request_free(struct request *request);

/* NULL if everything is in range, else what is wrong. */
const char *sampling_fault(const struct sampling *how);

#endif
