/* What stays in the cache, templates and roles, pauses. */
#include <stdlib.h>

#include "front_support.h"

/* 1.1.x has none of this. */
#if RKLLM_ABI >= 10200

static void clear(LLMHandle handle, int keep_system) {
#if RKLLM_ABI >= 10201
    CHECK(rkllm_clear_kv_cache(handle, keep_system, NULL, NULL) == 0);
#else
    CHECK(rkllm_clear_kv_cache(handle, keep_system) == 0);
#endif
}

static void holds(LLMHandle handle, int wanted) {
#if RKLLM_ABI >= 10201
    int sizes[1] = {-1};
    CHECK(rkllm_get_kv_cache_size(handle, sizes) == 0);
    CHECK(sizes[0] == wanted);
    if (sizes[0] != wanted) printf("    the cache holds %d, not %d\n", sizes[0], wanted);
#else
    (void)handle, (void)wanted; /* this release cannot tell */
#endif
}

/* A script's token is a word, and every callback is one more. */
static void history_is_kept_if_asked(void) {
    struct seen seen = {0};
    LLMHandle handle = load_script("run\n token \"a\"\n token \"b\"\n");
    holds(handle, 0);
    CHECK(ask(handle, &seen, "one two three", 1) == 0);
    holds(handle, 5);
    CHECK(ask(handle, &seen, "four", 0) == 0);
    holds(handle, 5);
    CHECK(ask(handle, &seen, "four", 1) == 0);
    holds(handle, 8);
    clear(handle, 0);
    holds(handle, 0);
    CHECK(rkllm_destroy(handle) == 0);
}

static void failed_runs_leave_nothing(void) {
    struct seen seen = {0};
    LLMHandle handle = load_script("run\n token \"a\"\n error\n");
    CHECK(ask(handle, &seen, "one two three", 1) == -1);
    holds(handle, 0);
    CHECK(rkllm_destroy(handle) == 0);
}

