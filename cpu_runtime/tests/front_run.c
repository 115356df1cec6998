/* What a run calls back with: exact output of scripts. */
#include <stdlib.h>

#include "front_support.h"

/* One run of one script. */
static void plays(const char *lines, const char *prompt, const char *wanted) {
    LLMHandle handle = load_script(lines);
    CHECK_TEXT(told(handle, prompt), wanted);
    CHECK(rkllm_destroy(handle) == 0);
}

static void tokens_come_as_written(void) {
    plays("run\n token \"Hello\"\n token \", world\"\n finish\n", "hi", "N[Hello] N[, world] F");
    plays("run\n repeat 3 token \"x\"\n", "hi", "N[x] N[x] N[x] F");
    plays("run\n echo\n", " two  words\n", "N[ two] N[  words] N[\n] F");
    plays("run\n echo\n", "", "F");
    plays("", "no section at all", "F");
    plays("run\n null\n", "x", "N(null) F");
    plays("run\n waiting\n waiting \"?\"\n", "x", "W(null) W[?] F");
    plays("run\n state 0 \"a\"\n state 1 \"b\"\n", "x", "N[a] W[b] F");
    plays("run\n token \"\\x41\\t\\\"\\\\\\n\"\n", "x", "N[A\t\"\\\n] F");
}

static void half_characters_wait(void) {
    plays("run\n token \"\\xe4\\xbd\"\n token \"\\xa0\"\n", "x", "W[] N[\xe4\xbd\xa0] F");
    plays("run\n token \"a\\xf0\"\n token \"\\x9f\"\n token \"\\x98\"\n token \"\\x80z\"\n", "x",
          "N[a] W[] W[] N[\xf0\x9f\x98\x80z] F");
    /* What cannot become a character any more is replaced, at the end at the latest. */
    plays("run\n token \"\\xe4\"\n token \"x\"\n", "x", "W[] N[\xef\xbf\xbdx] F");
    plays("run\n token \"\\xe4\\xbd\"\n", "x", "W[] N[\xef\xbf\xbd] F");
    plays("run\n raw \"\\xe4\\xbd\"\n raw \"\\xff\"\n", "x", "N[\xe4\xbd] N[\xff] F");
}

static void runs_end_as_written(void) {
    plays("run\n token \"a\"\n nofinish\n", "x", "N[a]");
    plays("run\n token \"a\"\n finish\n token \"never\"\n", "x", "N[a] F");
}

static void errors_return_minus_one(void) {
    struct seen seen = {0};
    LLMHandle handle = load_script("run\n token \"a\"\n error\n"
                                   "run\n return 5\n error\nrun\n return -7\n token \"b\"\n");
    CHECK(ask(handle, &seen, "x", 0) == -1);
    CHECK_TEXT(seen.events, "N[a] E");
    CHECK(ask(handle, &seen, "x", 0) == 5);
    seen_clear(&seen);
    CHECK(ask(handle, &seen, "x", 0) == -7);
    CHECK_TEXT(seen.events, "N[b] F");
    CHECK(rkllm_destroy(handle) == 0);
}

static void token_ids_count_from_zero(void) {
    struct seen seen = {0};
    LLMHandle handle = load_script("run\n token \"a\"\n token \"b\" 77\n echo\n raw \"c\" -5\n");
    CHECK(ask(handle, &seen, "e", 0) == 0);
    CHECK(seen.ids[0] == 0 && seen.ids[1] == 77 && seen.ids[2] == 2 && seen.ids[3] == -5);
    CHECK(seen.last_id == -1); /* FINISH is not about a token */
    CHECK(rkllm_destroy(handle) == 0);
}

static void control_tokens_have_a_text_if_that_is_asked_for(void) {
    const char *script = "run\n token \"a\"\n control \"<b>\"\n token \"c\"\n";
    plays(script, "x", "N[a] N[] N[c] F");
    LLMHandle handle;
    RKLLMParam param = param_for(write_script(script));
    param.skip_special_token = false;
    CHECK(init_with(&handle, &param) == 0);
    CHECK_TEXT(told(handle, "x"), "N[a] N[<b>] N[c] F");
    CHECK(rkllm_destroy(handle) == 0);
}

static void sections_are_chosen(void) {
    LLMHandle handle = load_script("run\n token \"1\"\nrun when \"magic\"\n token \"m\"\n"
                                   "run\n token \"2\"\n");
    CHECK_TEXT(told(handle, "a"), "N[1] F");
    CHECK_TEXT(told(handle, "the magic word"), "N[m] F");
    CHECK_TEXT(told(handle, "a"), "N[2] F");
    CHECK_TEXT(told(handle, "a"), "N[2] F");
    CHECK(rkllm_destroy(handle) == 0);
}

