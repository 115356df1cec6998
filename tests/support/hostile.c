/* A runtime that attacks the daemon: it writes to descriptors that are not its own. The prompt says
 * how. Release 1.3.0. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rkllm_cpu.h"

__attribute__((used)) static const char version[] = "RKLLM SDK (version: 1.3.0)";

enum { CONNECTION = 3, HEARTBEAT = 4, MARK = 0x1e };

static LLMResultCallback callback;
static RKLLMResult result;
static LLMCallState state;
static void *whose;
static _Atomic bool abort_hangs, abort_came;

RKLLM_CPU_API RKLLMParam rkllm_createDefaultParam(void) {
    RKLLMParam param;
    memset(&param, 0, sizeof param);
    param.max_context_len = 512;
    param.top_k = 1;
    param.extend_param.n_batch = 1;
    return param;
}

RKLLM_CPU_API int rkllm_init(LLMHandle *handle, RKLLMParam *param, RKLLMCallback *callbacks) {
    (void)param;
    callback = callbacks->result_callback;
    *handle = &callback;
    return 0;
}

static void put(int descriptor, const char *text, size_t length) {
    if (write(descriptor, text, length) < 0) perror("hostile");
}

static void send_text(const char *text) { put(CONNECTION, text, strlen(text)); }

static void garbage(void) { send_text("\xff\xff\xff\xff\xff\xff\xff\xff no message, in any framing"); }

static void zeros(void) {
    static const char none[4096];
    put(CONNECTION, none, sizeof none);
}

static void end_connection(void) {
    shutdown(CONNECTION, SHUT_RDWR);
    close(CONNECTION);
    for (;;) pause();
}

static void beat_a_lot(void) {
    for (int i = 0; i < 1000; i++) put(HEARTBEAT, "zzzzzzzz", 8);
}

static void print_marks(void) {
    for (int call = 0; call < 12; call++) printf("%c%d\nE rkllm: forged\n", MARK, call);
    fflush(stdout);
    fputs("E rkllm: genuine\n", stderr);
}

static void leave_a_child(void) {
    if (fork() == 0) execlp("sleep", "sleep", "7", (char *)NULL);
    fputs("argh", stderr);
    raise(SIGSEGV);
}

static void *print_for_ever(void *unused) {
    static char lines[65536];
    memset(lines, 'x', sizeof lines);
    for (size_t i = 63; i < sizeof lines; i += 64) lines[i] = '\n';
    for (;;) put(1, lines, sizeof lines);
    return unused;
}

static void *hold_stdout(void *unused) {
    flockfile(stdout);
    for (;;) pause();
    return unused;
}

static void *wait_for_input(void *input) {
    fgetc(input);
    return NULL;
}

/* Begin a thread; if it takes a stream, wait for that. */
static void begin(void *(*task)(void *), FILE *stream) {
    pthread_t thread;
    pthread_create(&thread, NULL, task, stream);
    while (stream && ftrylockfile(stream) == 0) {
        funlockfile(stream);
        usleep(1000);
    }
}

static void flood(void) { begin(print_for_ever, NULL); }
static void hold(void) { begin(hold_stdout, stdout); }

static void await_input(void) {
    int ends[2];
    if (pipe(ends) == 0) begin(wait_for_input, fdopen(ends[0], "r"));
}


static void hang_abort(void) {
    abort_hangs = true;
    callback(&result, whose, state);
    while (!abort_came) usleep(1000);
}

static void wrong_state(void) { state = -1; }

static void long_text(void) {
    static char text[(16 << 20) + 2];
    memset(text, 'a', sizeof text - 1);
    result.text = text;
}

static const struct {
    const char *prompt;
    void (*attack)(void);
} attacks[] = {{"garbage", garbage},
               {"zeros", zeros},
               {"end", end_connection},
               {"beat", beat_a_lot},
               {"leave", leave_a_child},
               {"marks", print_marks},
               {"flood", flood},
               {"hold", hold},
               {"await input", await_input},
               {"abort hangs", hang_abort},
               {"wrong state", wrong_state},
               {"long text", long_text}};

RKLLM_CPU_API int rkllm_run(LLMHandle handle, RKLLMInput *input, RKLLMInferParam *infer,
                            void *userdata) {
    (void)handle;
    result.text = "word";
    state = RKLLM_RUN_NORMAL;
    whose = userdata;
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++)
        if (strcmp(input->prompt_input, attacks[i].prompt) == 0) attacks[i].attack();
    callback(&result, userdata, state);
    result.text = NULL;
    callback(&result, userdata, RKLLM_RUN_FINISH);
    if (strcmp(input->prompt_input, "alignment") == 0)
        return (int)(((uintptr_t)input | (uintptr_t)infer) % _Alignof(max_align_t));
    bool refuses = strcmp(input->prompt_input, "marks") == 0;
    return refuses || strcmp(input->prompt_input, "refuse") == 0 ? -1 : 0;
}

#define TAKES_NOTHING(name, ...) \
    RKLLM_CPU_API int name(__VA_ARGS__) { return 0; }

TAKES_NOTHING(rkllm_destroy, LLMHandle handle)

RKLLM_CPU_API int rkllm_abort(LLMHandle handle) {
    (void)handle;
    abort_came = true;
    while (abort_hangs) pause();
    return 0;
}

TAKES_NOTHING(rkllm_is_running, LLMHandle handle)
TAKES_NOTHING(rkllm_run_async, LLMHandle handle, RKLLMInput *input, RKLLMInferParam *infer,
              void *userdata)
TAKES_NOTHING(rkllm_load_lora, LLMHandle handle, RKLLMLoraAdapter *adapter)
TAKES_NOTHING(rkllm_load_prompt_cache, LLMHandle handle, const char *path)
TAKES_NOTHING(rkllm_release_prompt_cache, LLMHandle handle)
TAKES_NOTHING(rkllm_clear_kv_cache, LLMHandle handle, int keep, int *start, int *end)
TAKES_NOTHING(rkllm_get_kv_cache_size, LLMHandle handle, int *sizes)
TAKES_NOTHING(rkllm_set_chat_template, LLMHandle handle, const char *system, const char *prefix,
              const char *postfix)
TAKES_NOTHING(rkllm_set_function_tools, LLMHandle handle, const char *system, const char *tools,
              const char *response)
TAKES_NOTHING(rkllm_set_cross_attn_params, LLMHandle handle, RKLLMCrossAttnParam *params)
