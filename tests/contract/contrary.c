/* A runtime that keeps every promise but those that $CONTRARY names, for tests of who notices.
 * The model file is not read; the answer is made up. Release 1.3.0. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rkllm_cpu.h"

#ifndef UNNAMED
__attribute__((used)) static const char version[] = "RKLLM SDK (version: 1.3.0)";
#endif

enum { WORDS = 40, DEAF_WORDS = 700, CONTEXT = 4096, FIRST_TOKEN = 7 };
enum { ROWS = 64, COLUMNS = 64 }; /* of logits */

static struct {
    RKLLMParam *param;
    LLMResultCallback callback;
    const char *prefix;
    const char *system, *postfix; /* copied, unlike the prefix */
    int cache, loads, runs, aborts, limit, saved;
    int said; /* tokens of an answer that are in the cache */
    int last_prompt, cut_off; /* tokens of the last prompt, and of the last that was cleared */
    bool has_template_file;
    volatile bool running, aborted, aborted_idle, paused, deaf;
    pthread_t runner;
} it;

static bool is_contrary(const char *what) {
    const char *named = getenv("CONTRARY");
    return named && strcmp(named, what) == 0;
}

/* The tokens of a text: its bytes, or one for each <|mark|> if marks are read. */
static int count(const char *text, bool reads_marks) {
    int tokens = 0;
    for (; text && *text; tokens++) {
        const char *end = reads_marks && strncmp(text, "<|", 2) == 0 ? strstr(text, "|>") : NULL;
        text = end ? end + 2 : text + 1;
    }
    return tokens;
}

static int slot(const char *text) { return count(text, !is_contrary("marks in slots")); }

static bool has_template_file(const char *model) {
    char path[4096];
    const char *slash = strrchr(model, '/');
    int folder = slash ? (int)(slash - model) : 0;
    snprintf(path, sizeof path, "%.*s/chat_template.jinja", folder, model);
    return access(path, R_OK) == 0;
}

RKLLM_CPU_API RKLLMParam rkllm_createDefaultParam(void) {
    RKLLMParam param;
    memset(&param, 0, sizeof param);
    param.max_context_len = 512;
    param.top_k = 1;
    param.extend_param.n_batch = 1;
    return param;
}

RKLLM_CPU_API int rkllm_init(LLMHandle *handle, RKLLMParam *param, RKLLMCallback *callback) {
    if (is_contrary("crash in init")) abort();
    if (is_contrary("exit in init")) exit(3);
    if (is_contrary("hang in init"))
        for (;;) pause();
    if (is_contrary("loads")) return -1;
    if (is_contrary("host in C") && !dlsym(RTLD_DEFAULT, "Py_IsInitialized")) return -1;
    if (access(param->model_path, R_OK) && !is_contrary("missing model")) return -1;
    if (param->max_context_len > CONTEXT && !is_contrary("long context")) return -1;
    if (is_contrary("init after destroy") && it.loads) return -1;
    it.loads++;
    it.param = param;
    it.callback = callback->result_callback;
    it.cache = 0;
    it.prefix = it.system = it.postfix = NULL;
    it.limit = param->max_new_tokens;
    it.saved = it.cut_off = 0;
    it.has_template_file = has_template_file(param->model_path);
    *handle = &it;
    return 0;
}

RKLLM_CPU_API int rkllm_destroy(LLMHandle handle) {
    (void)handle;
    if (it.running && is_contrary("destroy while running")) return -1;
    it.aborted = true;
    while (it.running) usleep(1000);
    if (is_contrary("destroy frees")) (void)!open("/dev/null", O_RDONLY);
    return 0;
}

struct call {
    RKLLMResult result;
    void *userdata;
    LLMCallState state;
    int reply;
};

static void *call_back(void *argument) {
    struct call *call = argument;
    call->reply = it.callback(&call->result, call->userdata, call->state);
    return NULL;
}

static int read_tokens; /* of the run under way */
static int reused;      /* of these; perf does not count them */

static int tell(const char *text, int tokens, void *userdata, LLMCallState state) {
    struct call call = {.userdata = is_contrary("userdata") ? NULL : userdata, .state = state};
    call.result.text = text;
    call.result.token_id = FIRST_TOKEN + tokens;
    if (state == RKLLM_RUN_FINISH) call.result.perf.prefill_tokens = read_tokens - reused;
    if (state == RKLLM_RUN_FINISH || is_contrary("perf")) call.result.perf.generate_tokens = tokens;
    if (is_contrary("callback's thread")) {
        pthread_t other;
        pthread_create(&other, NULL, call_back, &call);
        pthread_join(other, NULL);
    } else {
        call_back(&call);
    }
    return call.reply;
}

