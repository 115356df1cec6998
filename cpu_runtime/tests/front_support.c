#include "front_support.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A script's faults shall look as they do without the sanitizer. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "handle_segv=0:handle_abort=0";
}

/* Tests may silence stderr, but not this. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
    return "log_path=stdout";
}

static atomic_int n_checks, n_failed;
static char directory[64];

void check(int good, const char *what, const char *file, int line) {
    n_checks++;
    if (good) return;
    n_failed++;
    printf("%s:%d: FAILED: %s\n", file, line, what);
}

void check_text(const char *got, const char *wanted, const char *file, int line) {
    n_checks++;
    if (got && strcmp(got, wanted) == 0) return;
    n_failed++;
    printf("%s:%d: FAILED: got\n    %s\nwanted\n    %s\n", file, line, got ? got : "(null)",
           wanted);
}

static void remove_directory(void) {
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    if (*directory && system(command) != 0) perror(command);
}

int finish_checks(const char *program) {
    remove_directory();
    printf("%s: %d checks, %d failed\n", program, atomic_load(&n_checks), atomic_load(&n_failed));
    return atomic_load(&n_failed) > 0;
}

/* ---- The callback ---- */

static void note(struct seen *seen, const char *text) {
    size_t length = strlen(text);
    if (seen->length + length >= sizeof seen->events) return;
    memcpy(seen->events + seen->length, text, length + 1);
    seen->length += length;
}

static void note_result(struct seen *seen, const RKLLMResult *result, LLMCallState state) {
    static const char LETTERS[] = "NWFE4";
    char head[8];
    snprintf(head, sizeof head, "%s%c", seen->length ? " " : "",
             (int)state < 5 ? LETTERS[state] : '?');
    note(seen, head);
    if (state == RKLLM_RUN_FINISH || state == RKLLM_RUN_ERROR) return;
    note(seen, result->text ? "[" : "(null)");
    if (!result->text) return;
    note(seen, result->text);
    note(seen, "]");
}

static void note_rows(struct seen *seen, const RKLLMResult *result) {
    const float *rows = result->last_hidden_layer.hidden_states;
    size_t n = (size_t)result->last_hidden_layer.num_tokens *
               (size_t)result->last_hidden_layer.embd_size;
#if RKLLM_ABI >= 10200
    if (result->logits.logits) {
        rows = result->logits.logits;
        n = (size_t)result->logits.num_tokens * (size_t)result->logits.vocab_size;
    }
#endif
    if (!rows || n < 8) return;
    memcpy(seen->first_row, rows, sizeof seen->first_row);
    seen->last_value = rows[n - 1];
}

static int take(RKLLMResult *result, struct seen *seen, LLMCallState state) {
    if (seen->hook) seen->hook(seen);
    if (seen->n_calls < 64) seen->ids[seen->n_calls] = result->token_id;
    seen->n_calls++;
    seen->last_id = result->token_id;
    seen->last = *result;
    note_result(seen, result, state);
    note_rows(seen, result);
    if (seen->n_calls == seen->abort_call) CHECK(rkllm_abort(seen->abort_at_call) == 0);
    return seen->n_calls == seen->pause_at;
}

#if RKLLM_ABI >= 10201
int on_result(RKLLMResult *result, void *userdata, LLMCallState state) {
    return take(result, userdata, state);
}
#else
void on_result(RKLLMResult *result, void *userdata, LLMCallState state) {
    take(result, userdata, state);
}
#endif

void seen_clear(struct seen *seen) {
    memset(seen, 0, sizeof *seen);
}

const char *seen_text(const struct seen *seen) {
    static char text[sizeof seen->events];
    char *to = text;
    for (const char *at = seen->events; (at = strstr(at, "N[")); at++) {
        const char *c = at + 2;
        while (*c && !(c[0] == ']' && (c[1] == ' ' || !c[1]))) *to++ = *c++;
    }
    *to = '\0';
    return text;
}

/* ---- Files ---- */

const char *temporary_path(const char *name) {
    enum { PATHS = 512, LONGEST = 128 };
    static char paths[PATHS][LONGEST];
    static int n;
    if (!*directory) {
        strcpy(directory, "/tmp/front-XXXXXX");
        if (!mkdtemp(directory)) exit(2);
    }
    char *path = paths[n % PATHS];
    snprintf(path, LONGEST, "%s/%d-%s", directory, n++, name);
    return path;
}

const char *write_file(const char *name, const void *bytes, size_t length) {
    const char *path = temporary_path(name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, length, file) != length || fclose(file) != 0) exit(2);
    return path;
}

const char *write_script(const char *lines) {
    static char text[65536];
    int length = snprintf(text, sizeof text, "#!rkllm-script 1\n%s", lines);
    return write_file("script", text, (size_t)length);
}

/* ---- Models and runs ---- */

RKLLMParam param_for(const char *path) {
    RKLLMParam param = rkllm_createDefaultParam();
    param.model_path = path;
    param.max_context_len = 128;
    return param;
}

int init_with(LLMHandle *handle, RKLLMParam *param) {
#if RKLLM_ABI >= 10300
    RKLLMCallback callback = {.result_callback = on_result};
    return rkllm_init(handle, param, &callback);
#else
    return rkllm_init(handle, param, on_result);
#endif
}

LLMHandle load_model(const char *path) {
    LLMHandle handle;
    RKLLMParam param = param_for(path);
    if (init_with(&handle, &param) == 0 && handle) return handle;
    printf("FAILED: %s does not load\n", path);
    exit(1);
}

LLMHandle load_script(const char *lines) {
    return load_model(write_script(lines));
}

RKLLMInput prompt_input(const char *text) {
    RKLLMInput input;
    memset(&input, 0, sizeof input);
    input.input_type = RKLLM_INPUT_PROMPT;
    input.prompt_input = text;
    return input;
}

int ask(LLMHandle handle, struct seen *seen, const char *prompt, int keep) {
    RKLLMInput input = prompt_input(prompt);
    RKLLMInferParam infer;
    memset(&infer, 0, sizeof infer);
#if RKLLM_ABI >= 10200
    infer.keep_history = keep;
#else
    (void)keep;
#endif
    return rkllm_run(handle, &input, &infer, seen);
}

const char *told(LLMHandle handle, const char *prompt) {
    static struct seen seen;
    seen_clear(&seen);
    CHECK(ask(handle, &seen, prompt, 0) == 0);
    return seen.events;
}

/* ---- Around a piece of work ---- */

const char *log_of(void (*work)(void *), void *argument) {
    static char text[8192];
    FILE *file = tmpfile();
    int before = dup(STDERR_FILENO);
    if (!file || before < 0) exit(2);
    dup2(fileno(file), STDERR_FILENO);
    work(argument);
    dup2(before, STDERR_FILENO);
    close(before);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

int status_of(void (*work)(void *), void *argument) {
    int status = -1;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        work(argument);
        _exit(0);
    }
    waitpid(child, &status, 0);
    return status;
}

void sleep_ms(double ms) {
    struct timespec time = {.tv_sec = (time_t)(ms / 1e3)};
    time.tv_nsec = (long)((ms - (double)time.tv_sec * 1e3) * 1e6);
    nanosleep(&time, NULL);
}

double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}
