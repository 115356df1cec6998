/* The front over a model that computes: front_tiny MODEL ADAPTER, both from make_tiny_gguf.py. Its
 * weights are random, so what it says is noise, but the same noise every time. */
#include <math.h>
#include <stdlib.h>

#include "front_support.h"

static const char *model, *adapter_file;

/* The linker puts this in the place of what the front asks the system for (Makefile: --wrap). */
double __real_perf_free_memory(void);
double __wrap_perf_free_memory(void);
static double free_bytes = -1; /* not negative: so many are said to be free */
double __wrap_perf_free_memory(void) {
    return free_bytes < 0 ? __real_perf_free_memory() : free_bytes;
}

static LLMHandle load_greedy(int max_new_tokens) {
    LLMHandle handle;
    RKLLMParam param = param_for(model);
    param.top_k = 1;
    param.max_new_tokens = max_new_tokens;
    CHECK(init_with(&handle, &param) == 0);
    return handle;
}

static void greedy_answers_repeat(void) {
    char first[sizeof((struct seen *)0)->events];
    LLMHandle handle = load_greedy(20), other = load_greedy(20);
    strcpy(first, told(handle, "to the test"));
    CHECK(strlen(first) > 20);
    CHECK_TEXT(told(handle, "to the test"), first);
    CHECK_TEXT(told(other, "to the test"), first);
    CHECK(strcmp(told(other, "another one"), first) != 0);
    CHECK(rkllm_destroy(handle) == 0);
    CHECK(rkllm_destroy(other) == 0);
}

/* Every test draws the same numbers each time: one that fails now and then says nothing. */
static void fix_seed(void) { setenv("RKLLM_CPU_SEED", "3", 1); }

static const char *told_with_seed(const char *seed) {
    LLMHandle handle;
    RKLLMParam param = param_for(model);
    param.temperature = 2;
    setenv("RKLLM_CPU_SEED", seed, 1);
    CHECK(init_with(&handle, &param) == 0);
    fix_seed();
    const char *events = told(handle, "to the test");
    CHECK(rkllm_destroy(handle) == 0);
    return events;
}

static void seeds_fix_answers(void) {
    char first[sizeof((struct seen *)0)->events];
    strcpy(first, told_with_seed("1"));
    CHECK_TEXT(told_with_seed("1"), first);
    CHECK(strcmp(told_with_seed("2"), first) != 0);
}

/* Whatever bytes it draws, the text is UTF-8, and nothing that waited is lost. */
static void text_is_always_whole(void) {
    LLMHandle handle;
    RKLLMParam param = param_for(model);
    struct seen seen = {0};
    param.temperature = 5;
    param.top_k = 0;
    param.top_p = 1;
    CHECK(init_with(&handle, &param) == 0);
    CHECK(ask(handle, &seen, "to", 0) == 0);
    CHECK(strstr(seen.events, "W[]"));
    CHECK(strstr(seen.events, "\xef\xbf\xbd"));
    CHECK(rkllm_destroy(handle) == 0);
}

static void aborted_in(struct seen *seen, LLMHandle handle, int call) {
    seen_clear(seen);
    seen->abort_at_call = handle;
    seen->abort_call = call;
}

static void aborts_end_within_a_token(void) {
    struct seen seen;
    LLMHandle handle = load_greedy(100);
    aborted_in(&seen, handle, 3);
    CHECK(ask(handle, &seen, "to the test", 0) == 0);
    CHECK(seen.n_calls <= 5); /* three, perhaps the rest of a character, FINISH */
    CHECK(seen.events[seen.length - 1] == 'F');
    CHECK(rkllm_destroy(handle) == 0);
}

