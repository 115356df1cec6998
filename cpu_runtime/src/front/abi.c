#include "abi.h"

#include <stdlib.h>
#include <string.h>

#include "rkllm_cpu_asserts.h" /* compile-time checks only */

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

enum { DEFAULT_CPUS = 4, DEFAULT_CPUS_MASK = 0x0F };

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
    param.extend_param.enabled_cpus_num = DEFAULT_CPUS;
    param.extend_param.enabled_cpus_mask = DEFAULT_CPUS_MASK;
#endif
#if RKLLM_ABI >= 10201
    param.extend_param.n_batch = 1;
#endif
    return param;
}

/* *ok turns false when memory is short. */
char *abi_copy(const char *text, bool *ok) {
    char *copy = strdup(text ? text : "");
    if (!copy) *ok = false;
    return copy;
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

#if RKLLM_ABI >= 10200
/* What differs from the defaults was asked for: the number, or the mask's bits, or the smaller. */
static void read_processors(const RKLLMExtendParam *from, struct settings *to) {
    int32_t n = from->enabled_cpus_num, bits = __builtin_popcount(from->enabled_cpus_mask);
    bool has_number = n > 0 && n != DEFAULT_CPUS;
    bool has_mask = bits > 0 && from->enabled_cpus_mask != DEFAULT_CPUS_MASK;
    to->processors_asked = has_number || has_mask;
    to->n_processors = has_number ? n : DEFAULT_CPUS;
    if (has_mask && (!has_number || bits < n)) to->n_processors = bits;
}
#endif

/* What not every release has. */
static void read_newer(const RKLLMParam *from, struct settings *to, bool *ok) {
    to->n_batch = 1;
#if RKLLM_ABI >= 10200
    to->n_keep = from->n_keep;
    read_processors(&from->extend_param, to);
#endif
#if RKLLM_ABI >= 10201
    to->n_batch = from->extend_param.n_batch;
    to->cross_attention = from->extend_param.use_cross_attn != 0;
#endif
#if RKLLM_ABI >= 10300
    to->ignore_eos = from->ignore_eos_token;
    to->image_start = abi_copy("", ok);
    to->image_end = abi_copy("", ok);
#else
    to->image_start = abi_copy(from->img_start, ok);
    to->image_end = abi_copy(from->img_end, ok);
#endif
}

const char *abi_read_param(const RKLLMParam *from, struct settings *to) {
    bool ok = true;
    *to = (struct settings){0};
    to->model_path = abi_copy(from->model_path, &ok);
    to->n_ctx = from->max_context_len;
    to->max_new_tokens = from->max_new_tokens;
    to->skip_special = from->skip_special_token;
    read_sampling(from, &to->sampling);
    read_newer(from, to, &ok);
    if (ok) return NULL;
    settings_free(to);
    return NO_MEMORY;
}