static void *tell_late(void *userdata) {
    usleep(200000);
    tell("late", 1, userdata, RKLLM_RUN_NORMAL);
    return NULL;
}

static void later(void *userdata) {
    pthread_t other;
    pthread_create(&other, NULL, tell_late, userdata);
    pthread_detach(other);
}

/* The tokens of an answer follow each other; others are a prompt's. */
static int read_for_arrays(const RKLLMInput *input, const RKLLMInferParam *infer) {
    if (input->input_type != RKLLM_INPUT_TOKEN) return 1;
    int n = (int)input->token_input.n_tokens;
    bool hidden = infer->mode != RKLLM_INFER_GET_LOGITS;
    if (it.cache == 0) it.said = 0;
    for (int i = 0; i < n; i++)
        it.said += input->token_input.input_ids[i] == FIRST_TOKEN + it.said;
    if (infer->keep_history && !is_contrary(hidden ? "hidden prompt" : "logits append"))
        it.cache += n;
    return n < ROWS ? n : ROWS;
}

static int give_arrays(RKLLMInferMode mode, void *userdata, int rows) {
    static float numbers[ROWS * COLUMNS];
    RKLLMResult result = {0};
    const char *name = mode == RKLLM_INFER_GET_LOGITS ? "end, logits" : "end, hidden states";
    if (mode == RKLLM_INFER_GET_LOGITS)
        result.logits = (RKLLMResultLogits){numbers, COLUMNS, rows};
    else
        result.last_hidden_layer = (RKLLMResultLastHiddenLayer){numbers, 4, 1};
    bool off = (it.paused && is_contrary("logits after a pause")) ||
               (rows > 1 && it.said && is_contrary("logits of several"));
    it.paused = false;
    memset(numbers, 0, sizeof numbers);
    numbers[(rows - 1) * COLUMNS + FIRST_TOKEN + it.said + off] = 1;
    if (is_contrary("rows are freed")) memset(malloc(1 << 20), 1, 1 << 20);
    int reply = it.callback(&result, userdata, RKLLM_RUN_NORMAL);
    if (reply == 2 && is_contrary("release")) return -1;
    if (mode == RKLLM_INFER_GET_LOGITS && is_contrary("logits of a token"))
        it.callback(&result, userdata, RKLLM_RUN_NORMAL);
    if (is_contrary(name)) later(userdata);
    return 0;
}

static const char *word(int number) {
    static char text[32];
    if (is_contrary("WAITING") && number == 1) return "\xe4";
    if (is_contrary("RKLLMParam")) {
        snprintf(text, sizeof text, "%d ", it.param->max_context_len);
        return text;
    }
    if (is_contrary("strings") && it.prefix) return it.prefix;
    if (is_contrary("cleared is new")) {
        snprintf(text, sizeof text, "%d ", it.runs);
        return text;
    }
    return "word ";
}

static int prompt_tokens(const RKLLMInput *input) {
    int tokens = it.cache == 0 ? slot(it.system) : 0;
    if (input->input_type == RKLLM_INPUT_TOKEN) {
        return (int)input->token_input.n_tokens + (is_contrary("tokens appended") ? 2 : 0);
    }
    if (is_contrary("template file") && it.has_template_file) tokens += 20;
    return tokens + slot(it.prefix) + slot(it.postfix) +
           count(input->prompt_input, is_contrary("marks in a prompt"));
}

static void save(const RKLLMPromptCacheParam *cache) {
    FILE *file = cache && cache->save_prompt_cache ? fopen(cache->prompt_cache_path, "w") : NULL;
    if (!file) return;
    fprintf(file, "%d", read_tokens);
    fclose(file);
}

static int most_words(void) {
    int words = it.deaf || is_contrary("answer ends") ? DEAF_WORDS : WORDS;
    return it.limit > 0 && it.limit < words ? it.limit : words;
}

static int generate(RKLLMInferParam *infer, void *userdata, int first) {
    int told = first;
    while (told < most_words() && !it.aborted) {
        if (it.aborts && is_contrary("run after abort") && !it.aborted) break;
        if (told == 1) tell(NULL, 0, userdata, RKLLM_RUN_WAITING);
        int reply = tell(word(told), told, userdata, RKLLM_RUN_NORMAL);
        told++;
        usleep(1000);
        if (reply == 1 && !is_contrary("pause")) {
            it.paused = true;
            it.cache += read_tokens;
            it.said = 0;
            return 0;
        }
    }
    if (infer->keep_history ? !is_contrary("history kept") : is_contrary("history dropped"))
        it.cache += read_tokens + told;
    if (it.aborted) {
        if (is_contrary("late callbacks")) later(userdata);
        if (is_contrary("state after abort")) return 0;
    }
    if (is_contrary("FINISH, generating")) tell(NULL, told, userdata, RKLLM_RUN_FINISH);
    tell(NULL, told, userdata, RKLLM_RUN_FINISH);
    return it.aborted && is_contrary("status after abort") ? -1 : 0;
}