static void limits_are_the_models(void) {
    RKLLMParam param = param_for(model);
    LLMHandle handle;
    param.max_context_len = 129;
    CHECK(init_with(&handle, &param) == -1);
    param.max_context_len = INT32_MAX;
    CHECK(init_with(&handle, &param) == -1);
#if RKLLM_ABI >= 10201
    param = param_for(model);
    param.extend_param.n_batch = 2; /* only a script can play these */
    CHECK(init_with(&handle, &param) == -1);
    param = param_for(model);
    param.extend_param.use_cross_attn = 1;
    CHECK(init_with(&handle, &param) == -1);
#endif
}

#if RKLLM_ABI >= 10201

static int cache_size(LLMHandle handle) {
    int sizes[1] = {-1};
    CHECK(rkllm_get_kv_cache_size(handle, sizes) == 0);
    return sizes[0];
}

static void history_holds_prompt_and_answer(void) {
    struct seen seen = {0};
    LLMHandle handle = load_greedy(9);
    CHECK(ask(handle, &seen, "to the test", 1) == 0);
    RKLLMPerfStat perf = seen.last.perf;
    CHECK(perf.prefill_tokens > 5 && perf.generate_tokens <= 9);
    CHECK(cache_size(handle) == perf.prefill_tokens + perf.generate_tokens);
    int kept = cache_size(handle);
    CHECK(ask(handle, &seen, "one", 0) == 0);
    CHECK(cache_size(handle) == kept);
    seen_clear(&seen);
    aborted_in(&seen, handle, 2);
    CHECK(ask(handle, &seen, "two", 1) == 0);
    int read = seen.last.perf.prefill_tokens; /* not what "one" and "two" begin with */
    CHECK(read < perf.prefill_tokens && cache_size(handle) >= kept + read + 2);
    CHECK(rkllm_destroy(handle) == 0);
}

/* ---- Logits and hidden states ---- */

struct grid {
    float *values;
    int n, width;
};

static void copy_grid(struct grid *to, const float *values, int n, int width) {
    size_t size = (size_t)n * (size_t)width * sizeof *values;
    free(to->values);
    *to = (struct grid){malloc(size), n, width};
    memcpy(to->values, values, size);
}

static int on_grid(RKLLMResult *result, void *userdata, LLMCallState state) {
    const RKLLMResultLastHiddenLayer *hidden = &result->last_hidden_layer;
    CHECK(state == (free_bytes < 0 || result->logits.logits || hidden->hidden_states
                        ? RKLLM_RUN_NORMAL
                        : RKLLM_RUN_ERROR));
    if (result->logits.logits) {
        copy_grid(userdata, result->logits.logits, result->logits.num_tokens,
                  result->logits.vocab_size);
    } else if (hidden->hidden_states) {
        copy_grid(userdata, hidden->hidden_states, hidden->num_tokens, hidden->embd_size);
    }
    return 0;
}

static LLMHandle load_for_grids(void) {
    LLMHandle handle;
    RKLLMParam param = param_for(model);
#if RKLLM_ABI >= 10300
    RKLLMCallback callback = {.result_callback = on_grid};
    CHECK(rkllm_init(&handle, &param, &callback) == 0);
#else
    CHECK(rkllm_init(&handle, &param, on_grid) == 0);
#endif
    return handle;
}

static int run_grid(LLMHandle handle, RKLLMInput input, RKLLMInferMode mode, int keep,
                    const char *lora, struct grid *grid) {
    RKLLMLoraParam use = {lora};
    RKLLMInferParam infer = {.mode = mode, .keep_history = keep,
                             .lora_params = lora ? &use : NULL};
    return rkllm_run(handle, &input, &infer, grid);
}

static RKLLMInput token_input(int32_t *ids, size_t n) {
    RKLLMInput input = prompt_input(NULL);
    input.input_type = RKLLM_INPUT_TOKEN;
    input.token_input = (RKLLMTokenInput){ids, n};
    return input;
}

#if RKLLM_ABI >= 10300
static RKLLMInput embed_input(float *rows, size_t n) {
    RKLLMInput input = prompt_input(NULL);
    input.input_type = RKLLM_INPUT_EMBED;
    input.embed_input = (RKLLMEmbedInput){rows, n};
    return input;
}
#endif