static void limit_holds(void) {
    RKLLMParam param = param_for(write_script("run\n repeat 9 token \"x\"\n token \"y\"\n"));
    struct seen seen = {0};
    LLMHandle handle;
    param.max_new_tokens = 2;
    CHECK(init_with(&handle, &param) == 0);
    CHECK_TEXT(told(handle, "a"), "N[x] N[x] F");
#if RKLLM_ABI >= 10300
    RKLLMInput input = prompt_input("a");
    RKLLMInferParam infer = {.max_new_tokens = 3};
    CHECK(rkllm_run(handle, &input, &infer, &seen) == 0);
    CHECK_TEXT(seen.events, "N[x] N[x] N[x] F");
#endif
    CHECK(rkllm_destroy(handle) == 0);
    param.max_new_tokens = -1;
    CHECK(init_with(&handle, &param) == 0);
    seen_clear(&seen);
    CHECK(ask(handle, &seen, "a", 0) == 0);
    CHECK_TEXT(seen_text(&seen), "xxxxxxxxxy");
    CHECK(rkllm_destroy(handle) == 0);
}

#if RKLLM_ABI >= 10201
static void figures_come_with_the_end(void) {
    struct seen seen = {0};
    LLMHandle handle = load_script("run\n prefill 20\n token \"a\"\n delay 20\n token \"b\"\n");
    CHECK(ask(handle, &seen, "one two three", 0) == 0);
    RKLLMPerfStat perf = seen.last.perf;
    CHECK(perf.prefill_tokens == 3 && perf.generate_tokens == 2);
    CHECK(perf.prefill_time_ms >= 20 && perf.prefill_time_ms < 10000);
    CHECK(perf.generate_time_ms >= 20 && perf.generate_time_ms < 10000);
    CHECK(perf.memory_usage_mb > 0.1f);
    CHECK(rkllm_destroy(handle) == 0);
}

static void expect_figures_empty(struct seen *seen) {
    static const RKLLMPerfStat none;
    if (seen->n_calls > 0) CHECK(memcmp(&seen->last.perf, &none, sizeof none) == 0);
}

static void figures_do_not_come_before(void) {
    struct seen seen = {.hook = expect_figures_empty};
    LLMHandle handle = load_script("run\n token \"a\"\n token \"b\"\n");
    CHECK(ask(handle, &seen, "x", 0) == 0);
    CHECK(rkllm_destroy(handle) == 0);
}
#endif

#if RKLLM_ABI >= 10200
static void rows_come_as_written(void) {
    struct seen seen = {0};
    RKLLMInput input = prompt_input("x");
    RKLLMInferParam infer = {.mode = RKLLM_INFER_GET_LOGITS};
    LLMHandle handle = load_script("run\n echo\n"
                                   "run mode logits\n logits 3 1000\n nofinish\n"
                                   "run mode hidden\n hidden 2 64\n nofinish\n");
    CHECK(rkllm_run(handle, &input, &infer, &seen) == 0);
    CHECK_TEXT(seen.events, "N[]");
    CHECK(seen.last.logits.num_tokens == 3 && seen.last.logits.vocab_size == 1000);
    CHECK(!seen.last.last_hidden_layer.hidden_states);
    CHECK(seen.first_row[0] == -1 && seen.first_row[1] == -127.0f / 128);
    CHECK(seen.last_value == (float)(2999 % 257 - 128) / 128);
    infer.mode = RKLLM_INFER_GET_LAST_HIDDEN_LAYER;
    seen_clear(&seen);
    CHECK(rkllm_run(handle, &input, &infer, &seen) == 0);
    CHECK(seen.last.last_hidden_layer.num_tokens == 2);
    CHECK(seen.last.last_hidden_layer.embd_size == 64);
    CHECK(!seen.last.logits.logits);
    CHECK_TEXT(told(handle, "generate"), "N[generate] F");
    CHECK(rkllm_destroy(handle) == 0);
}
#else
static void hidden_states_have_their_own_state(void) {
    LLMHandle handle = load_script("run\n hidden 2 64\n nofinish\n");
    CHECK_TEXT(told(handle, "x"), "4[]");
    CHECK(rkllm_destroy(handle) == 0);
}
#endif

/* ---- Batches ---- */

#if RKLLM_ABI >= 10201
static char batch_events[512];

static int on_batch(RKLLMResult *result, void *userdata, LLMCallState state) {
    size_t length = strlen(batch_events);
    int n = state == RKLLM_RUN_NORMAL ? *(int *)userdata : 1;
    for (int i = 0; i < n; i++) {
        length += (size_t)snprintf(batch_events + length, sizeof batch_events - length, "%d:%s ",
                                   result[i].token_id, result[i].text ? result[i].text : "-");
    }
    snprintf(batch_events + length, sizeof batch_events - length, "%d|", (int)state);
    return 0;
}