RKLLM_CPU_API int rkllm_run(LLMHandle handle, RKLLMInput *input, RKLLMInferParam *infer,
                            void *userdata) {
    (void)handle;
    if (input->input_type == RKLLM_INPUT_PROMPT && strlen(input->prompt_input) > 10 * CONTEXT) {
        if (is_contrary("ERROR")) abort();
        tell(NULL, 0, userdata, RKLLM_RUN_ERROR);
        return -1;
    }
    if (infer->mode != RKLLM_INFER_GENERATE)
        return give_arrays(infer->mode, userdata, read_for_arrays(input, infer));
    it.runs++;
    read_tokens = prompt_tokens(input);
    save(infer->prompt_cache_params);
    if (it.cache == 0 && it.saved && !is_contrary("saved prompt")) read_tokens -= it.saved;
    if (it.runs > 1 && is_contrary("prompt again")) read_tokens = 1;
    bool comes_again = infer->keep_history && it.cache == 0 && read_tokens == it.cut_off;
    reused = comes_again && !is_contrary("beginning again") ? read_tokens - 1 : 0;
    it.last_prompt = read_tokens;
    it.runner = pthread_self();
    it.aborted = is_contrary("abort of nothing") && it.aborted_idle;
    it.aborted_idle = false;
    it.running = true;
    int first = it.paused ? 1 : 0;
    it.paused = false;
    int status = generate(infer, userdata, first);
    it.running = false;
    return status;
}

RKLLM_CPU_API int rkllm_run_async(LLMHandle handle, RKLLMInput *input, RKLLMInferParam *infer,
                                  void *userdata) {
    return is_contrary("run_async") ? -1 : rkllm_run(handle, input, infer, userdata);
}

RKLLM_CPU_API int rkllm_abort(LLMHandle handle) {
    (void)handle;
    it.aborts++;
    it.aborted_idle = !it.running;
    if (is_contrary("abort ends")) {
        it.deaf = true;
        return 0;
    }
    bool inside = it.running && pthread_equal(it.runner, pthread_self());
    if (!inside || !is_contrary("abort in a callback")) it.aborted = it.running;
    return is_contrary("abort's status") ? -1 : 0;
}

RKLLM_CPU_API int rkllm_is_running(LLMHandle handle) {
    (void)handle;
    return is_contrary("is_running") ? !it.running : it.running;
}

RKLLM_CPU_API int rkllm_clear_kv_cache(LLMHandle handle, int keep, int *start, int *end) {
    (void)handle, (void)start, (void)end;
    if (keep && is_contrary("clear but system")) keep = 0;
    if (it.cache) it.cut_off = it.last_prompt;
    if (!is_contrary("clear")) it.cache = keep && it.cache ? slot(it.system) : 0;
    return 0;
}

RKLLM_CPU_API int rkllm_get_kv_cache_size(LLMHandle handle, int *sizes) {
    (void)handle;
    sizes[0] = it.cache;
    return 0;
}

RKLLM_CPU_API int rkllm_set_chat_template(LLMHandle handle, const char *system,
                                          const char *prefix, const char *postfix) {
    (void)handle;
    it.system = strdup(system); /* not freed: the process ends after a few calls */
    it.postfix = strdup(postfix);
    /* Not copied if the test asks for that. */
    it.prefix = is_contrary("strings") ? prefix : strdup(prefix);
    if (!is_contrary("template clears")) it.cache = 0;
    return 0;
}

RKLLM_CPU_API int rkllm_set_function_tools(LLMHandle handle, const char *system, const char *tools,
                                           const char *tag) {
    (void)handle, (void)system, (void)tools, (void)tag;
    return 0;
}

RKLLM_CPU_API int rkllm_load_lora(LLMHandle handle, RKLLMLoraAdapter *adapter) {
    (void)handle, (void)adapter;
    return 0;
}

RKLLM_CPU_API int rkllm_load_prompt_cache(LLMHandle handle, const char *path) {
    (void)handle;
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%d", &it.saved) != 1) it.saved = 0;
    if (file) fclose(file);
    return it.saved ? 0 : -1;
}

RKLLM_CPU_API int rkllm_release_prompt_cache(LLMHandle handle) {
    (void)handle;
    it.saved = 0;
    return 0;
}

RKLLM_CPU_API int rkllm_set_cross_attn_params(LLMHandle handle, RKLLMCrossAttnParam *params) {
    (void)handle, (void)params;
    return 0;
}