static const float *row(const struct grid *grid, int i) {
    return grid->values + (size_t)(i < 0 ? grid->n + i : i) * (size_t)grid->width;
}

static double distance(const float *a, const float *b, int n) {
    double most = 0;
    for (int i = 0; i < n; i++) most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

static const RKLLMInferMode LOGITS = RKLLM_INFER_GET_LOGITS;
static int32_t IDS[] = {1, 3, 270, 275, 280, 4, 281, 290};
enum { N_IDS = 8, WIDTH = 32 };

static void rows_have_their_shape(void) {
    struct grid all = {0}, part = {0}, hidden = {0};
    LLMHandle handle = load_for_grids();
    CHECK(run_grid(handle, token_input(IDS, N_IDS), LOGITS, 0, NULL, &all) == 0);
    CHECK(all.n == N_IDS && all.width > 256);
    CHECK(run_grid(handle, token_input(IDS, N_IDS), RKLLM_INFER_GET_LAST_HIDDEN_LAYER, 0, NULL,
                   &hidden) == 0);
    CHECK(hidden.n == N_IDS && hidden.width == WIDTH);
    CHECK(run_grid(handle, token_input(IDS, 3), LOGITS, 0, NULL, &part) == 0);
    CHECK(part.n == 3 && distance(row(&part, 2), row(&all, 2), all.width) < 1e-4);
    CHECK(cache_size(handle) == 0);
    CHECK(rkllm_destroy(handle) == 0);
    free(all.values), free(part.values), free(hidden.values);
}

static void run_hidden(void *handle) {
    struct grid grid = {0};
    CHECK(run_grid(handle, token_input(IDS, N_IDS), RKLLM_INFER_GET_LAST_HIDDEN_LAYER, 0, NULL,
                   &grid) == -1);
    CHECK(grid.values == NULL);
}

static void run_logits(void *handle) {
    struct grid grid = {0};
    CHECK(run_grid(handle, token_input(IDS, N_IDS), LOGITS, 0, NULL, &grid) == -1);
    CHECK(grid.values == NULL);
}

/* The engine keeps the rows, and the caller gets a copy: there has to be memory for both. */
static void rows_that_do_not_fit_memory_are_refused(void) {
    const double hidden = 2.0 * N_IDS * WIDTH * sizeof(float), mb = 1 << 20;
    struct grid grid = {0};
    LLMHandle handle = load_for_grids();
    free_bytes = 0;
    CHECK(strstr(log_of(run_logits, handle), "the logits of 8 tokens need 0 MB of memory, but only "
                                             "0 MB are free\n"));
    free_bytes = hidden - 1;
    CHECK(strstr(log_of(run_hidden, handle), "the hidden states of 8 tokens need "));
    free_bytes = hidden;
    CHECK(run_grid(handle, token_input(IDS, N_IDS), RKLLM_INFER_GET_LAST_HIDDEN_LAYER, 0, NULL,
                   &grid) == 0);
    free_bytes = 3 * mb;
    CHECK(run_grid(handle, token_input(IDS, N_IDS), LOGITS, 0, NULL, &grid) == 0);
    CHECK(grid.n == N_IDS);
    free_bytes = -1;
    CHECK(rkllm_destroy(handle) == 0);
    free(grid.values);
}

/* Reading on in a conversation is the same as reading it at once; forgetting leaves no trace. */
static void history_changes_nothing_but_time(void) {
    struct grid all = {0}, rest = {0}, alone = {0};
    LLMHandle handle = load_for_grids();
    CHECK(run_grid(handle, token_input(IDS, N_IDS), LOGITS, 0, NULL, &all) == 0);
    CHECK(run_grid(handle, token_input(IDS, 5), LOGITS, 1, NULL, &rest) == 0);
    CHECK(run_grid(handle, token_input(IDS, 3), LOGITS, 0, NULL, &rest) == 0);
    CHECK(run_grid(handle, token_input(IDS + 5, 3), LOGITS, 1, NULL, &rest) == 0);
    CHECK(distance(row(&all, -1), row(&rest, -1), all.width) < 1e-4);
    CHECK(cache_size(handle) == N_IDS);
    CHECK(run_grid(handle, token_input(IDS + 5, 3), LOGITS, 1, NULL, &rest) == 0);
    CHECK(distance(row(&all, -1), row(&rest, -1), all.width) > 1e-3);
    CHECK(rkllm_clear_kv_cache(handle, 0, NULL, NULL) == 0);
    CHECK(run_grid(handle, token_input(IDS, N_IDS), LOGITS, 0, NULL, &alone) == 0);
    CHECK(distance(row(&all, -1), row(&alone, -1), all.width) < 1e-4);
    CHECK(rkllm_destroy(handle) == 0);
    free(all.values), free(rest.values), free(alone.values);
}

static int likeliest(const float *values, int n) {
    int best = 0;
    for (int i = 1; i < n; i++) best = values[i] > values[best] ? i : best;
    return best;
}

static void answers_begin_with_the_likeliest(void) {
    struct grid all = {0};
    struct seen seen = {0};
    RKLLMParam param = param_for(model);
    RKLLMInput input = token_input(IDS, N_IDS);
    LLMHandle rows = load_for_grids(), handle;
    param.top_k = 1;
    param.repeat_penalty = 1;
    CHECK(init_with(&handle, &param) == 0);
    CHECK(run_grid(rows, input, LOGITS, 0, NULL, &all) == 0);
    CHECK(rkllm_run(handle, &input, NULL, &seen) == 0);
    CHECK(seen.ids[0] == likeliest(row(&all, -1), all.width));
    CHECK(seen.last.perf.prefill_tokens == N_IDS);
    CHECK(rkllm_destroy(rows) == 0);
    CHECK(rkllm_destroy(handle) == 0);
    free(all.values);
}

/* ---- Embeddings and pictures ---- */

static void set_rows(float *rows, size_t n) {
    for (size_t i = 0; i < n * WIDTH; i++) rows[i] = (float)((int)(i * 37 % 101) - 50) / 100;
}

static RKLLMInput picture_input(char *prompt, float *rows, size_t n_images, size_t n_rows) {
    RKLLMInput input = prompt_input(NULL);
    input.input_type = RKLLM_INPUT_MULTIMODAL;
    memset(&input.multimodal_input, 0, sizeof input.multimodal_input);
    input.multimodal_input.prompt = prompt;
#if RKLLM_ABI >= 10300
    input.multimodal_input.image.image_embed = rows;
    input.multimodal_input.image.n_image_tokens = n_rows;
    input.multimodal_input.image.n_image = n_images;
    input.multimodal_input.image.image_start = "[pad here]";
    input.multimodal_input.image.image_end = "[pad here]";
#else
    input.multimodal_input.image_embed = rows;
    input.multimodal_input.n_image_tokens = n_rows;
    input.multimodal_input.n_image = n_images;
#endif
    return input;
}

static void pictures_stand_where_their_tags_do(void) {
    float rows[6 * WIDTH];
    char two[] = "to <image> the <image>", one[] = "to the <image>", none[] = "to the";
    struct grid grid = {0}, again = {0};
    LLMHandle handle = load_for_grids();
    set_rows(rows, 6);
    CHECK(run_grid(handle, picture_input(two, rows, 2, 3), LOGITS, 0, NULL, &grid) == 0);
    CHECK(run_grid(handle, picture_input(one, rows, 1, 6), LOGITS, 0, NULL, &again) == 0);
    CHECK(grid.n > 6 && again.n > 6);
    rows[5 * WIDTH] += 1; /* the second picture is seen */
    CHECK(run_grid(handle, picture_input(two, rows, 2, 3), LOGITS, 0, NULL, &again) == 0);
    CHECK(distance(row(&grid, -1), row(&again, -1), grid.width) > 1e-4);
    CHECK(distance(row(&grid, 3), row(&again, 3), grid.width) < 1e-4);
    CHECK(rkllm_destroy(handle) == 0);
    handle = load_greedy(3);
    struct seen seen = {0};
    RKLLMInput wrong[] = {picture_input(two, rows, 1, 3), picture_input(one, rows, 2, 3),
                          picture_input(none, rows, 1, 3), picture_input(two, rows, 2, SIZE_MAX),
                          picture_input(two, rows, 2, 100)};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        seen_clear(&seen);
        CHECK(rkllm_run(handle, &wrong[i], NULL, &seen) == -1);
        CHECK_TEXT(seen.events, "E");
    }
    CHECK(rkllm_destroy(handle) == 0);
    free(grid.values), free(again.values);
}

