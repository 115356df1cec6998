/* The C interface of the embedded CPU runtime.
 *
 * The names and the binary layout are those of Rockchip's RKLLM library, so that a program, or a
 * ctypes binding, can be pointed at either. The words and the code are this project's own. What the
 * runtime does where the interface leaves a choice is written in cpu_runtime/README.md.
 *
 * The layout changes between releases, and a library speaks exactly one of them. Choose it with
 * -DRKLLM_ABI=<number>; there is no default, since the wrong one corrupts memory:
 *
 *     10104   releases 1.1.0 to 1.1.4
 *     10200   release  1.2.0
 *     10201   releases 1.2.1 to 1.2.3
 *     10300   release  1.3.0
 *
 * Strings are NUL-terminated UTF-8. Every pointer given to a function stays the caller's and is not
 * read after the function has returned. Functions that return int return 0, or -1 with a line on
 * stderr that says why, unless stated otherwise.
 */
#ifndef RKLLM_CPU_H
#define RKLLM_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if !defined(RKLLM_ABI) || (RKLLM_ABI != 10104 && RKLLM_ABI != 10200 && RKLLM_ABI != 10201 && \
                            RKLLM_ABI != 10300)
#error "choose a layout: -DRKLLM_ABI=10104, 10200, 10201 or 10300"
#endif

#define RKLLM_CPU_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/* A loaded model. Opaque; a handle that was destroyed, or never was one, is refused. */
typedef void *LLMHandle;

/* ---- Enumerations ------------------------------------------------------------------------- */

/* What a result callback reports. */
typedef enum {
    RKLLM_RUN_NORMAL = 0,  /* a piece of the answer */
    RKLLM_RUN_WAITING = 1, /* a token came, but its bytes do not make a whole character yet */
    RKLLM_RUN_FINISH = 2,  /* the run is over */
    RKLLM_RUN_ERROR = 3,   /* the run failed */
#if RKLLM_ABI < 10200
    RKLLM_RUN_GET_LAST_HIDDEN_LAYER = 4, /* the hidden states that were asked for */
#endif
} LLMCallState;

/* Which member of RKLLMInput's union is filled in. */
typedef enum {
    RKLLM_INPUT_PROMPT = 0,     /* text, to which the chat template is applied */
    RKLLM_INPUT_TOKEN = 1,      /* token ids, taken as they are */
    RKLLM_INPUT_EMBED = 2,      /* one embedding vector per token */
    RKLLM_INPUT_MULTIMODAL = 3, /* text with image embeddings put in place of its tags */
} RKLLMInputType;

/* What a run is to produce. */
typedef enum {
    RKLLM_INFER_GENERATE = 0,              /* an answer, token by token */
    RKLLM_INFER_GET_LAST_HIDDEN_LAYER = 1, /* the hidden states of the input's tokens */
#if RKLLM_ABI >= 10200
    RKLLM_INFER_GET_LOGITS = 2, /* the logits of the input's tokens */
#endif
} RKLLMInferMode;

/* ---- Parameters of a model ---------------------------------------------------------------- */

/* Placement on the chip, and what was added to the parameters later. */
typedef struct {
    int32_t base_domain_id; /* memory domain of the NPU; not used on a CPU */
#if RKLLM_ABI >= 10200
    int8_t embed_flash;         /* 1: word embeddings are read from storage; not used here */
    int8_t enabled_cpus_num;    /* number of CPU cores to use: threads, here */
    uint32_t enabled_cpus_mask; /* bit n: core n may be used; here its bits are counted */
#endif
#if RKLLM_ABI >= 10201
    uint8_t n_batch;        /* answers computed at once, 1 to 100 */
    int8_t use_cross_attn;  /* 1: rkllm_set_cross_attn_params will provide encoder caches */
    uint8_t reserved[104];  /* zero */
#elif RKLLM_ABI >= 10200
    uint8_t reserved[106]; /* zero */
#else
    uint8_t reserved[112]; /* zero */
#endif
} RKLLMExtendParam;

