/* Threads of the engine tiny: tiny_threads MODEL .... Built so that small models use them, too; made
 * to be run under ThreadSanitizer as well. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tiny/model.h"

static const engine *const tiny = &engine_tiny;
static const char *current;
static int n_checks, n_failed;

static void check(bool good, const char *what)
{
    n_checks++;
    if (good)
        return;
    n_failed++;
    printf("FAILED: %s (%s)\n", what, current);
}
#define CHECK(condition) check((condition), #condition)

/* ---- The pool ---- */

enum { UNITS = 10, DEAR = 1 << 20 };

typedef struct {
    size_t n_threads;
    atomic_int times[UNITS];
    atomic_bool strange; /* a thread's number */
} counting;

static void count(const void *work, size_t first, size_t end, size_t thread)
{
    counting *of = (counting *)(uintptr_t)work;
    if (thread >= of->n_threads)
        atomic_store(&of->strange, true);
    for (size_t i = first; i < end; i++)
        atomic_fetch_add(&of->times[i], 1);
}

static bool all_are(const counting *of, int times)
{
    for (size_t i = 0; i < UNITS; i++)
        if (atomic_load(&of->times[i]) != times)
            return false;
    return !atomic_load(&of->strange);
}

static void every_unit_is_done_once(size_t n_threads)
{
    enum { TIMES = 300 };
    tiny_pool *pool = tiny_pool_make(n_threads);
    counting *of = calloc(1, sizeof *of);
    if (!of)
        exit(2);
    of->n_threads = n_threads;
    for (int i = 1; i <= TIMES; i++) {
        tiny_pool_do(pool, UNITS, DEAR, count, of);
        CHECK(all_are(of, i));
    }
    tiny_pool_free(pool);
    free(of);
}

static void note_thread(const void *work, size_t first, size_t end, size_t thread)
{
    atomic_bool *elsewhere = (atomic_bool *)(uintptr_t)work;
    if (first != 0 || end != UNITS || thread != 0)
        atomic_store(elsewhere, true);
}

static void cheap_work_stays_with_the_caller(void)
{
    atomic_bool elsewhere = false;
    tiny_pool *pool = tiny_pool_make(4);
    tiny_pool_do(pool, UNITS, 1, note_thread, &elsewhere);
    CHECK(!atomic_load(&elsewhere));
    tiny_pool_free(pool); /* whose threads were never started */
    CHECK(tiny_pool_make(1) == NULL);
    tiny_pool_do(NULL, UNITS, DEAR, note_thread, &elsewhere);
    CHECK(!atomic_load(&elsewhere));
}

/* ---- Models ---- */

enum { PROMPT = 70, ANSWER = 6, CONTEXT = 128 };

static engine_model *open_with(int32_t threads)
{
    const engine_options options = {.n_ctx = CONTEXT, .threads = threads, .threads_asked = true};
    engine_model *model;
    engine_error error = {{0}};
    if (tiny->open(current, &options, &model, &error) == ENGINE_OK)
        return model;
    printf("FAILED: %s does not open: %s\n", current, error.text);
    exit(1);
}

static void note(const engine_model *model, size_t n_rows, uint64_t *hash)
{
    const engine_facts *facts = tiny->facts(model);
    const uint8_t *logits = (const uint8_t *)tiny->logits(model);
    const uint8_t *hidden = (const uint8_t *)tiny->hidden(model);
    for (size_t i = 0; i < n_rows * (size_t)facts->n_vocab * sizeof(float); i++)
        *hash = (*hash ^ logits[i]) * 0x100000001b3u;
    for (size_t i = 0; i < n_rows * (size_t)facts->n_embd * sizeof(float); i++)
        *hash = (*hash ^ hidden[i]) * 0x100000001b3u;
}

/* Every number that a prompt and a few tokens after it come to. */
static uint64_t numbers_of(engine_model *model)
{
    const int32_t n_vocab = tiny->facts(model)->n_vocab;
    uint64_t hash = 0xcbf29ce484222325u;
    int32_t tokens[PROMPT + ANSWER];
    for (int32_t i = 0; i < PROMPT + ANSWER; i++)
        tokens[i] = (5 + i * 37) % n_vocab;
    CHECK(tiny->decode(model, tokens, NULL, PROMPT, 0, ROWS_LOGITS, NULL, NULL) == ENGINE_OK);
    note(model, PROMPT, &hash);
    for (size_t i = PROMPT; i < PROMPT + ANSWER; i++) {
        CHECK(tiny->decode(model, tokens + i, NULL, 1, i, ROWS_LAST, NULL, NULL) == ENGINE_OK);
        note(model, 1, &hash);
    }
    return hash;
}

static void any_number_of_threads_comes_to_the_same_numbers(void)
{
    engine_model *alone = open_with(1);
    const uint64_t expected = numbers_of(alone);
    CHECK(alone->pool == NULL);
    printf("numbers %016" PRIx64 " of %s\n", expected, current);
    tiny->close(alone);
    for (int32_t threads = 2; threads <= 5; threads++) {
        engine_model *model = open_with(threads);
        CHECK(numbers_of(model) == expected);
        CHECK(model->pool != NULL);
        tiny->close(model);
    }
}

static void *stop_soon(void *argument)
{
    usleep(2000);
    atomic_store((atomic_bool *)argument, true);
    return NULL;
}

/* Whenever the stop comes, the model works on afterwards, and closing it joins its threads. */
static void a_stop_leaves_no_work_behind(void)
{
    engine_model *model = open_with(3);
    const uint64_t expected = numbers_of(model);
    int32_t tokens[CONTEXT] = {0};
    atomic_bool stop = false;
    pthread_t stopper;
    CHECK(pthread_create(&stopper, NULL, stop_soon, &stop) == 0);
    int code = ENGINE_OK;
    while (code == ENGINE_OK)
        code = tiny->decode(model, tokens, NULL, CONTEXT, 0, ROWS_LAST, &stop, NULL);
    CHECK(code == ENGINE_ABORTED);
    pthread_join(stopper, NULL);
    CHECK(numbers_of(model) == expected);
    tiny->close(model);
}

/* A forked process has none of the threads. */
static void a_forked_process_computes_alone(void)
{
#ifndef __SANITIZE_THREAD__
    int status = -1;
    engine_model *model = open_with(3);
    const uint64_t expected = numbers_of(model);
    const pid_t child = fork();
    if (child == 0) {
        const bool same = numbers_of(model) == expected;
        tiny->close(model);
        _exit(same ? 0 : 1);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(numbers_of(model) == expected);
    tiny->close(model);
#endif
}

int main(int count_, char **arguments)
{
    current = "no model";
    for (size_t n_threads = 1; n_threads <= 8; n_threads *= 2)
        every_unit_is_done_once(n_threads);
    cheap_work_stays_with_the_caller();
    for (int i = 1; i < count_; i++) {
        current = arguments[i];
        any_number_of_threads_comes_to_the_same_numbers();
        a_stop_leaves_no_work_behind();
        a_forked_process_computes_alone();
    }
    printf("tiny_threads: %d checks, %d failed\n", n_checks, n_failed);
    return n_failed ? 1 : 0;
}