#if RKLLM_ABI >= 10300
static int give_rows(void *userdata, int32_t *tokens, uint64_t n, void *embed, uint64_t size) {
    (void)userdata, (void)tokens;
    CHECK(size == n * WIDTH * sizeof(float));
    set_rows(embed, n);
    return tokens[0] == 5; /* which a test gives to see a refusal */
}

static int give_tokens(void *userdata, const char *text, int32_t length, int32_t *tokens,
                       int32_t room) {
    CHECK_TEXT(text, userdata);
    CHECK(length == (int32_t)strlen(text) && room >= length);
    memcpy(tokens, IDS, sizeof IDS);
    return N_IDS;
}

static void callbacks_replace_the_models_own(void) {
    float rows[N_IDS * WIDTH];
    struct grid grid = {0}, asked = {0}, tokens = {0};
    int32_t refused[] = {5};
    char text[] = "<|user|>what it says<|end|><|assistant|>";
    RKLLMParam param = param_for(model);
    RKLLMCallback callback = {.result_callback = on_grid, .embed_callback = give_rows};
    LLMHandle plain = load_for_grids(), handle;
    set_rows(rows, N_IDS);
    CHECK(run_grid(plain, embed_input(rows, N_IDS), LOGITS, 0, NULL, &grid) == 0);
    CHECK(rkllm_init(&handle, &param, &callback) == 0);
    CHECK(run_grid(handle, token_input(IDS, N_IDS), LOGITS, 0, NULL, &asked) == 0);
    CHECK(distance(row(&grid, -1), row(&asked, -1), grid.width) < 1e-4);
    CHECK(rkllm_destroy(handle) == 0);
    callback = (RKLLMCallback){.result_callback = on_grid, .tokenizer_callback = give_tokens,
                               .tokenizer_userdata = text};
    CHECK(rkllm_init(&handle, &param, &callback) == 0);
    CHECK(run_grid(plain, token_input(IDS, N_IDS), LOGITS, 0, NULL, &tokens) == 0);
    CHECK(run_grid(handle, prompt_input("what it says"), LOGITS, 0, NULL, &asked) == 0);
    CHECK(distance(row(&tokens, -1), row(&asked, -1), grid.width) < 1e-4);
    CHECK(rkllm_destroy(handle) == 0);
    struct seen seen = {0};
    RKLLMInput input = token_input(refused, 1);
    callback = (RKLLMCallback){.result_callback = on_result, .embed_callback = give_rows};
    CHECK(rkllm_init(&handle, &param, &callback) == 0);
    CHECK(rkllm_run(handle, &input, NULL, &seen) == -1);
    CHECK_TEXT(seen.events, "E");
    CHECK(rkllm_destroy(handle) == 0);
    CHECK(rkllm_destroy(plain) == 0);
    free(grid.values), free(asked.values), free(tokens.values);
}

