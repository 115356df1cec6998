/* Defaults, loading, handles: what a caller meets before the first run. */
#include <stdlib.h>
#include <sys/stat.h>

#include "front_support.h"
#include "rkllm_cpu_asserts.h"

static void defaults_are_sensible(void) {
    RKLLMParam param = rkllm_createDefaultParam();
    CHECK(!param.model_path);
    CHECK(param.max_context_len == 512);
    CHECK(param.max_new_tokens == 256);
    CHECK(param.top_k == 40);
    CHECK(param.top_p == 0.9f);
    CHECK(param.temperature == 0.8f);
    CHECK(param.repeat_penalty == 1.1f);
    CHECK(param.frequency_penalty == 0 && param.presence_penalty == 0);
    CHECK(param.mirostat == 0 && param.mirostat_tau == 5 && param.mirostat_eta == 0.1f);
    CHECK(param.skip_special_token && !param.is_async);
#if RKLLM_ABI >= 10200
    CHECK(param.n_keep == 0);
    CHECK(param.extend_param.enabled_cpus_num == 4);
    CHECK(param.extend_param.enabled_cpus_mask == 0x0F);
#endif
#if RKLLM_ABI >= 10201
    CHECK(param.extend_param.n_batch == 1 && param.extend_param.use_cross_attn == 0);
#endif
#if RKLLM_ABI < 10300
    CHECK_TEXT(param.img_start, "");
#endif
}

static void backend_is_told(void) {
#ifdef RKLLM_LLAMA
    CHECK_TEXT(rkllm_cpu_backend(), "llama (no llama.cpp), scripted"); /* front_llama has more */
    CHECK(rkllm_cpu_problem() != NULL);
#else
    CHECK_TEXT(rkllm_cpu_backend(), "cpu (tiny, scripted)");
    CHECK_TEXT(rkllm_cpu_limits(), "tiny: batch, cross_attention, video\nscripted: video\n");
    CHECK(rkllm_cpu_problem() == NULL);
#endif
}

/* ---- Refusals ---- */

static void try_init(void *argument) {
    LLMHandle handle = (LLMHandle)1;
    CHECK(init_with(&handle, argument) == -1);
    CHECK(handle == NULL);
}

static void refused(RKLLMParam *param, const char *reason) {
    const char *log = log_of(try_init, param);
    CHECK(strncmp(log, "E rkllm: rkllm_init: ", 21) == 0);
    CHECK(strstr(log, reason));
    if (!strstr(log, reason)) printf("    wanted \"%s\" in: %s", reason, log);
}

static void refused_file(const char *path, const char *reason) {
    RKLLMParam param = param_for(path);
    refused(&param, reason);
}

static void model_files_are_checked(void) {
    static const char SCRIPT[] = "#!rkllm-script 1\n";
    refused_file(NULL, "model_path is missing");
    refused_file("", "model_path is missing");
    refused_file(temporary_path("nothing"), "No such file");
    refused_file("/tmp", "directory");
    refused_file(write_file("some.gguf", "nonsense", 8), "neither a GGUF file nor a script");
    refused_file(write_file("empty.gguf", "", 0), "is empty");
    refused_file(write_file("newer", "#!rkllm-script 12\n", 18), "neither");
    /* The name decides, also when the content would do. */
    refused_file(write_file("a.rkllm", SCRIPT, strlen(SCRIPT)), "needs the NPU");
    refused_file(write_file("a.RKLLM", SCRIPT, strlen(SCRIPT)), "needs the NPU");
    const char *pipe = temporary_path("pipe");
    CHECK(mkfifo(pipe, 0600) == 0);
    refused_file(pipe, "Invalid argument");
}

static void parameters_are_checked(void) {
    RKLLMParam good = param_for(write_script("context 100\n")), param;
    good.max_context_len = 100;
#define REFUSED(member, value, reason) \
    param = good, param.member = (value), refused(&param, reason)
    REFUSED(max_context_len, 101, "max_context_len 101 is more than the model's limit of 100");
    REFUSED(max_context_len, 0, "max_context_len is not positive");
    REFUSED(max_context_len, -1, "max_context_len is not positive");
    REFUSED(temperature, -0.1f, "temperature");
    REFUSED(temperature, strtof("nan", NULL), "temperature");
    REFUSED(top_p, 1.5f, "top_p");
    REFUSED(repeat_penalty, -1, "repeat_penalty");
    REFUSED(frequency_penalty, strtof("inf", NULL), "frequency_penalty");
    REFUSED(presence_penalty, strtof("nan", NULL), "presence_penalty");
    REFUSED(mirostat, 3, "mirostat");
#if RKLLM_ABI >= 10201
    REFUSED(extend_param.n_batch, 0, "n_batch");
    REFUSED(extend_param.n_batch, 101, "n_batch");
#endif
#undef REFUSED
}

static void null_arguments_are_refused(void) {
    LLMHandle handle;
    RKLLMParam param = param_for(write_script(""));
    CHECK(init_with(NULL, &param) == -1);
    CHECK(init_with(&handle, NULL) == -1);
#if RKLLM_ABI >= 10300
    RKLLMCallback empty = {0};
    CHECK(rkllm_init(&handle, &param, NULL) == -1);
    CHECK(rkllm_init(&handle, &param, &empty) == -1);
#else
    CHECK(rkllm_init(&handle, &param, NULL) == -1);
#endif
}

/* ---- The log ---- */

