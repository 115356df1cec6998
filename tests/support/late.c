/* A runtime whose callbacks come late, and not for the run under way. It prints what its callbacks
 * return. The prompt says what a run does. Release 1.3.0. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "rkllm_cpu.h"

enum { CONNECTION = 3 };

static LLMResultCallback callback;
static volatile int is_held, aborts;
static void *former;
static pthread_t thread;
static int has_thread;

RKLLM_CPU_API int rkllm_init(LLMHandle *handle, RKLLMParam *param, RKLLMCallback *callbacks) {
    (void)param;
    callback = callbacks->result_callback;
    *handle = &callback;
    return 0;
}

static int call_back(const char *whose, void *userdata, const char *text, LLMCallState state) {
    static float numbers[4] = {1, 2, 3, 4};
    RKLLMResult result = {0};
    result.text = text;
    if (text && strcmp(text, "array") == 0) {
        result.last_hidden_layer.hidden_states = numbers;
        result.last_hidden_layer.embd_size = 2;
        result.last_hidden_layer.num_tokens = 2;
    }
    int reply = callback(&result, userdata, state);
    printf("%s %d\n", whose, reply);
    fflush(stdout);
    return reply;
}

/* The former run's results come first, then this one's. */
static void *call_late(void *userdata) {
    call_back("late", former, "late", RKLLM_RUN_NORMAL);
    call_back("late", former, "array", RKLLM_RUN_NORMAL);
    call_back("late", former, NULL, RKLLM_RUN_FINISH);
    usleep(50000);
    if (call_back("own", userdata, "own", RKLLM_RUN_NORMAL) == 1) return NULL; /* paused */
    call_back("own", userdata, "array", RKLLM_RUN_NORMAL);
    call_back("own", userdata, NULL, RKLLM_RUN_FINISH);
    return NULL;
}

/* Results whose counts say more than a frame may have, with no such memory behind them. */
static void claim(void *userdata) {
    static float numbers[1];
    const int sides[][2] = {{1 << 15, 1 << 15}, {1 << 29, 1}, {INT32_MAX, INT32_MAX}, {1 << 30, 4}};
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        RKLLMResult result = {0};
        result.last_hidden_layer.hidden_states = numbers;
        result.last_hidden_layer.num_tokens = sides[i][0];
        result.last_hidden_layer.embd_size = sides[i][1];
        callback(&result, userdata, RKLLM_RUN_NORMAL);
    }
}

/* Makes the daemon's connection non-blocking, and sends more than it holds. */
static void flood(void *userdata) {
    static char text[100000];
    RKLLMResult result = {0};
    memset(text, 'x', sizeof text - 1);
    result.text = text;
    fcntl(CONNECTION, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 100; i++) callback(&result, userdata, RKLLM_RUN_NORMAL);
}

RKLLM_CPU_API int rkllm_run(LLMHandle handle, RKLLMInput *input, RKLLMInferParam *infer,
                            void *userdata) {
    (void)handle;
    (void)infer;
    former = userdata;
    is_held = strcmp(input->prompt_input, "hold") == 0;
    while (is_held && !aborts) usleep(1000);
    if (strcmp(input->prompt_input, "flood") == 0) flood(userdata);
    if (strcmp(input->prompt_input, "large") == 0) claim(userdata);
    if (!is_held) call_back("own", userdata, "first", RKLLM_RUN_NORMAL);
    is_held = aborts = 0;
    return 0;
}

/* A run is over for the host before what its last callback returned is printed. */
static void await_print(void) {
    if (has_thread) pthread_join(thread, NULL);
    has_thread = 0;
}

RKLLM_CPU_API int rkllm_run_async(LLMHandle handle, RKLLMInput *input, RKLLMInferParam *infer,
                                  void *userdata) {
    (void)handle;
    (void)infer;
    (void)input;
    await_print();
    has_thread = pthread_create(&thread, NULL, call_late, userdata) == 0;
    return 0;
}

RKLLM_CPU_API int rkllm_abort(LLMHandle handle) {
    (void)handle;
    aborts = 1;
    return 0;
}

RKLLM_CPU_API int rkllm_is_running(LLMHandle handle) {
    (void)handle;
    return 1;
}

RKLLM_CPU_API int rkllm_destroy(LLMHandle handle) {
    (void)handle;
    await_print();
    return 0;
}