static void long_answers_drop_the_oldest(void) {
    RKLLMParam param = param_for(model);
    struct seen seen = {0};
    RKLLMInput input = prompt_input("to the test");
    RKLLMSamplingParam greedy = {.top_k = 1, .top_p = 1, .temperature = 1};
    RKLLMInferParam infer = {.sampling_params = &greedy, .keep_history = 1, .max_new_tokens = 300};
    LLMHandle handle;
    param.ignore_eos_token = true;
    param.max_new_tokens = 5;
    CHECK(init_with(&handle, &param) == 0);
    CHECK(rkllm_run(handle, &input, &infer, &seen) == 0);
    CHECK(seen.last.perf.generate_tokens == 300);
    CHECK(cache_size(handle) > 60 && cache_size(handle) <= 128);
    infer.max_new_tokens = 0; /* the model's own */
    CHECK(rkllm_run(handle, &input, &infer, &seen) == 0);
    CHECK(seen.last.perf.generate_tokens == 5);
    CHECK(rkllm_destroy(handle) == 0);
    /* Without a limit the answer ends with the context. */
    param.max_new_tokens = -1;
    CHECK(init_with(&handle, &param) == 0);
    CHECK(rkllm_run(handle, &input, &infer, &seen) == 0);
    CHECK(cache_size(handle) == 128);
    CHECK(rkllm_destroy(handle) == 0);
    /* Nor does it help to keep everything. */
    param.max_new_tokens = 300;
    param.n_keep = 128;
    CHECK(init_with(&handle, &param) == 0);
    CHECK(rkllm_run(handle, &input, &infer, &seen) == 0);
    CHECK(cache_size(handle) == 128);
    CHECK(rkllm_destroy(handle) == 0);
}

