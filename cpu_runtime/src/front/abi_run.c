/* What one run was asked for. */
#include <stdlib.h>
#include <string.h>

#include "abi.h"
#include "limits.h"
#include "prompt_cache.h"

static const char NO_MEMORY[] = "there is not enough memory";

static void *copy_rows(const void *rows, size_t n, size_t size, bool *ok) {
    void *copy = malloc(n * size);
    if (!copy) {
        *ok = false;
        return NULL;
    }
    return memcpy(copy, rows, n * size);
}

/* ---- A run's input ---- */

static const char *read_rows(const float *rows, size_t n, size_t n_ctx, size_t n_embd,
                             struct request *to) {
    bool ok = true;
    if (!rows || n == 0) return "the input holds no embeddings";
    to->n_rows = n;
    if (n <= n_ctx) to->embeddings = copy_rows(rows, n, n_embd * sizeof *rows, &ok);
    return ok ? NULL : NO_MEMORY;
}

static const char *read_tokens(const RKLLMTokenInput *from, size_t n_ctx, struct request *to) {
    bool ok = true;
    if (!from->input_ids || from->n_tokens == 0) return "the input holds no tokens";
    to->n_rows = from->n_tokens;
    if (to->n_rows <= n_ctx) {
        to->tokens = copy_rows(from->input_ids, to->n_rows, sizeof *to->tokens, &ok);
    }
    return ok ? NULL : NO_MEMORY;
}

/* Where releases keep what belongs to pictures. */
struct pictures {
    const float *rows;
    size_t n_tokens, n_images;
    const char *start, *end;
    bool has_video;
};

static struct pictures find_pictures(const RKLLMMultiModalInput *from,
                                     const struct settings *defaults) {
#if RKLLM_ABI >= 10300
    (void)defaults;
    return (struct pictures){from->image.image_embed, from->image.n_image_tokens,
                             from->image.n_image,     from->image.image_start,
                             from->image.image_end,   from->video.n_video > 0};
#else
    size_t n_images = 1;
#if RKLLM_ABI >= 10201
    if (from->n_image > 0) n_images = from->n_image;
#endif
    return (struct pictures){from->image_embed,     from->n_image_tokens, n_images,
                             defaults->image_start, defaults->image_end,  false};
#endif
}

static const char *read_pictures(const RKLLMMultiModalInput *from,
                                 const struct settings *defaults, size_t n_embd,
                                 struct request *to) {
    bool ok = true;
    size_t n_ctx = (size_t)defaults->n_ctx, n_rows;
    struct pictures pictures = find_pictures(from, defaults);
    if (!from->prompt) return "the input holds no prompt";
    if (pictures.has_video) return limits_fault(LACKS_VIDEO, LACKS_VIDEO); /* all engines do */
    if (__builtin_mul_overflow(pictures.n_images, pictures.n_tokens, &n_rows)) n_rows = SIZE_MAX;
    to->text = abi_copy(from->prompt, &ok);
    to->image_start = abi_copy(pictures.start, &ok);
    to->image_end = abi_copy(pictures.end, &ok);
    to->n_images = pictures.n_images;
    if (!ok) return NO_MEMORY;
    return read_rows(pictures.rows, n_rows, n_ctx, n_embd, to);
}

static const char *read_input(const RKLLMInput *input, const struct settings *defaults,
                              size_t n_embd, struct request *to) {
    bool ok = true;
    size_t n_ctx = (size_t)defaults->n_ctx;
#if RKLLM_ABI >= 10201
    to->role = abi_copy(input->role && *input->role ? input->role : "user", &ok);
#else
    to->role = abi_copy("user", &ok);
#endif
    to->type = input->input_type;
    switch (input->input_type) {
        case RKLLM_INPUT_PROMPT:
            if (!input->prompt_input) return "the input holds no prompt";
            to->text = abi_copy(input->prompt_input, &ok);
            to->given = input->prompt_input;
            return ok ? NULL : NO_MEMORY;
        case RKLLM_INPUT_TOKEN:
            return read_tokens(&input->token_input, n_ctx, to);
        case RKLLM_INPUT_EMBED:
            return read_rows(input->embed_input.embed, input->embed_input.n_tokens, n_ctx, n_embd,
                             to);
        case RKLLM_INPUT_MULTIMODAL:
            return read_pictures(&input->multimodal_input, defaults, n_embd, to);
    }
    return "the input type is none of PROMPT, TOKEN, EMBED, MULTIMODAL";
}

