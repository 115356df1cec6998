/* What the front asks of an engine.
 *
 * The front keeps everything that is RKLLM's: history and KV accounting, chat template, sampling,
 * UTF-8 hold-back, callbacks, perf, abort. An engine knows tokens and logits. It comes in one of
 * two kinds: it decodes (`decode`, `logits`: the front samples), or it plays (`play`: the engine
 * itself says which tokens come, how fast, and which fault strikes where).
 *
 * One model is used by one thread at a time, except where a function says otherwise. Lengths are in
 * bytes, positions and counts in tokens. Nothing here prints; words for the log go into
 * `engine_error`.
 */
#ifndef RKLLM_CPU_ENGINE_H
#define RKLLM_CPU_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct engine_model engine_model; /* each engine defines its own */
typedef struct engine_host engine_host; /* the front's side of `play`; see below */

/* Why something was refused, in one plain sentence without a trailing newline. */
typedef struct {
    char text[512];
} engine_error;

enum {
    ENGINE_OK = 0,
    ENGINE_REFUSED = -1,     /* error.text says why */
    ENGINE_ABORTED = -2,     /* *stop became true; the cache holds what was evaluated so far */
    ENGINE_NULL_HANDLE = -3, /* open only, scripted: init must return 0 and leave the handle NULL */
};

/* What the front may know of an open model. Strings live as long as the model. */
typedef struct {
    const char *name;        /* of the model, never NULL */
    int32_t n_vocab, n_embd; /* > 0 */
    int32_t n_ctx_max;       /* longest context the model was made for */
    int32_t bos, eos, eot;   /* token ids, -1 where the model has none */
    bool add_bos;
    /* Chat template pieces (GGUF keys rkllm.prompt_prefix ...); "" where the model has none. */
    const char *system_prefix, *system_postfix;
    const char *prompt_prefix, *prompt_postfix;
    const char *tool_prefix, *tool_postfix;
    /* Between an answer's end token and the next turn; NULL is the same as "". */
    const char *turn_gap;
    unsigned lacks; /* LACKS_ bits that hold for this model, beside those of its engine */
} engine_facts;

/* What an engine or a model cannot do. front/limits.c has a sentence for each. */
enum {
    LACKS_BATCH = 1,           /* several answers at once */
    LACKS_CROSS_ATTENTION = 2, /* encoder caches of the caller's */
    LACKS_VIDEO = 4,
    LACKS_EMBEDDINGS = 8,      /* embeddings as input, pictures included */
    LACKS_PROMPT_CACHE = 16,   /* saving what the cache holds */
};

typedef struct {
    int32_t n_ctx;      /* positions that the cache has room for */
    int32_t threads;    /* that may compute at the same time, >= 1 */
    bool threads_asked; /* so many were asked for: `threads` is no default */
} engine_options;

/* Which rows a decode keeps: the last token's logits, or all tokens' logits or hidden states. */
typedef enum { ROWS_LAST, ROWS_LOGITS, ROWS_HIDDEN } engine_rows;

