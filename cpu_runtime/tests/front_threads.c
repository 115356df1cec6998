/* Runs, aborts and destroys from several threads. Made to be run under ThreadSanitizer too, so it
 * forks nothing. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "front_support.h"

struct asking {
    LLMHandle handle;
    struct seen seen;
    const char *prompt;
    int code;
    pthread_t thread;
};

static void *ask_there(void *argument) {
    struct asking *asking = argument;
    asking->code = ask(asking->handle, &asking->seen, asking->prompt, 0);
    return NULL;
}

/* Callbacks of the run that was started last. */
static atomic_int calls;

static void count_call(struct seen *seen) {
    (void)seen;
    atomic_fetch_add(&calls, 1);
}

static void start(struct asking *asking, LLMHandle handle, const char *prompt) {
    *asking = (struct asking){.handle = handle, .prompt = prompt, .code = 99};
    asking->seen.hook = count_call;
    atomic_store(&calls, 0);
    CHECK(pthread_create(&asking->thread, NULL, ask_there, asking) == 0);
}

static void wait_running(LLMHandle handle) {
    while (rkllm_is_running(handle) != 1) sleep_ms(0.2);
}

/* A run is under way before its first token. */
static void wait_called(void) {
    while (atomic_load(&calls) == 0) sleep_ms(0.2);
}

static void wait_idle(LLMHandle handle) {
    while (rkllm_is_running(handle) == 1) sleep_ms(0.2);
}

/* ---- Abort ---- */

static void aborts_end_in(const char *lines, const char *wanted) {
    struct asking asking;
    LLMHandle handle = load_script(lines);
    start(&asking, handle, "x");
    wait_running(handle);
    if (wanted[0] == 'N') wait_called();
    sleep_ms(5); /* an abort before what it does then ends it alike; this is to meet it amid that */
    double before = now_ms();
    CHECK(rkllm_abort(handle) == 0);
    pthread_join(asking.thread, NULL);
    CHECK(now_ms() - before < 2000);
    CHECK(asking.code == 0);
    CHECK_TEXT(asking.seen.events, wanted);
    CHECK(rkllm_is_running(handle) == 0);
    CHECK(rkllm_destroy(handle) == 0);
}

static void aborts_wake_every_wait(void) {
    aborts_end_in("run\n token \"a\"\n hang until abort\n token \"never\"\n", "N[a] F");
    aborts_end_in("run\n token \"a\"\n sleep 100000\n token \"never\"\n", "N[a] F");
    aborts_end_in("run\n token \"a\"\n delay 100000\n token \"never\"\n", "N[a] F");
    aborts_end_in("run\n token \"a\"\n wait \"/nonexistent/x\"\n token \"never\"\n", "N[a] F");
    aborts_end_in("run\n prefill 100000\n token \"never\"\n", "F");
    aborts_end_in("run\n token \"a\"\n hang until abort\n nofinish\n", "N[a]");
    aborts_end_in("run\n deaf\n token \"a\"\n sleep 50\n token \"b\"\n", "N[a] N[b] F");
    aborts_end_in("run\n deaf\n token \"a\"\n delay 50\n token \"b\"\n", "N[a] N[b] F");
}

static void aborts_within_a_token(void) {
    RKLLMParam param = param_for(write_script("run\n repeat 100000000 token \"x\"\n"));
    struct seen seen = {0};
    LLMHandle handle;
    param.max_new_tokens = -1;
    CHECK(init_with(&handle, &param) == 0);
    seen.abort_at_call = handle;
    seen.abort_call = 3;
    CHECK(ask(handle, &seen, "x", 0) == 0);
    CHECK_TEXT(seen.events, "N[x] N[x] N[x] F");
    /* It stopped that run, not the next. */
    seen_clear(&seen);
    seen.abort_at_call = handle;
    seen.abort_call = 1;
    CHECK(ask(handle, &seen, "x", 0) == 0);
    CHECK_TEXT(seen.events, "N[x] F");
    CHECK(rkllm_destroy(handle) == 0);
}

static void idle_aborts_are_refused(void) {
    LLMHandle handle = load_script("run\n echo\n");
    CHECK(rkllm_abort(handle) == -1);
    CHECK_TEXT(told(handle, "a b"), "N[a] N[ b] F");
    CHECK(rkllm_abort(handle) == -1);
    CHECK(rkllm_destroy(handle) == 0);
}

/* ---- One run at a time ---- */