static void faulty_sampling_is_refused(void) {
    struct seen seen = {0};
    RKLLMInput input = prompt_input("to");
    RKLLMSamplingParam how = {.top_k = 1, .top_p = 2};
    RKLLMInferParam infer = {.sampling_params = &how};
    LLMHandle handle = load_greedy(5);
    CHECK(rkllm_run(handle, &input, &infer, &seen) == -1);
    CHECK(seen.n_calls == 0);
    CHECK(rkllm_destroy(handle) == 0);
}
#endif

/* ---- Pauses ---- */

static void pauses_change_nothing(void) {
    char whole[sizeof((struct seen *)0)->events];
    struct seen seen = {0};
    LLMHandle handle = load_greedy(12);
    strcpy(whole, told(handle, "to the test"));
    seen.pause_at = 4;
    CHECK(ask(handle, &seen, "to the test", 0) == 0);
    CHECK(seen.n_calls == 4);
    CHECK(cache_size(handle) > 4);
    seen.pause_at = 0;
    CHECK(ask(handle, &seen, "", 0) == 0);
    /* The limit counts for each run, so this one got further, and the end may differ where the
     * first stopped in the middle of a character. */
    *strrchr(whole, 'N') = '\0';
    seen.events[strlen(whole)] = '\0';
    CHECK_TEXT(seen.events, whole);
    CHECK(cache_size(handle) == 0);
    CHECK(rkllm_destroy(handle) == 0);
}

static void new_text_continues_a_pause(void) {
    struct seen seen = {.pause_at = 2};
    int from = 1, to = 3;
    LLMHandle handle = load_greedy(5);
    CHECK(ask(handle, &seen, "to the test", 0) == 0);
    int before = cache_size(handle);
    seen.pause_at = 0;
    CHECK(rkllm_clear_kv_cache(handle, 0, &from, &to) == 0);
    CHECK(cache_size(handle) == before - 2);
    seen.pause_at = seen.n_calls + 1;
    CHECK(ask(handle, &seen, "and", 0) == 0);
    CHECK(cache_size(handle) == before); /* two went, the word and a token came */
    CHECK(rkllm_clear_kv_cache(handle, 0, NULL, NULL) == 0);
    CHECK(cache_size(handle) == 0);
    CHECK(rkllm_destroy(handle) == 0);
}

/* ---- Adapters and saved prompts ---- */