/* Everything that is decided when a model is loaded. */
typedef struct {
    const char *model_path;  /* a GGUF file or a script; .rkllm files need the NPU */
    int32_t max_context_len; /* tokens that prompt, history and answer may take together */
    int32_t max_new_tokens;  /* tokens one run may generate; 0 or less: until the context is full */
    int32_t top_k;           /* draw among the k likeliest tokens; 1: greedy, 0: among all */
#if RKLLM_ABI >= 10200
    int32_t n_keep; /* tokens at the start that stay when a full context drops old ones */
#endif
    float top_p;              /* draw among the likeliest tokens that together have this share */
    float temperature;        /* flattens (> 1) or sharpens (< 1) the choice; 0: greedy */
    float repeat_penalty;     /* divides the score of tokens that came lately; 1: off */
    float frequency_penalty;  /* taken off a token's score for every time it came lately */
    float presence_penalty;   /* taken off a token's score once if it came lately */
    int32_t mirostat;         /* 0: off, 1 or 2: hold the surprise per token steady */
    float mirostat_tau;       /* the surprise aimed at, in bits */
    float mirostat_eta;       /* how fast the aim is corrected */
    bool skip_special_token;  /* leave control tokens out of the text */
#if RKLLM_ABI >= 10300
    bool ignore_eos_token; /* go on generating past the end-of-text token */
#endif
    bool is_async; /* not used here: rkllm_run_async decides */
#if RKLLM_ABI < 10300
    const char *img_start;   /* text put before an image's embeddings */
    const char *img_end;     /* text put after them */
    const char *img_content; /* the image's own token; not used, its embeddings come instead */
#endif
    RKLLMExtendParam extend_param;
} RKLLMParam;

/* ---- Inputs ------------------------------------------------------------------------------- */

typedef struct {
    float *embed;    /* n_tokens rows of the model's embedding size */
    size_t n_tokens; /* rows */
} RKLLMEmbedInput;

typedef struct {
    int32_t *input_ids; /* token ids of the model's vocabulary */
    size_t n_tokens;    /* how many */
} RKLLMTokenInput;

/* Text and pictures. Every "<image>" in the prompt stands for one image's embeddings. */
#if RKLLM_ABI >= 10300
typedef struct {
    char *prompt;
    struct {
        float *image_embed;        /* n_image x n_image_tokens rows of the embedding size */
        size_t n_image_tokens;     /* rows per image */
        size_t n_image;            /* images */
        const char *image_start;   /* text put before each image */
        const char *image_end;     /* text put after each image */
        const char *image_content; /* the image's own token; not used here */
        size_t image_width;        /* pixels; not used here */
        size_t image_height;       /* pixels; not used here */
    } image;
    struct { /* video is refused here */
        float *video_embed;
        size_t n_frame_tokens;
        size_t n_frame_per_video;
        size_t n_video;
        const char *video_start;
        const char *video_end;
        const char *video_content;
        size_t frame_width;
        size_t frame_height;
    } video;
} RKLLMMultiModalInput;
#else
typedef struct {
    char *prompt;
    float *image_embed;    /* n_image x n_image_tokens rows of the embedding size */
    size_t n_image_tokens; /* rows per image */
#if RKLLM_ABI >= 10201
    size_t n_image;      /* images; 0 counts as 1 */
    size_t image_width;  /* pixels; not used here */
    size_t image_height; /* pixels; not used here */
#endif
} RKLLMMultiModelInput;
/* Release 1.2.3 spells it like its successors. */
typedef RKLLMMultiModelInput RKLLMMultiModalInput;
#endif

/* One input of rkllm_run. */
typedef struct {
#if RKLLM_ABI >= 10201
    const char *role;     /* "user" (also NULL), "tool" or "system" */
    bool enable_thinking; /* asks models that can for a thinking phase; none here can */
#endif
    RKLLMInputType input_type;
    union {
        const char *prompt_input;
        RKLLMEmbedInput embed_input;
        RKLLMTokenInput token_input;
        RKLLMMultiModalInput multimodal_input;
    };
} RKLLMInput;

/* ---- Parameters of a run ------------------------------------------------------------------ */

/* An adapter to load. */
typedef struct {
    const char *lora_adapter_path; /* a GGUF adapter file */
    const char *lora_adapter_name; /* the name that runs choose it by */
    float scale;                   /* its strength, usually 1 */
} RKLLMLoraAdapter;

/* The adapter that a run uses. */
typedef struct {
    const char *lora_adapter_name;
} RKLLMLoraParam;

/* Keeping the evaluated prompt for later. */
typedef struct {
    int save_prompt_cache;         /* 1: write the cache once the prompt has been evaluated */
    const char *prompt_cache_path; /* where; NULL or empty: ./prompt_cache.bin */
} RKLLMPromptCacheParam;