static void second_runs_are_refused(void) {
    struct asking asking;
    struct seen seen = {0};
    RKLLMInput input = prompt_input("y");
    LLMHandle handle = load_script("run\n hang until abort\n"), other = load_script("run\n echo\n");
    start(&asking, handle, "x");
    wait_running(handle);
    CHECK(ask(handle, &seen, "y", 0) == -1);
    CHECK(rkllm_run_async(handle, &input, NULL, &seen) == -1);
    CHECK(rkllm_release_prompt_cache(handle) == -1);
#if RKLLM_ABI >= 10201
    int sizes[1];
    CHECK(rkllm_clear_kv_cache(handle, 0, NULL, NULL) == -1);
    CHECK(rkllm_get_kv_cache_size(handle, sizes) == -1);
#endif
    CHECK(seen.n_calls == 0);
    CHECK_TEXT(told(other, "another model"), "N[another] N[ model] F");
    CHECK(rkllm_abort(handle) == 0);
    pthread_join(asking.thread, NULL);
    CHECK(rkllm_destroy(handle) == 0);
    CHECK(rkllm_destroy(other) == 0);
}

static void use_from_callback(struct seen *seen) {
    LLMHandle handle = seen->anything;
    struct seen inner = {0};
    RKLLMInput input = prompt_input("y");
    CHECK(rkllm_is_running(handle) == 1);
    CHECK(rkllm_run_async(handle, &input, NULL, &inner) == -1);
    CHECK(ask(handle, &inner, "y", 0) == -1);
    CHECK(rkllm_destroy(handle) == -1);
}

static void callbacks_may_not_do_everything(void) {
    struct seen seen = {.hook = use_from_callback};
    LLMHandle handle = load_script("run\n echo\n");
    seen.anything = handle;
    CHECK(ask(handle, &seen, "a", 0) == 0);
    CHECK_TEXT(seen.events, "N[a] F");
    CHECK(rkllm_destroy(handle) == 0);
}

/* ---- rkllm_run_async ---- */

static void async_runs_own_their_input(void) {
    struct seen seen = {0};
    const char *gate = temporary_path("gate");
    char lines[256], *prompt = strdup("copied before it began");
    snprintf(lines, sizeof lines, "run\n wait \"%s\"\n echo\n", gate);
    LLMHandle handle = load_script(lines);
    RKLLMInput input = prompt_input(prompt);
    CHECK(rkllm_run_async(handle, &input, NULL, &seen) == 0);
    CHECK(rkllm_is_running(handle) == 1); /* from the moment it returned */
    memset(prompt, '?', strlen(prompt));
    free(prompt);
    fclose(fopen(gate, "w"));
    wait_idle(handle);
    CHECK_TEXT(seen.events, "N[copied] N[ before] N[ it] N[ began] F");
    CHECK(rkllm_destroy(handle) == 0);
}

static void async_runs_follow_each_other(void) {
    LLMHandle handle = load_script("run\n echo\n");
    RKLLMInput input = prompt_input("a b c");
    for (int i = 0; i < 50; i++) {
        struct seen seen = {0};
        CHECK(rkllm_run_async(handle, &input, NULL, &seen) == 0);
        wait_idle(handle);
        CHECK_TEXT(seen.events, "N[a] N[ b] N[ c] F");
    }
    CHECK(rkllm_destroy(handle) == 0);
}

static void async_aborts_at_once(void) {
    struct seen seen = {0};
    LLMHandle handle = load_script("run\n hang until abort\n");
    RKLLMInput input = prompt_input("x");
    CHECK(rkllm_run_async(handle, &input, NULL, &seen) == 0);
    CHECK(rkllm_abort(handle) == 0); /* perhaps before the thread has begun */
    wait_idle(handle);
    CHECK_TEXT(seen.events, "F");
    CHECK(rkllm_destroy(handle) == 0);
}

/* ---- Destroy ---- */

static void destroy_ends_a_run(void) {
    struct asking asking;
    LLMHandle handle = load_script("run\n token \"a\"\n hang until abort\n");
    start(&asking, handle, "x");
    wait_called();
    CHECK(rkllm_destroy(handle) == 0);
    CHECK(rkllm_is_running(handle) == -1);
    pthread_join(asking.thread, NULL);
    CHECK(asking.code == 0);
    CHECK_TEXT(asking.seen.events, "N[a] F");
}

static void destroy_ends_an_async_run(void) {
    struct seen seen = {0};
    LLMHandle handle = load_script("run\n hang until abort\n");
    RKLLMInput input = prompt_input("x");
    CHECK(rkllm_run_async(handle, &input, NULL, &seen) == 0);
    CHECK(rkllm_destroy(handle) == 0);
    CHECK_TEXT(seen.events, "F"); /* before destroy returned */
}

/* ---- Late callbacks ---- */

static atomic_int late_calls;

