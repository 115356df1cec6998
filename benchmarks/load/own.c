/* The C library's own rate: one run, with a callback that only looks at the clock.
 *
 * usage: own MODEL PROMPT
 *
 * Prints one line of JSON: tokens, and tokens per second from the first to the last.
 */
#define _GNU_SOURCE
#include <err.h>
#include <stdio.h>
#include <time.h>

#include "rkllm_cpu.h"

static double first, last;
static long tokens;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int on_result(RKLLMResult *result, void *userdata, LLMCallState state) {
    (void)result, (void)userdata;
    if (state == RKLLM_RUN_NORMAL) {
        last = now();
        if (tokens++ == 0)
            first = last;
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 3)
        errx(2, "usage: own MODEL PROMPT");
    LLMHandle handle = NULL;
    RKLLMParam param = rkllm_createDefaultParam();
    param.model_path = argv[1];
    param.max_new_tokens = -1;
    RKLLMCallback callback = {.result_callback = on_result};
    if (rkllm_init(&handle, &param, &callback) != 0)
        errx(1, "rkllm_init refused %s", argv[1]);
    RKLLMInput input = {.input_type = RKLLM_INPUT_PROMPT, .prompt_input = argv[2]};
    RKLLMInferParam infer = {.mode = RKLLM_INFER_GENERATE};
    if (rkllm_run(handle, &input, &infer, NULL) != 0 || tokens < 2)
        errx(1, "rkllm_run gave %ld tokens", tokens);
    printf("{\"tokens\": %ld, \"per_second\": %.1f}\n", tokens, (double)(tokens - 1) / (last - first));
    return rkllm_destroy(handle);
}