#if RKLLM_ABI >= 10201
/* What an encoder computed, for models whose decoder attends to it. */
typedef struct {
    float *encoder_k_cache;
    float *encoder_v_cache;
    float *encoder_mask;
    int32_t *encoder_pos;
    int num_tokens;
} RKLLMCrossAttnParam;
#endif

#if RKLLM_ABI >= 10300
/* How one run samples, instead of how the model was told to; meanings as in RKLLMParam. */
typedef struct {
    int32_t top_k;
    float top_p;
    float temperature;
    float repeat_penalty;
    float frequency_penalty;
    float presence_penalty;
    int32_t mirostat;
    float mirostat_tau;
    float mirostat_eta;
} RKLLMSamplingParam;
#endif

/* Everything that is decided for one run. */
typedef struct {
    RKLLMInferMode mode;
    RKLLMLoraParam *lora_params;                /* NULL: no adapter */
    RKLLMPromptCacheParam *prompt_cache_params; /* NULL: do not save */
#if RKLLM_ABI >= 10300
    RKLLMSamplingParam *sampling_params; /* NULL: as the model was told */
#endif
#if RKLLM_ABI >= 10200
    int keep_history; /* 1: the next run reads on in this conversation, 0: it does not see it */
#endif
#if RKLLM_ABI >= 10300
    int32_t max_new_tokens; /* tokens this run may generate; 0 or less: as the model was told */
#endif
} RKLLMInferParam;

/* ---- Results ------------------------------------------------------------------------------ */

typedef struct {
    const float *hidden_states; /* num_tokens rows of embd_size, or NULL */
    int embd_size;
    int num_tokens;
} RKLLMResultLastHiddenLayer;

#if RKLLM_ABI >= 10200
typedef struct {
    const float *logits; /* num_tokens rows of vocab_size, or NULL */
    int vocab_size;
    int num_tokens;
} RKLLMResultLogits;
#endif

#if RKLLM_ABI >= 10201
/* Filled in when a run finishes. */
typedef struct {
    float prefill_time_ms;  /* from the start of the run to the first generated token */
    int prefill_tokens;     /* tokens of the prompt that had to be evaluated */
    float generate_time_ms; /* from there to the end */
    int generate_tokens;    /* tokens generated */
    float memory_usage_mb;  /* of the whole process, at its largest */
} RKLLMPerfStat;
#endif

/* What a callback is given. All of it, pointers included, is gone when the callback returns. */
typedef struct {
    const char *text; /* may be NULL */
    int32_t token_id; /* -1 where the callback is not about a token */
    RKLLMResultLastHiddenLayer last_hidden_layer;
#if RKLLM_ABI >= 10200
    RKLLMResultLogits logits;
#endif
#if RKLLM_ABI >= 10201
    RKLLMPerfStat perf;
#endif
} RKLLMResult;

/* ---- Callbacks ---------------------------------------------------------------------------- */

/* Called for every result, on the thread that called rkllm_run or on rkllm_run_async's own. With
 * n_batch above 1 a NORMAL result points to n_batch of them, where a negative token_id means that
 * this row is done. Of all functions it may call rkllm_abort and rkllm_is_running; the others are
 * refused. */
#if RKLLM_ABI >= 10201
/* Returns 0 to go on, 1 to pause: the run ends, and the next one continues it. */
typedef int (*LLMResultCallback)(RKLLMResult *result, void *userdata, LLMCallState state);
#else
typedef void (*LLMResultCallback)(RKLLMResult *result, void *userdata, LLMCallState state);
#endif

#if RKLLM_ABI >= 10300
/* Turns text into at most n_tokens_max tokens, instead of the model's own tokenizer. Returns how
 * many, or a negative number when it cannot. */
typedef int (*LLMTokenizerCallback)(void *userdata, const char *text, int32_t text_len,
                                    int32_t *tokens, int32_t n_tokens_max);

/* Fills `len` bytes at `embed` with the float32 embeddings of the tokens, instead of the model's
 * own. Returns 0, or anything else when it cannot. */
typedef int (*LLMGetEmbedCallback)(void *userdata, int32_t *tokens, uint64_t num_tokens,
                                   void *embed, uint64_t len);

/* All callbacks of a model. Only the first is required. */
typedef struct {
    LLMResultCallback result_callback;
    void *result_userdata; /* for runs whose own userdata is NULL */
    LLMTokenizerCallback tokenizer_callback;
    void *tokenizer_userdata;
    LLMGetEmbedCallback embed_callback;
    void *embed_userdata;
} RKLLMCallback;
#endif