typedef struct {
    const char *name; /* "tiny", "llama", "scripted" */
    unsigned lacks;   /* LACKS_ bits */

    /* Do a file's first bytes belong to this engine? */
    bool (*recognises)(const uint8_t *head, size_t size);

    /* Load `path`. A damaged file is ENGINE_REFUSED. What *error holds after ENGINE_OK is a
     * warning for the log. */
    int (*open)(const char *path, const engine_options *options, engine_model **model,
                engine_error *error);
    void (*close)(engine_model *model); /* NULL is allowed */

    const engine_facts *(*facts)(const engine_model *model);

    /* Text to tokens, without BOS. Control tokens such as <|user|> are recognised only where
     * `special`. Returns the number of tokens the text has (so > capacity means: call again), or
     * ENGINE_REFUSED when memory is short. */
    int64_t (*tokenize)(const engine_model *model, const char *text, size_t length, bool special,
                        int32_t *tokens, size_t capacity);

    /* Does this token end an answer? NULL where only the facts' eos and eot do. */
    bool (*ends)(const engine_model *model, int32_t token);

    /* A token's bytes (not NUL-terminated, may be half a UTF-8 character; empty for control
     * tokens unless `special`). Returns the length; *bytes lives as long as the model. */
    size_t (*piece)(const engine_model *model, int32_t token, bool special, const char **bytes);

    /* Evaluate n >= 1 tokens at positions position .. position+n-1; what the cache held from
     * `position` on is overwritten. Polls *stop between batches. The caller keeps
     * position + n <= n_ctx and the ids within the vocabulary. `embeddings`, where not NULL, is
     * n x n_embd floats used instead of the token ids. */
    int (*decode)(engine_model *model, const int32_t *tokens, const float *embeddings, size_t n,
                  size_t position, engine_rows rows, const atomic_bool *stop,
                  engine_error *error);

    /* Rows kept by the last decode: 1 x n_vocab or n x n_vocab; hidden: n x n_embd, after the
     * final norm. NULL where they were not asked for. Valid until the next decode or close. */
    const float *(*logits)(const engine_model *model);
    const float *(*hidden)(const engine_model *model);

    /* Drop the positions from n on, n >= 1. False, and nothing changes, where this model's cache
     * cannot go back. `decode` does without. */
    bool (*cut)(engine_model *model, size_t n);

    /* Take positions [from, to) out of the cache; later ones move down (RoPE is adjusted). */
    int (*erase)(engine_model *model, size_t from, size_t to);

    /* Save/load the first n positions of the cache (the tokens themselves are the front's); what
     * it holds after them may be dropped. The buffer form keeps files in one place, the front.
     * state_size is what state_save will write now. The engine judges by itself whether a saved
     * state is whole and of this model. */
    size_t (*state_size)(engine_model *model, size_t n);
    int (*state_save)(engine_model *model, size_t n, uint8_t *to, size_t size);
    int (*state_load)(engine_model *model, size_t n, const uint8_t *from, size_t size);

    /* LoRA: load a file (returns an index >= 0 or ENGINE_REFUSED), and choose the one in force for
     * the decodes that follow (-1: none). */
    int (*lora_load)(engine_model *model, const char *path, float scale, engine_error *error);
    int (*lora_use)(engine_model *model, int index);

    /* NULL for engines that decode. Plays one whole run: `input` is the text as the user gave it
     * (or NULL), `rendered` the prompt after the template. Returns what rkllm_run is to return. */
    int (*play)(engine_model *model, engine_host *host, const char *input, const char *rendered);
} engine;

/* What a playing engine may do; all of it is the front's. */
enum { HOST_NORMAL = 0, HOST_WAITING = 1, HOST_FINISH = 2, HOST_ERROR = 3 };
bool host_aborted(engine_host *host);            /* rkllm_abort was called for this run */
bool host_sleep(engine_host *host, double ms);   /* false when woken by an abort */
/* Call back with this text (may be NULL) as it is, whatever bytes it holds. FINISH and ERROR come
 * with the perf figures. Returns the callback's return value. */
int host_emit(engine_host *host, int state, const char *text, int32_t token_id);
/* Call back as for a decoded token: NORMAL with whole characters, WAITING while there are none. */
int host_emit_token(engine_host *host, const char *text, int32_t token_id);
/* Call back with rows x width made-up floats (value(i) = i-th float of a fixed sequence). */
int host_emit_logits(engine_host *host, int state, int32_t rows, int32_t vocab_size);
int host_emit_hidden(engine_host *host, int state, int32_t rows, int32_t embd_size);
/* Call back NORMAL with one result per row of the batch; those beyond n are done (token_id -1). */
int host_emit_batch(engine_host *host, const char *const *texts, const int32_t *token_ids,
                    size_t n);
/* Call back NORMAL from another thread, `ms` after the run has ended. False when that cannot be. */
bool host_emit_late(engine_host *host, const char *text, double ms);

/* Read the caller's prompt again, that long after the run's end, and print how much is there. */
bool host_read_late(engine_host *host, double ms);
/* What was asked for: tokens this run may emit (INT32_MAX: any number), rows of a batch, mode as
 * RKLLMInferMode counts, and whether this run continues one that a callback paused by returning 1:
 * the engine then goes on where it stopped. */
int32_t host_limit(const engine_host *host);
int32_t host_rows(const engine_host *host);
int host_mode(const engine_host *host);
/* The text of one row's input; NULL where it has none. */
const char *host_input(const engine_host *host, int32_t row);
bool host_resumed(const engine_host *host);
/* Whether the text of control tokens is left out (skip_special_token). */
bool host_hides_control(const engine_host *host);

extern const engine engine_tiny;
extern const engine engine_llama;

/* Of the engine llama: which libllama it has opened, why it could not open one, or NULL, and which
 * devices that one has: "CPU", or more with commas between them. */
const char *llama_about(void);
const char *llama_problem(void);
const char *llama_devices(void);
extern const engine engine_scripted;

#endif