/* The inputs of the other rows, of which only scripts make use: their texts. */
static const char *read_row_texts(const RKLLMInput *inputs, const struct settings *defaults,
                                  size_t n_embd, struct request *to) {
    size_t n = (size_t)defaults->n_batch - 1;
    const char *fault = NULL;
    if (n == 0) return NULL;
    to->row_texts = calloc(n, sizeof *to->row_texts);
    if (!to->row_texts) return NO_MEMORY;
    to->n_row_texts = n;
    for (size_t i = 0; i < n && !fault; i++) {
        struct request row = {0};
        fault = read_input(&inputs[i], defaults, n_embd, &row);
        to->row_texts[i] = row.text;
        row.text = NULL;
        request_free(&row);
    }
    return fault;
}

/* ---- A run's parameters ---- */

#if RKLLM_ABI >= 10300
static void read_own_sampling(const RKLLMInferParam *from, struct request *to) {
    const RKLLMSamplingParam *own = from->sampling_params;
    if (from->max_new_tokens > 0) to->max_new_tokens = from->max_new_tokens;
    if (!own) return;
    to->sampling = (struct sampling){
        .top_k = own->top_k,
        .top_p = own->top_p,
        .temperature = own->temperature,
        .repeat_penalty = own->repeat_penalty,
        .frequency_penalty = own->frequency_penalty,
        .presence_penalty = own->presence_penalty,
        .mirostat = own->mirostat,
        .mirostat_tau = own->mirostat_tau,
        .mirostat_eta = own->mirostat_eta,
    };
}
#endif

static const char *read_mode(RKLLMInferMode from, run_mode *to) {
    switch (from) {
        case RKLLM_INFER_GENERATE: *to = MODE_GENERATE; return NULL;
        case RKLLM_INFER_GET_LAST_HIDDEN_LAYER: *to = MODE_HIDDEN; return NULL;
#if RKLLM_ABI >= 10200
        case RKLLM_INFER_GET_LOGITS: *to = MODE_LOGITS; return NULL;
#endif
    }
    return "the mode is none of GENERATE, GET_LAST_HIDDEN_LAYER, GET_LOGITS";
}

static const char *read_infer(const RKLLMInferParam *from, struct request *to) {
    bool ok = true;
    if (!from) return NULL;
    const RKLLMPromptCacheParam *cache = from->prompt_cache_params;
    if (cache && cache->save_prompt_cache) {
        bool named = cache->prompt_cache_path && *cache->prompt_cache_path;
        to->save_cache = true;
        to->cache_path = abi_copy(named ? cache->prompt_cache_path : PROMPT_CACHE_DEFAULT_PATH,
                                  &ok);
    }
    if (from->lora_params && from->lora_params->lora_adapter_name) {
        to->lora = abi_copy(from->lora_params->lora_adapter_name, &ok);
    }
#if RKLLM_ABI >= 10200
    to->keep_history = from->keep_history != 0;
#endif
#if RKLLM_ABI >= 10300
    read_own_sampling(from, to);
#endif
    if (!ok) return NO_MEMORY;
    return read_mode(from->mode, &to->mode);
}

const char *abi_read_run(const RKLLMInput *input, const RKLLMInferParam *infer,
                         const struct settings *defaults, size_t n_embd, struct request *to) {
    *to = (struct request){.sampling = defaults->sampling,
                           .max_new_tokens = defaults->max_new_tokens};
    const char *fault = read_infer(infer, to);
    if (!fault) fault = sampling_fault(&to->sampling);
    if (!fault) fault = read_input(input, defaults, n_embd, to);
    if (!fault) fault = read_row_texts(input + 1, defaults, n_embd, to);
    if (fault) request_free(to);
    return fault;
}