static void load_and_ask(void *path) {
    LLMHandle handle = load_model(path);
    told(handle, "a b");
    CHECK(rkllm_destroy(handle) == 0);
}

static void log_tells_what_runs(void) {
    char *path = (char *)(uintptr_t)write_script("run\n echo\n");
    const char *log = log_of(load_and_ask, path);
    CHECK(strstr(log, "I rkllm: rkllm-runtime version: "));
    CHECK(strstr(log, "platform: cpu, backend: scripted"));
    CHECK(strstr(log, "layout of RKLLM SDK (version: "));
    CHECK(!strstr(log, "prefill"));
    setenv("RKLLM_LOG_LEVEL", "1", 1);
    log = log_of(load_and_ask, path);
    CHECK(strstr(log, "I rkllm: prefill 2 tokens in "));
    CHECK(!strstr(log, "cache holds"));
    setenv("RKLLM_LOG_LEVEL", "2", 1);
    log = log_of(load_and_ask, path);
    CHECK(strstr(log, "I rkllm: cache holds 4 of 128 tokens"));
    unsetenv("RKLLM_LOG_LEVEL");
}

/* ---- Handles ---- */

static void every_function_refuses(LLMHandle handle) {
    RKLLMInput input = prompt_input("x");
    RKLLMLoraAdapter adapter = {"a", "b", 1};
    int sizes[1] = {0};
    CHECK(rkllm_run(handle, &input, NULL, NULL) == -1);
    CHECK(rkllm_run_async(handle, &input, NULL, NULL) == -1);
    CHECK(rkllm_abort(handle) == -1);
    CHECK(rkllm_is_running(handle) == -1);
    CHECK(rkllm_load_lora(handle, &adapter) == -1);
    CHECK(rkllm_load_prompt_cache(handle, "x") == -1);
    CHECK(rkllm_release_prompt_cache(handle) == -1);
    CHECK(rkllm_destroy(handle) == -1);
#if RKLLM_ABI >= 10201
    RKLLMCrossAttnParam cross = {0};
    CHECK(rkllm_clear_kv_cache(handle, 0, NULL, NULL) == -1);
    CHECK(rkllm_get_kv_cache_size(handle, sizes) == -1);
    CHECK(rkllm_set_function_tools(handle, "", "[]", "") == -1);
    CHECK(rkllm_set_cross_attn_params(handle, &cross) == -1);
#elif RKLLM_ABI >= 10200
    CHECK(rkllm_clear_kv_cache(handle, 0) == -1);
#endif
#if RKLLM_ABI >= 10200
    CHECK(rkllm_set_chat_template(handle, "", "", "") == -1);
#endif
    CHECK(sizes[0] == 0);
}

static void dead_handles_are_refused(void) {
    LLMHandle first = load_script("run\n echo\n"), second = load_script("run\n echo\n");
    CHECK(first != second);
    every_function_refuses(NULL);
    every_function_refuses((LLMHandle)0x12345678);
    every_function_refuses(&first);
    CHECK(rkllm_destroy(first) == 0);
    every_function_refuses(first);
    CHECK_TEXT(told(second, "still here"), "N[still] N[ here] F");
    LLMHandle third = load_script("run\n echo\n");
    CHECK(third != first);
    every_function_refuses(first);
    CHECK(rkllm_destroy(second) == 0);
    CHECK(rkllm_destroy(third) == 0);
}

static void null_inputs_are_refused(void) {
    LLMHandle handle = load_script("run\n echo\n");
    struct seen seen = {0};
    RKLLMInput input = prompt_input(NULL);
    CHECK(rkllm_run(handle, NULL, NULL, &seen) == -1);
    CHECK(rkllm_run(handle, &input, NULL, &seen) == -1);
    input.input_type = RKLLM_INPUT_TOKEN;
    CHECK(rkllm_run(handle, &input, NULL, &seen) == -1);
    input.input_type = RKLLM_INPUT_EMBED;
    CHECK(rkllm_run(handle, &input, NULL, &seen) == -1);
    input.input_type = RKLLM_INPUT_MULTIMODAL;
    CHECK(rkllm_run(handle, &input, NULL, &seen) == -1);
    input = prompt_input("x");
    memset(&input.input_type, 9, 1);
    CHECK(rkllm_run(handle, &input, NULL, &seen) == -1);
    RKLLMInferParam infer = {0};
    memset(&infer.mode, 7, 1);
    input = prompt_input("x");
    CHECK(rkllm_run(handle, &input, &infer, &seen) == -1);
    CHECK(seen.n_calls == 0);
    CHECK(rkllm_load_lora(handle, NULL) == -1);
    CHECK(rkllm_destroy(handle) == 0);
}

/* Everything that was passed to init may go away at once. */
static void strings_are_copied(void) {
    char *path = strdup(write_script("run\n echo\n"));
    RKLLMParam param = param_for(path);
    LLMHandle handle;
    CHECK(init_with(&handle, &param) == 0);
    memset(path, 'x', strlen(path));
    free(path);
    memset(&param, 0xFF, sizeof param);
    CHECK_TEXT(told(handle, "fine"), "N[fine] F");
    CHECK(rkllm_destroy(handle) == 0);
}

int main(void) {
    defaults_are_sensible();
    backend_is_told();
    model_files_are_checked();
    parameters_are_checked();
    null_arguments_are_refused();
    log_tells_what_runs();
    dead_handles_are_refused();
    null_inputs_are_refused();
    strings_are_copied();
    return finish_checks("front_api");
}