static void batches_come_as_arrays(void) {
    int n = 3, sizes[3] = {0};
    RKLLMParam param = param_for(
        write_script("run\n batch \"a\" \"b\" \"c\"\n batch \"d\" -\n token \"t\"\n"
                     "run\n echo\n"));
    RKLLMInput input[3] = {prompt_input("one two"), prompt_input("1 2 3"), prompt_input("")};
    LLMHandle handle;
    param.extend_param.n_batch = 3;
#if RKLLM_ABI >= 10300
    RKLLMCallback callback = {.result_callback = on_batch, .result_userdata = &n};
    CHECK(rkllm_init(&handle, &param, &callback) == 0);
    CHECK(rkllm_run(handle, input, NULL, NULL) == 0); /* the model's userdata */
#else
    CHECK(rkllm_init(&handle, &param, on_batch) == 0);
    CHECK(rkllm_run(handle, input, NULL, &n) == 0);
#endif
    CHECK_TEXT(batch_events, "0:a 0:b 0:c 0|1:d -1:- -1:- 0|2:t 2:t 2:t 0|-1: 2|");
    *batch_events = '\0';
    CHECK(rkllm_run(handle, input, NULL, &n) == 0);
    CHECK_TEXT(batch_events, "0:one 0:1 -1:- 0|1: two 1: 2 -1:- 0|-1:- 2: 3 -1:- 0|-1: 2|");
    CHECK(rkllm_get_kv_cache_size(handle, sizes) == 0);
    CHECK(sizes[0] == 0 && sizes[2] == 0);
    input[2].prompt_input = NULL;
    CHECK(rkllm_run(handle, input, NULL, &n) == -1);
    CHECK(rkllm_destroy(handle) == 0);
}
#endif

#if RKLLM_ABI >= 10300
static void own_userdata_wins(void) {
    struct seen model = {0}, run = {0};
    RKLLMParam param = param_for(write_script("run\n echo\n"));
    RKLLMCallback callback = {.result_callback = on_result, .result_userdata = &model};
    RKLLMInput input = prompt_input("x");
    LLMHandle handle;
    CHECK(rkllm_init(&handle, &param, &callback) == 0);
    CHECK(rkllm_run(handle, &input, NULL, NULL) == 0);
    CHECK_TEXT(model.events, "N[x] F");
    CHECK(rkllm_run(handle, &input, NULL, &run) == 0);
    CHECK_TEXT(run.events, "N[x] F");
    CHECK_TEXT(model.events, "N[x] F");
    CHECK(rkllm_destroy(handle) == 0);
}
#endif

/* ---- Other inputs ---- */

static void other_inputs_reach_the_script(void) {
    int32_t ids[] = {1, 2, 3}, wrong[] = {1, -4};
    float rows[2 * 64] = {0};
    struct seen seen = {0};
    LLMHandle handle = load_script("run\n echo\n token \"ok\"\n");
    RKLLMInput input = prompt_input("");
    input.input_type = RKLLM_INPUT_TOKEN;
    input.token_input = (RKLLMTokenInput){ids, 3};
    CHECK(rkllm_run(handle, &input, NULL, &seen) == 0);
    CHECK_TEXT(seen.events, "N[ok] F"); /* there is no text to echo */
    input.token_input = (RKLLMTokenInput){wrong, 2};
    seen_clear(&seen);
    CHECK(rkllm_run(handle, &input, NULL, &seen) == -1);
    CHECK_TEXT(seen.events, "E");
    input.input_type = RKLLM_INPUT_EMBED;
    input.embed_input = (RKLLMEmbedInput){rows, 2};
    seen_clear(&seen);
    CHECK(rkllm_run(handle, &input, NULL, &seen) == 0);
    CHECK_TEXT(seen.events, "N[ok] F");
    /* More than fits is refused before it is read: the number may be garbage. */
    input.embed_input.n_tokens = SIZE_MAX / 2;
    seen_clear(&seen);
    CHECK(rkllm_run(handle, &input, NULL, &seen) == -1);
    CHECK_TEXT(seen.events, "E");
    CHECK(rkllm_destroy(handle) == 0);
}

static void long_prompts_are_refused(void) {
    char prompt[1024] = "";
    struct seen seen = {0};
    LLMHandle handle = load_script("run\n token \"a\"\n");
    for (int i = 0; i < 128; i++) strcat(prompt, "w ");
    CHECK(ask(handle, &seen, prompt, 0) == -1); /* the last blank is the 129th token */
    CHECK_TEXT(seen.events, "E");
    seen_clear(&seen);
    prompt[strlen(prompt) - 1] = '\0';
    CHECK(ask(handle, &seen, prompt, 0) == 0);
    CHECK_TEXT(seen.events, "N[a] F");
    CHECK(rkllm_destroy(handle) == 0);
}

int main(void) {
    tokens_come_as_written();
    half_characters_wait();
    runs_end_as_written();
    errors_return_minus_one();
    token_ids_count_from_zero();
    control_tokens_have_a_text_if_that_is_asked_for();
    sections_are_chosen();
    limit_holds();
#if RKLLM_ABI >= 10201
    figures_come_with_the_end();
    figures_do_not_come_before();
    batches_come_as_arrays();
#endif
#if RKLLM_ABI >= 10200
    rows_come_as_written();
#else
    hidden_states_have_their_own_state();
#endif
#if RKLLM_ABI >= 10300
    own_userdata_wins();
#endif
    other_inputs_reach_the_script();
    long_prompts_are_refused();
    return finish_checks("front_run");
}