static void full_contexts_drop_the_oldest(void) {
    RKLLMParam param = param_for(write_script("run\n repeat 6 token \"x\"\n"));
    struct seen seen = {0};
    LLMHandle handle;
    param.max_context_len = 20;
    param.n_keep = 4;
    CHECK(init_with(&handle, &param) == 0);
    CHECK(ask(handle, &seen, "1 2 3 4 5 6", 1) == 0);
    holds(handle, 12);
    CHECK(ask(handle, &seen, "7 8", 1) == 0);
    holds(handle, 20);
    CHECK(ask(handle, &seen, "9 10", 1) == 0); /* half of the 16 after the first 4 go */
    holds(handle, 20);
    CHECK(ask(handle, &seen, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", 1) == 0);
    CHECK(ask(handle, &seen, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17", 1) == -1);
    CHECK(rkllm_destroy(handle) == 0);
}

/* ---- Templates ---- */

static const char TEMPLATED[] = "template user \"<u>\" \"<e>\"\ntemplate tool \"<t>\" \"<e>\"\n"
                                "template system \"<s>\" \"<e>\"\nrun\n echo_rendered\n";

static void templates_are_applied(void) {
    LLMHandle handle = load_script(TEMPLATED);
    CHECK_TEXT(told(handle, "hi"), "N[<u>hi<e>] F");
    CHECK(rkllm_set_chat_template(handle, "[sys]", "[u]", "[/u]") == 0);
    CHECK_TEXT(told(handle, "hi"), "N[[sys][u]hi[/u]] F");
    CHECK(rkllm_set_chat_template(handle, NULL, "", NULL) == 0);
    CHECK_TEXT(told(handle, "hi"), "N[hi] F");
    CHECK(rkllm_destroy(handle) == 0);
}

static void system_prompt_comes_once(void) {
    struct seen seen = {0};
    LLMHandle handle = load_script("run\n echo_rendered\n");
    CHECK(rkllm_set_chat_template(handle, "be brief ", "", "") == 0);
    CHECK(ask(handle, &seen, "hi", 1) == 0);
    CHECK_TEXT(seen_text(&seen), "be brief hi");
    seen_clear(&seen);
    CHECK(ask(handle, &seen, "more", 1) == 0);
    CHECK_TEXT(seen_text(&seen), "more");
    clear(handle, 1);
    holds(handle, 3); /* "be", " brief" and the blank after it */
    seen_clear(&seen);
    CHECK(ask(handle, &seen, "again", 1) == 0);
    CHECK_TEXT(seen_text(&seen), "again");
    CHECK(rkllm_set_chat_template(handle, "x ", "", "") == 0); /* forgets the conversation */
    holds(handle, 0);
    CHECK(rkllm_destroy(handle) == 0);
}

#if RKLLM_ABI >= 10201
static const char *told_as(LLMHandle handle, const char *role, const char *text) {
    static struct seen seen;
    RKLLMInput input = prompt_input(text);
    RKLLMInferParam infer = {.keep_history = 0};
    seen_clear(&seen);
    input.role = role;
    CHECK(rkllm_run(handle, &input, &infer, &seen) == (role && *role == '?' ? -1 : 0));
    return seen.events;
}

static void roles_have_their_frames(void) {
    LLMHandle handle = load_script(TEMPLATED);
    CHECK_TEXT(told_as(handle, NULL, "a"), "N[<u>a<e>] F");
    CHECK_TEXT(told_as(handle, "", "a"), "N[<u>a<e>] F");
    CHECK_TEXT(told_as(handle, "user", "a"), "N[<u>a<e>] F");
    CHECK_TEXT(told_as(handle, "tool", "a"), "N[<t>a<e>] F");
    CHECK_TEXT(told_as(handle, "system", "a"), "N[<s>a<e>] F");
    CHECK_TEXT(told_as(handle, "?", "a"), "E");
    CHECK(rkllm_destroy(handle) == 0);
}

static void tools_are_told(void) {
    LLMHandle handle = load_script(TEMPLATED), bare = load_script("run\n echo\n");
    CHECK(rkllm_set_function_tools(bare, "x", "[]", "y") == -1); /* no template to say it with */
    CHECK(rkllm_set_function_tools(handle, "x", NULL, "y") == -1);
    CHECK(rkllm_set_function_tools(handle, "Be kind.", "[{}]", "result") == 0);
    told(handle, "hi");
    struct seen seen = {0};
    CHECK(ask(handle, &seen, "hi", 1) == 0);
    CHECK_TEXT(seen_text(&seen), "<s>Be kind.\n\nFunctions, as JSON:\n[{}]<e><u>hi<e>");
    CHECK_TEXT(told_as(handle, "tool", "42"), "N[<t><result>] N[\n42] N[\n</result><e>] F");
    /* The last call wins. */
    CHECK(rkllm_set_chat_template(handle, "", "", "") == 0);
    CHECK_TEXT(told_as(handle, "tool", "42"), "N[42] F");
    CHECK(rkllm_destroy(handle) == 0);
    CHECK(rkllm_destroy(bare) == 0);
}

static void cross_attention_needs_the_switch(void) {
    RKLLMParam param = param_for(write_script("run\n echo\n"));
    RKLLMCrossAttnParam cross = {0};
    LLMHandle handle = load_script("run\n echo\n"), crossed;
    CHECK(rkllm_set_cross_attn_params(handle, &cross) == -1);
    CHECK(rkllm_destroy(handle) == 0);
    param.extend_param.use_cross_attn = 1;
    CHECK(init_with(&crossed, &param) == 0);
    CHECK(rkllm_set_cross_attn_params(crossed, &cross) == 0);
    CHECK(rkllm_set_cross_attn_params(crossed, NULL) == -1);
    CHECK(rkllm_destroy(crossed) == 0);
}

/* ---- Pauses ---- */

static void paused_runs_continue(void) {
    struct seen seen = {.pause_at = 2};
    LLMHandle handle = load_script("run\n token \"a\"\n repeat 3 token \"b\"\n token \"c\"\n"
                                   "run\n token \"next\"\n");
    CHECK(ask(handle, &seen, "one two", 0) == 0);
    CHECK_TEXT(seen.events, "N[a] N[b]"); /* no end: it is not over */
    CHECK(rkllm_is_running(handle) == 0);
    holds(handle, 4); /* nothing leaves the cache yet */
    seen_clear(&seen);
    seen.pause_at = 3;
    CHECK(ask(handle, &seen, "", 0) == 0);
    CHECK_TEXT(seen.events, "N[b] N[b] N[c]");
    seen_clear(&seen);
    CHECK(ask(handle, &seen, "", 0) == 0);
    CHECK_TEXT(seen.events, "F");
    holds(handle, 0);
    CHECK_TEXT(told(handle, "x"), "N[next] F");
    CHECK(rkllm_destroy(handle) == 0);
}

static void ends_cannot_be_paused(void) {
    struct seen seen = {.pause_at = 2};
    LLMHandle handle = load_script("run\n token \"\\xe4\"\nrun\n token \"next\"\n");
    CHECK(ask(handle, &seen, "x", 0) == 0);
    CHECK_TEXT(seen.events, "W[] N[\xef\xbf\xbd] F");
    CHECK_TEXT(told(handle, "x"), "N[next] F");
    CHECK(rkllm_destroy(handle) == 0);
}

static void clearing_ends_a_pause(void) {
    struct seen seen = {.pause_at = 1};
    LLMHandle handle = load_script("run\n token \"a\"\n token \"b\"\nrun\n token \"next\"\n");
    CHECK(ask(handle, &seen, "x", 0) == 0);
    clear(handle, 0);
    CHECK_TEXT(told(handle, "x"), "N[next] F");
    CHECK(rkllm_destroy(handle) == 0);
}

static void ranges_need_a_pause(void) {
    struct seen seen = {0};
    int from = 1, to = 3;
    LLMHandle handle = load_script("run\n repeat 4 token \"a\"\n");
    CHECK(ask(handle, &seen, "one two", 1) == 0);
    CHECK(rkllm_clear_kv_cache(handle, 0, &from, &to) == -1);
    holds(handle, 6);
    clear(handle, 0);
    seen_clear(&seen);
    seen.pause_at = 2;
    CHECK(ask(handle, &seen, "one two", 0) == 0);
    holds(handle, 4);
    CHECK(rkllm_clear_kv_cache(handle, 0, &from, NULL) == -1);
    from = 3, to = 5;
    CHECK(rkllm_clear_kv_cache(handle, 0, &from, &to) == -1);
    from = 3, to = 2;
    CHECK(rkllm_clear_kv_cache(handle, 0, &from, &to) == -1);
    from = 1, to = 3;
    CHECK(rkllm_clear_kv_cache(handle, 1, &from, &to) == 0);
    holds(handle, 2);
    seen_clear(&seen);
    CHECK(ask(handle, &seen, "", 0) == 0);
    CHECK_TEXT(seen.events, "N[a] N[a] F");
    holds(handle, 0);
    CHECK(rkllm_destroy(handle) == 0);
}

/* ---- Saved prompts and adapters, as far as a script can play them ---- */

static void prompts_are_saved(void) {
    struct seen seen = {0};
    char path[128];
    snprintf(path, sizeof path, "%s", temporary_path("saved"));
    RKLLMPromptCacheParam save = {1, path};
    RKLLMInferParam infer = {.prompt_cache_params = &save};
    RKLLMInput input = prompt_input("one two three four");
    LLMHandle handle = load_script("run\n token \"a\"\n");
    CHECK(rkllm_load_prompt_cache(handle, path) == -1);
    CHECK(rkllm_run(handle, &input, &infer, &seen) == 0);
    CHECK(seen.last.perf.prefill_tokens == 4);
    CHECK(rkllm_load_prompt_cache(handle, path) == 0);
    CHECK(rkllm_load_prompt_cache(handle, path) == -1); /* one at a time */
    CHECK(ask(handle, &seen, "one two three more or less", 0) == 0);
    CHECK(seen.last.perf.prefill_tokens == 3);
    CHECK(rkllm_release_prompt_cache(handle) == 0);
    CHECK(rkllm_release_prompt_cache(handle) == 0);
    CHECK(ask(handle, &seen, "one two three more or less", 0) == 0);
    CHECK(seen.last.perf.prefill_tokens == 6);
    /* A place that cannot be written to costs the file, not the answer. */
    save.prompt_cache_path = "/nonexistent/directory/file";
    seen_clear(&seen);
    CHECK(rkllm_run(handle, &input, &infer, &seen) == 0);
    CHECK_TEXT(seen.events, "N[a] F");
    CHECK(rkllm_destroy(handle) == 0);
}

static void damaged_saves_are_refused(void) {
    static char bytes[4096];
    struct seen seen = {0};
    char path[128];
    snprintf(path, sizeof path, "%s", temporary_path("saved"));
    RKLLMPromptCacheParam save = {1, path};
    RKLLMInferParam infer = {.prompt_cache_params = &save};
    RKLLMInput input = prompt_input("one two three four");
    LLMHandle handle = load_script("run\n token \"a\"\n"), other = load_script("name \"other\"\n");
    CHECK(rkllm_run(handle, &input, &infer, &seen) == 0);
    CHECK(rkllm_load_prompt_cache(other, path) == -1);
    FILE *file = fopen(path, "rb");
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    for (size_t i = 0; i < size; i++) {
        if (i >= 24 && i < 32) continue; /* which adapter: no damage, another one */
        bytes[i] = (char)(bytes[i] ^ 0x40);
        CHECK(rkllm_load_prompt_cache(handle, write_file("bad", bytes, size)) == -1);
        bytes[i] = (char)(bytes[i] ^ 0x40);
        CHECK(rkllm_load_prompt_cache(handle, write_file("cut", bytes, i)) == -1);
    }
    CHECK(rkllm_load_prompt_cache(handle, write_file("long", bytes, size + 1)) == -1);
    CHECK(rkllm_load_prompt_cache(handle, "/tmp") == -1);
    CHECK(rkllm_load_prompt_cache(handle, path) == 0);
    CHECK(rkllm_destroy(handle) == 0);
    CHECK(rkllm_destroy(other) == 0);
}
#endif

static void adapters_have_names(void) {
    struct seen seen = {0};
    RKLLMLoraAdapter adapter = {write_file("lora", "x", 1), "one", 1};
    RKLLMLoraParam use = {"one"};
    RKLLMInferParam infer = {.lora_params = &use};
    RKLLMInput input = prompt_input("x");
    LLMHandle handle = load_script("run\n token \"a\"\n");
    CHECK(rkllm_run(handle, &input, &infer, &seen) == -1);
    CHECK_TEXT(seen.events, "E");
    CHECK(rkllm_load_lora(handle, &adapter) == 0);
    CHECK(rkllm_load_lora(handle, &adapter) == -1); /* the name is taken */
    adapter.lora_adapter_name = "two";
    adapter.lora_adapter_path = "/nonexistent";
    CHECK(rkllm_load_lora(handle, &adapter) == -1);
    adapter.lora_adapter_path = NULL;
    CHECK(rkllm_load_lora(handle, &adapter) == -1);
    CHECK(rkllm_run(handle, &input, &infer, &seen) == 0);
    CHECK(rkllm_destroy(handle) == 0);
}

int main(void) {
    history_is_kept_if_asked();
    failed_runs_leave_nothing();
    full_contexts_drop_the_oldest();
    templates_are_applied();
    system_prompt_comes_once();
    adapters_have_names();
#if RKLLM_ABI >= 10201
    roles_have_their_frames();
    tools_are_told();
    cross_attention_needs_the_switch();
    paused_runs_continue();
    ends_cannot_be_paused();
    clearing_ends_a_pause();
    ranges_need_a_pause();
    prompts_are_saved();
    damaged_saves_are_refused();
#endif
    return finish_checks("front_history");
}

#else
int main(void) {
    return finish_checks("front_history");
}
#endif