static void adapters_change_what_is_computed(void) {
    struct grid plain = {0}, adapted = {0}, again = {0};
    RKLLMLoraAdapter adapter = {adapter_file, "accent", 1};
    LLMHandle handle = load_for_grids();
    CHECK(run_grid(handle, token_input(IDS, N_IDS), LOGITS, 0, NULL, &plain) == 0);
    CHECK(rkllm_load_lora(handle, &adapter) == 0);
    CHECK(run_grid(handle, token_input(IDS, N_IDS), LOGITS, 0, "accent", &adapted) == 0);
    CHECK(distance(row(&plain, -1), row(&adapted, -1), plain.width) > 1e-3);
    CHECK(run_grid(handle, token_input(IDS, N_IDS), LOGITS, 0, NULL, &again) == 0);
    CHECK(distance(row(&plain, -1), row(&again, -1), plain.width) < 1e-4);
    adapter = (RKLLMLoraAdapter){model, "no adapter", 1};
    CHECK(rkllm_load_lora(handle, &adapter) == -1);
    CHECK(rkllm_destroy(handle) == 0);
    free(plain.values), free(adapted.values), free(again.values);
}

static int save_prompt(LLMHandle handle, const char *prompt, const char *path, const char *lora) {
    struct seen seen = {0};
    RKLLMPromptCacheParam save = {1, path};
    RKLLMLoraParam use = {lora};
    RKLLMInferParam infer = {.prompt_cache_params = &save, .lora_params = lora ? &use : NULL};
    RKLLMInput input = prompt_input(prompt);
    CHECK(rkllm_run(handle, &input, &infer, &seen) == 0);
    return seen.last.perf.prefill_tokens;
}

static void saved_prompts_save_time_only(void) {
    char whole[sizeof((struct seen *)0)->events], path[128];
    struct seen seen = {0};
    LLMHandle handle = load_greedy(12), other = load_greedy(12);
    strcpy(whole, told(handle, "to the test and on"));
    snprintf(path, sizeof path, "%s", temporary_path("saved"));
    int n = save_prompt(handle, "to the test and an end", path, NULL);
    CHECK(rkllm_load_prompt_cache(other, path) == 0);
    CHECK(ask(other, &seen, "to the test and on", 0) == 0);
    CHECK_TEXT(seen.events, whole);
    CHECK(seen.last.perf.prefill_tokens < n / 2);
    CHECK(ask(other, &seen, "to the test and on", 1) == 0);
    CHECK(ask(other, &seen, "to the test and on", 1) == 0); /* not the start: read in full */
    CHECK(seen.last.perf.prefill_tokens > n / 2);
    /* The whole prompt may be saved; its last token is read all the same. */
    CHECK(rkllm_clear_kv_cache(other, 0, NULL, NULL) == 0);
    CHECK(ask(other, &seen, "to the test and an end", 0) == 0);
    CHECK(seen.last.perf.prefill_tokens == 1);
    CHECK(rkllm_destroy(handle) == 0);
    CHECK(rkllm_destroy(other) == 0);
}

static void saved_prompts_are_of_one_adapter(void) {
    struct seen seen = {0};
    char path[128];
    RKLLMLoraAdapter adapter = {adapter_file, "accent", 1};
    LLMHandle handle = load_greedy(5);
    snprintf(path, sizeof path, "%s", temporary_path("saved"));
    CHECK(rkllm_load_lora(handle, &adapter) == 0);
    int n = save_prompt(handle, "to the test", path, "accent");
    CHECK(rkllm_load_prompt_cache(handle, path) == 0);
    CHECK(ask(handle, &seen, "to the test", 0) == 0);
    CHECK(seen.last.perf.prefill_tokens == n);
    CHECK(save_prompt(handle, "to the test", path, "accent") == 1);
    CHECK(rkllm_destroy(handle) == 0);
}