/* ---- Functions ---------------------------------------------------------------------------- */

/* Sensible values for everything but model_path. */
RKLLM_CPU_API RKLLMParam rkllm_createDefaultParam(void);

/* Load a model and store its handle. */
#if RKLLM_ABI >= 10300
RKLLM_CPU_API int rkllm_init(LLMHandle *handle, RKLLMParam *param, RKLLMCallback *callback);
#else
RKLLM_CPU_API int rkllm_init(LLMHandle *handle, RKLLMParam *param, LLMResultCallback callback);
#endif

/* Stop a run that is under way, wait for its end, and free everything. */
RKLLM_CPU_API int rkllm_destroy(LLMHandle handle);

/* Run to the end, calling back on this thread. rkllm_input is an array of n_batch inputs, usually
 * one; rkllm_infer_params may be NULL. Returns 0 also for a run that was aborted or paused. */
RKLLM_CPU_API int rkllm_run(LLMHandle handle, RKLLMInput *rkllm_input,
                            RKLLMInferParam *rkllm_infer_params, void *userdata);

/* Start a run and return; callbacks come on a thread of its own. */
RKLLM_CPU_API int rkllm_run_async(LLMHandle handle, RKLLMInput *rkllm_input,
                                  RKLLMInferParam *rkllm_infer_params, void *userdata);

/* Stop the run under way; any thread may call it. Returns -1 when there is none. */
RKLLM_CPU_API int rkllm_abort(LLMHandle handle);

/* Returns 1 while a run is under way, 0 when not, -1 for a handle that is none. */
RKLLM_CPU_API int rkllm_is_running(LLMHandle handle);

/* Load an adapter under a name. */
RKLLM_CPU_API int rkllm_load_lora(LLMHandle handle, RKLLMLoraAdapter *lora_adapter);

/* Load a saved prompt: runs that begin like it need not evaluate it again. */
RKLLM_CPU_API int rkllm_load_prompt_cache(LLMHandle handle, const char *prompt_cache_path);

/* Forget the loaded prompt. */
RKLLM_CPU_API int rkllm_release_prompt_cache(LLMHandle handle);

#if RKLLM_ABI >= 10201
/* Forget the conversation, with keep_system_prompt all but its system prompt. With start_pos and
 * end_pos only the positions [*start_pos, *end_pos) of a paused run without history. */
RKLLM_CPU_API int rkllm_clear_kv_cache(LLMHandle handle, int keep_system_prompt, int *start_pos,
                                       int *end_pos);

/* Store the number of tokens in the cache, one int per row of the batch. */
RKLLM_CPU_API int rkllm_get_kv_cache_size(LLMHandle handle, int *cache_sizes);

/* Describe the functions that the model may call; replaces the chat template's system prompt. */
RKLLM_CPU_API int rkllm_set_function_tools(LLMHandle handle, const char *system_prompt,
                                           const char *tools, const char *tool_response_str);

/* Hand over what the encoder computed; needs use_cross_attn. */
RKLLM_CPU_API int rkllm_set_cross_attn_params(LLMHandle handle,
                                              RKLLMCrossAttnParam *cross_attn_params);
#elif RKLLM_ABI >= 10200
/* Forget the conversation, with keep_system_prompt all but its system prompt. */
RKLLM_CPU_API int rkllm_clear_kv_cache(LLMHandle handle, int keep_system_prompt);
#endif

#if RKLLM_ABI >= 10200
/* Replace the model's chat template, and forget the conversation. */
RKLLM_CPU_API int rkllm_set_chat_template(LLMHandle handle, const char *system_prompt,
                                          const char *prompt_prefix, const char *prompt_postfix);
#endif

/* What computes here, e.g. "cpu (tiny, scripted)". Rockchip's library has no such function, which
 * is how a program knows what it has loaded. */
RKLLM_CPU_API const char *rkllm_cpu_backend(void);

/* Why this library cannot compute on this machine, in one sentence, or NULL. */
RKLLM_CPU_API const char *rkllm_cpu_problem(void);

/* What its engines cannot do, a line each: "tiny: batch, cross_attention, video". */
RKLLM_CPU_API const char *rkllm_cpu_limits(void);

#ifdef __cplusplus
}
#endif

#endif
