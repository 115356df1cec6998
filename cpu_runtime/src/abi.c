#include "abi.h"

#include <stdlib.h>
#include <string.h>

#include "rkllm_cpu_asserts.h" /* compile-time checks only */
#include "saved.h"

#if RKLLM_ABI >= 10300
#define RELEASE "1.3.0"
#elif RKLLM_ABI >= 10201
#define RELEASE "1.2.1"
#elif RKLLM_ABI >= 10200
#define RELEASE "1.2.0"
#else
#define RELEASE "1.1.4"
#endif

const char abi_release[] = RELEASE;

/* Programs look for the version text in the library's bytes to know its layout. Without the text
 * they have to find out in other ways, which a test wants to see. */
#ifdef RKLLM_NO_VERSION_TEXT
const char abi_about[] = "rkllm-cpu, embedded runtime";
#else
const char abi_about[] =
    "rkllm-cpu, embedded runtime with the layout of RKLLM SDK (version: " RELEASE ")";
#endif

static const char NO_MEMORY[] = "there is not enough memory";

RKLLMParam abi_default_param(void) {
    RKLLMParam param;
    memset(&param, 0, sizeof param); /* padding too: callers compare and print bytes */
    param.max_context_len = 512;
    param.max_new_tokens = 256;
    param.top_k = 40;
    param.top_p = 0.9f;
    param.temperature = 0.8f;
    param.repeat_penalty = 1.1f;
    param.mirostat_tau = 5.0f;
    param.mirostat_eta = 0.1f;
    param.skip_special_token = true;
#if RKLLM_ABI < 10300
    param.img_start = param.img_end = param.img_content = "";
#endif
#if RKLLM_ABI >= 10200
    param.extend_param.enabled_cpus_num = 4;
    param.extend_param.enabled_cpus_mask = 0x0F;
#endif
#if RKLLM_ABI >= 10201
    param.extend_param.n_batch = 1;
#endif
    return param;
}

/* ---- Copies ---- */

/* *ok turns false when memory is short. */
static char *copy_text(const char *text, bool *ok) {
    char *copy = strdup(text ? text : "");
    if (!copy) *ok = false;
    return copy;
}

static void *copy_rows(const void *rows, size_t n, size_t size, bool *ok) {
    void *copy = malloc(n * size);
    if (!copy) {
        *ok = false;
        return NULL;
    }
    return memcpy(copy, rows, n * size);
}

/* ---- A model's parameters ---- */

static void read_sampling(const RKLLMParam *from, struct sampling *to) {
    to->top_k = from->top_k;
    to->top_p = from->top_p;
    to->temperature = from->temperature;
    to->repeat_penalty = from->repeat_penalty;
    to->frequency_penalty = from->frequency_penalty;
    to->presence_penalty = from->presence_penalty;
    to->mirostat = from->mirostat;
    to->mirostat_tau = from->mirostat_tau;
    to->mirostat_eta = from->mirostat_eta;
}

/* What not every release has. */
static void read_newer(const RKLLMParam *from, struct settings *to, bool *ok) {
    to->n_batch = 1;
#if RKLLM_ABI >= 10200
    to->n_keep = from->n_keep;
#endif
#if RKLLM_ABI >= 10201
    to->n_batch = from->extend_param.n_batch;
    to->cross_attention = from->extend_param.use_cross_attn != 0;
#endif
#if RKLLM_ABI >= 10300
    to->ignore_eos = from->ignore_eos_token;
    to->image_start = copy_text("", ok);
    to->image_end = copy_text("", ok);
#else
    to->image_start = copy_text(from->img_start, ok);
    to->image_end = copy_text(from->img_end, ok);
#endif
}

const char *abi_read_param(const RKLLMParam *from, struct settings *to) {
    bool ok = true;
    *to = (struct settings){0};
    to->model_path = copy_text(from->model_path, &ok);
    to->n_ctx = from->max_context_len;
    to->max_new_tokens = from->max_new_tokens;
    to->skip_special = from->skip_special_token;
    read_sampling(from, &to->sampling);
    read_newer(from, to, &ok);
    if (ok) return NULL;
    settings_free(to);
    return NO_MEMORY;
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
    if (pictures.has_video) return "video input is not available on the CPU";
    if (__builtin_mul_overflow(pictures.n_images, pictures.n_tokens, &n_rows)) n_rows = SIZE_MAX;
    to->text = copy_text(from->prompt, &ok);
    to->image_start = copy_text(pictures.start, &ok);
    to->image_end = copy_text(pictures.end, &ok);
    to->n_images = pictures.n_images;
    if (!ok) return NO_MEMORY;
    return read_rows(pictures.rows, n_rows, n_ctx, n_embd, to);
}

static const char *read_input(const RKLLMInput *input, const struct settings *defaults,
                              size_t n_embd, struct request *to) {
    bool ok = true;
    size_t n_ctx = (size_t)defaults->n_ctx;
#if RKLLM_ABI >= 10201
    to->role = copy_text(input->role && *input->role ? input->role : "user", &ok);
#else
    to->role = copy_text("user", &ok);
#endif
    to->type = input->input_type;
    switch (input->input_type) {
        case RKLLM_INPUT_PROMPT:
            if (!input->prompt_input) return "the input holds no prompt";
            to->text = copy_text(input->prompt_input, &ok);
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
        to->cache_path = copy_text(named ? cache->prompt_cache_path : SAVED_DEFAULT_PATH, &ok);
    }
    if (from->lora_params && from->lora_params->lora_adapter_name) {
        to->lora = copy_text(from->lora_params->lora_adapter_name, &ok);
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
    if (fault) request_free(to);
    return fault;
}
