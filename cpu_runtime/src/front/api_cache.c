/* The exported functions about the conversation: cache, template, adapters, saved prompts. */
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "registry.h"

static int refuse(const char *function, const char *why) {
    log_error("%s: %s", function, why);
    return -1;
}

/* The session of a handle, entered for brief work; NULL after logging why not. */
static struct session *enter(LLMHandle handle, const char *function) {
    struct session *session = registry_acquire(handle, function);
    if (!session || session_enter(session, SESSION_WORKING)) return session;
    registry_release(session);
    return NULL;
}

static void leave(struct session *session) {
    session_leave(session);
    registry_release(session);
}

/* ---- Adapters and saved prompts ---- */

int rkllm_load_lora(LLMHandle handle, RKLLMLoraAdapter *lora_adapter) {
    const char *function = "rkllm_load_lora";
    if (!lora_adapter || !lora_adapter->lora_adapter_path || !lora_adapter->lora_adapter_name) {
        return refuse(function, "the adapter, its path or its name is NULL");
    }
    engine_error error = {""};
    struct session *session = enter(handle, function);
    if (!session) return -1;
    bool ok = loras_load(&session->loras, session->engine, session->model,
                         lora_adapter->lora_adapter_name, lora_adapter->lora_adapter_path,
                         lora_adapter->scale, &error);
    leave(session);
    return ok ? 0 : refuse(function, error.text);
}

static bool load_saved(struct session *session, const char *path, engine_error *error) {
    struct context *context = &session->context;
    if (session->saved.n > 0) {
        snprintf(error->text, sizeof error->text, "release the one that is loaded first");
        return false;
    }
    if (!prompt_cache_read(&session->saved, path, context, session->facts, error)) return false;
    /* The engine may still refuse it, and that is better known now than when a run needs it. */
    session_forget(session, false);
    context_forget_cut(context);
    if (context->engine->state_load(context->model, session->saved.n, session->saved.state,
                                    session->saved.size) == ENGINE_OK) {
        return true;
    }
    prompt_cache_free(&session->saved);
    snprintf(error->text, sizeof error->text, "it was saved from another model");
    return false;
}

int rkllm_load_prompt_cache(LLMHandle handle, const char *prompt_cache_path) {
    const char *function = "rkllm_load_prompt_cache", *path = prompt_cache_path;
    engine_error error = {""};
    struct session *session = enter(handle, function);
    if (!session) return -1;
    bool ok = load_saved(session, path && *path ? path : PROMPT_CACHE_DEFAULT_PATH, &error);
    leave(session);
    return ok ? 0 : refuse(function, error.text);
}

int rkllm_release_prompt_cache(LLMHandle handle) {
    struct session *session = enter(handle, "rkllm_release_prompt_cache");
    if (!session) return -1;
    prompt_cache_free(&session->saved);
    leave(session);
    return 0;
}

/* ---- The cache ---- */

#if RKLLM_ABI >= 10201
static int clear_range(struct session *session, int from, int to) {
    const char *function = "rkllm_clear_kv_cache";
    struct context *context = &session->context;
    if (!session->paused || session->paused_history) {
        return refuse(function, "a range can only be cleared of a paused run without history");
    }
    if (from < 0 || to < from || (size_t)to > context->n) {
        return refuse(function, "the range is not within the cache");
    }
    if (context_cut(context, (size_t)from, (size_t)to)) return 0;
    return refuse(function, "the range could not be cleared");
}

int rkllm_clear_kv_cache(LLMHandle handle, int keep_system_prompt, int *start_pos, int *end_pos) {
    if (!start_pos != !end_pos) {
        return refuse("rkllm_clear_kv_cache", "start_pos and end_pos belong together");
    }
    struct session *session = enter(handle, "rkllm_clear_kv_cache");
    if (!session) return -1;
    int code = 0;
    if (start_pos) {
        code = clear_range(session, *start_pos, *end_pos);
    } else {
        session_forget(session, keep_system_prompt != 0);
    }
    leave(session);
    return code;
}