static void system_turns_ask_for_no_answer(void) {
    struct seen seen = {0};
    RKLLMInput input = prompt_input("be the best");
    RKLLMInferParam infer = {.keep_history = 1};
    LLMHandle handle = load_greedy(5);
    input.role = "system";
    CHECK(rkllm_run(handle, &input, &infer, &seen) == 0);
    CHECK_TEXT(seen.events, "F");
    int n = cache_size(handle);
    CHECK(n == seen.last.perf.prefill_tokens && n > 2);
    CHECK(ask(handle, &seen, "to the test", 1) == 0);
    CHECK(cache_size(handle) > n + 5);
    CHECK(rkllm_clear_kv_cache(handle, 1, NULL, NULL) == 0);
    CHECK(cache_size(handle) == n);
    CHECK(rkllm_clear_kv_cache(handle, 0, NULL, NULL) == 0);
    CHECK(cache_size(handle) == 0);
    CHECK(rkllm_destroy(handle) == 0);
}

/* An answer cut short is closed before the next turn, so that turn is one token longer. */
static void open_turns_are_closed(void) {
    struct seen seen = {0};
    LLMHandle handle = load_greedy(3);
    CHECK(ask(handle, &seen, "to the test", 1) == 0);
    int n = seen.last.perf.prefill_tokens; /* with the token that opens a conversation */
    CHECK(ask(handle, &seen, "to the test", 1) == 0);
    CHECK(seen.last.perf.prefill_tokens == n);
    CHECK(rkllm_destroy(handle) == 0);
}

static void refusals_leave_the_conversation(void) {
    int32_t wrong[] = {1, 100000};
    char longer[600] = "";
    struct seen seen = {0};
    RKLLMInput input = token_input(wrong, 2);
    LLMHandle handle = load_greedy(3);
    CHECK(ask(handle, &seen, "to the test", 1) == 0);
    int n = cache_size(handle);
    seen_clear(&seen);
    CHECK(rkllm_run(handle, &input, NULL, &seen) == -1);
    CHECK_TEXT(seen.events, "E");
    for (int i = 0; i < 130; i++) strcat(longer, "to ");
    seen_clear(&seen);
    CHECK(ask(handle, &seen, longer, 1) == -1);
    CHECK_TEXT(seen.events, "E");
    CHECK(cache_size(handle) == n);
    CHECK(rkllm_destroy(handle) == 0);
}
#endif

static void load_only(void *unused) {
    (void)unused;
    CHECK(rkllm_destroy(load_model(model)) == 0);
}

static void log_names_what_computes(void) {
#ifdef RKLLM_LLAMA
    CHECK(strstr(log_of(load_only, NULL), "platform: CPU, backend: llama\n"));
#else
    CHECK(strstr(log_of(load_only, NULL), "platform: cpu, backend: tiny\n"));
#endif
}

int main(int n_arguments, char **arguments) {
    if (n_arguments != 3) return 2;
    fix_seed();
    model = arguments[1];
    adapter_file = arguments[2];
    log_names_what_computes();
    greedy_answers_repeat();
    seeds_fix_answers();
    text_is_always_whole();
    aborts_end_within_a_token();
    limits_are_the_models();
#if RKLLM_ABI >= 10201
    history_holds_prompt_and_answer();
    rows_have_their_shape();
    rows_that_do_not_fit_memory_are_refused();
    history_changes_nothing_but_time();
    answers_begin_with_the_likeliest();
    pictures_stand_where_their_tags_do();
    pauses_change_nothing();
    new_text_continues_a_pause();
    adapters_change_what_is_computed();
    saved_prompts_save_time_only();
    saved_prompts_are_of_one_adapter();
    system_turns_ask_for_no_answer();
    open_turns_are_closed();
    refusals_leave_the_conversation();
#endif
#if RKLLM_ABI >= 10300
    callbacks_replace_the_models_own();
    long_answers_drop_the_oldest();
    faulty_sampling_is_refused();
#endif
    return finish_checks("front_tiny");
}