#if RKLLM_ABI >= 10201
static int count_late(RKLLMResult *result, void *userdata, LLMCallState state) {
#else
static void count_late(RKLLMResult *result, void *userdata, LLMCallState state) {
#endif
    bool late = result->text && strcmp(result->text, "late") == 0;
    CHECK(!late || (state == RKLLM_RUN_NORMAL && userdata == &late_calls));
    if (late) atomic_fetch_add(&late_calls, 1);
#if RKLLM_ABI >= 10201
    return 0;
#endif
}

static LLMHandle load_for_late(const char *lines) {
    LLMHandle handle;
    RKLLMParam param = param_for(write_script(lines));
#if RKLLM_ABI >= 10300
    RKLLMCallback callback = {.result_callback = count_late};
    CHECK(rkllm_init(&handle, &param, &callback) == 0);
#else
    CHECK(rkllm_init(&handle, &param, count_late) == 0);
#endif
    return handle;
}

static void late_callbacks_come_after_the_run(void) {
    RKLLMInput input = prompt_input("x");
    LLMHandle handle = load_for_late("run\n late \"late\" 20\n token \"a\"\n");
    CHECK(rkllm_run(handle, &input, NULL, &late_calls) == 0);
    CHECK(atomic_load(&late_calls) == 0);
    double before = now_ms();
    while (atomic_load(&late_calls) == 0 && now_ms() - before < 5000) sleep_ms(1);
    CHECK(atomic_load(&late_calls) == 1);
    CHECK(rkllm_run(handle, &input, NULL, &late_calls) == 0);
    CHECK(rkllm_destroy(handle) == 0); /* calls off the second */
    sleep_ms(30);
    CHECK(atomic_load(&late_calls) == 1);
}

/* The caller's memory changes when the run has copied it, and before its end. */
static void shorten_prompt(struct seen *seen) {
    memcpy(seen->anything, "other", sizeof "other");
}

static void a_prompt_is_read_again(void) {
    char prompt[] = "first prompt", line[100] = "";
    struct seen seen = {.hook = shorten_prompt, .anything = prompt};
    LLMHandle handle = load_script("run\n late input 5\n");
    int before = dup(STDOUT_FILENO), pipes[2];
    CHECK(pipe(pipes) == 0 && dup2(pipes[1], STDOUT_FILENO) >= 0);
    CHECK(ask(handle, &seen, prompt, 0) == 0);
    CHECK(read(pipes[0], line, sizeof line - 1) > 0);
    CHECK(strcmp(line, "the input has 5 bytes still and ends in other\n") == 0);
    CHECK(rkllm_destroy(handle) == 0 && dup2(before, STDOUT_FILENO) >= 0);
    close(before), close(pipes[0]), close(pipes[1]);
}

static void destroy_from_late(struct seen *seen) {
    bool late = seen->n_calls > 0; /* the first call is the run's FINISH */
    CHECK(rkllm_destroy(seen->anything) == -1);
    if (late) atomic_fetch_add(&late_calls, 1);
}

static void late_callbacks_may_not_destroy(void) {
    struct seen seen = {.hook = destroy_from_late};
    LLMHandle handle = load_script("run\n late \"x\" 5\n");
    seen.anything = handle;
    atomic_store(&late_calls, 0);
    CHECK(ask(handle, &seen, "x", 0) == 0);
    while (atomic_load(&late_calls) == 0) sleep_ms(1);
    CHECK(rkllm_destroy(handle) == 0);
}

/* ---- Everything at once ---- */

static void *pester(void *argument) {
    LLMHandle handle = argument;
    while (rkllm_is_running(handle) >= 0) rkllm_abort(handle);
    return NULL;
}

static void nothing_breaks_under_pressure(void) {
    enum { PESTERING = 3 };
    pthread_t threads[PESTERING];
    RKLLMInput input = prompt_input("a b c d e f g h");
    LLMHandle handle = load_for_late("run\n echo\n late \"late\" 0\n repeat 20 token \"x\"\n");
    for (int i = 0; i < PESTERING; i++) pthread_create(&threads[i], NULL, pester, handle);
    for (int i = 0; i < 100; i++) {
        CHECK(rkllm_run(handle, &input, NULL, &late_calls) == 0);
        CHECK(rkllm_run_async(handle, &input, NULL, &late_calls) == 0);
        wait_idle(handle);
    }
    CHECK(rkllm_destroy(handle) == 0);
    for (int i = 0; i < PESTERING; i++) pthread_join(threads[i], NULL);
}

int main(void) {
    aborts_wake_every_wait();
    aborts_within_a_token();
    idle_aborts_are_refused();
    second_runs_are_refused();
    callbacks_may_not_do_everything();
    async_runs_own_their_input();
    async_runs_follow_each_other();
    async_aborts_at_once();
    destroy_ends_a_run();
    destroy_ends_an_async_run();
    late_callbacks_come_after_the_run();
    late_callbacks_may_not_destroy();
    a_prompt_is_read_again();
    FILE *quiet = freopen("/dev/null", "w", stderr); /* a line for every refused abort */
    nothing_breaks_under_pressure();
    if (quiet) fclose(quiet);
    return finish_checks("front_threads");
}