int rkllm_get_kv_cache_size(LLMHandle handle, int *cache_sizes) {
    if (!cache_sizes) return refuse("rkllm_get_kv_cache_size", "cache_sizes is NULL");
    struct session *session = enter(handle, "rkllm_get_kv_cache_size");
    if (!session) return -1;
    for (int32_t i = 0; i < session->settings.n_batch; i++) {
        cache_sizes[i] = (int)session->context.n;
    }
    leave(session);
    return 0;
}
#elif RKLLM_ABI >= 10200
int rkllm_clear_kv_cache(LLMHandle handle, int keep_system_prompt) {
    struct session *session = enter(handle, "rkllm_clear_kv_cache");
    if (!session) return -1;
    session_forget(session, keep_system_prompt != 0);
    leave(session);
    return 0;
}
#endif

/* ---- The template ---- */

#if RKLLM_ABI >= 10200
static size_t tokens_in(const struct session *session, const char *text) {
    int64_t n = 0;
    if (text) {
        n = session->engine->tokenize(session->model, text, strlen(text), true, NULL, 0);
    }
    return n > 0 ? (size_t)n : 0;
}

/* A template that fills the context leaves no room for a prompt: every run would fail. */
static bool check_fits(const struct session *session, const struct template *template,
                       engine_error *error) {
    size_t room = session->context.capacity;
    if (session->callbacks.tokenize) return true; /* the user's own; its tokens are not known */
    size_t n = tokens_in(session, template->system) + tokens_in(session, template->prefix) +
               tokens_in(session, template->postfix);
    if (n < room) return true;
    snprintf(error->text, sizeof error->text,
             "the template has %zu tokens, but the context has room for %zu", n, room);
    return false;
}

/* Use a template, which is this function's from now on; false where it is refused. */
static bool use_template(struct session *session, struct template *template,
                         engine_error *error) {
    bool ok = check_fits(session, template, error);
    template_clear(ok ? &session->template : template);
    if (!ok) return false;
    session->template = *template;
    session_forget(session, false);
    return true;
}

int rkllm_set_chat_template(LLMHandle handle, const char *system_prompt, const char *prompt_prefix,
                            const char *prompt_postfix) {
    const char *function = "rkllm_set_chat_template";
    engine_error error = {"there is not enough memory"};
    struct template template = {0};
    struct session *session = enter(handle, function);
    if (!session) return -1;
    bool ok = template_set(&template, system_prompt, prompt_prefix, prompt_postfix) &&
              use_template(session, &template, &error);
    leave(session);
    return ok ? 0 : refuse(function, error.text);
}
#endif

#if RKLLM_ABI >= 10201
int rkllm_set_function_tools(LLMHandle handle, const char *system_prompt, const char *tools,
                             const char *tool_response_str) {
    const char *function = "rkllm_set_function_tools";
    if (!tools) return refuse(function, "tools is NULL");
    engine_error error = {"there is not enough memory"};
    struct template template = {0};
    struct session *session = enter(handle, function);
    if (!session) return -1;
    bool ok = *session->facts->system_prefix;
    if (!ok) {
        snprintf(error.text, sizeof error.text,
                 "the model has no chat template that tools could be told with");
    }
    ok = ok && template_set_tools(&template, session->facts, system_prompt, tools,
                                  tool_response_str) &&
         use_template(session, &template, &error);
    leave(session);
    return ok ? 0 : refuse(function, error.text);
}

int rkllm_set_cross_attn_params(LLMHandle handle, RKLLMCrossAttnParam *cross_attn_params) {
    const char *function = "rkllm_set_cross_attn_params";
    if (!cross_attn_params) return refuse(function, "cross_attn_params is NULL");
    struct session *session = enter(handle, function);
    if (!session) return -1;
    bool told = session->settings.cross_attention; /* an engine that cannot has refused it */
    leave(session);
    return told ? 0 : refuse(function, "the model was loaded without use_cross_attn");
}
#endif
