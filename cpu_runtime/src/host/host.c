#include "host.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "call.h"
#include "callback.h"
#include "connection.h"
#include "frames.h"
#include "receive.h"

/* Between two looks at whether an asynchronous run is still under way. */
enum { POLL_NS = 500000000 };

enum { STATE_FINISH = 2, STATE_ERROR = 3 };

static struct {
    int connection;
    void *library;
    struct result_layout layout;
    struct places places;
    void *handle;
    int (*abort_run)(void *handle);
    int (*is_running)(void *handle);
    pthread_mutex_t using_handle; /* held while C aborts; never by a callback */
    pthread_mutex_t state;        /* never held while C is called */
    pthread_cond_t changed;
    struct call *first;   /* of those that wait */
    struct call *current; /* the one that is made, until it has returned */
} host = {.using_handle = PTHREAD_MUTEX_INITIALIZER, .state = PTHREAD_MUTEX_INITIALIZER};

/* Not by stdio: the library may hold a stream's lock. */
void host_fail(const char *what, const char *why) {
    char line[1024];
    int length = snprintf(line, sizeof line, "E host: %s: %s.\n", what, why);
    size_t most = sizeof line - 1;
    if (write(STDERR_FILENO, line, (size_t)length < most ? (size_t)length : most) < 0) _exit(2);
    _exit(1);
}

static void send_all(struct iovec *parts, int n) { connection_send(host.connection, parts, n); }

/* ---- What the library calls, in any thread ---- */

/* The run that a callback belongs to, under the lock. NULL: a former one, whose results are no longer
 * waited for, and may be gone.
 */
static struct call *run_of(uint64_t userdata) {
    struct call *call = host.current;
    bool is_its = call && call->parts.call->rows > 0 && call->parts.call->userdata == userdata;
    return is_its ? call : NULL;
}

static int reply_of(struct call *call, int state, bool has_arrays) {
    if (!call) return CALLBACK_CONTINUE;
    bool is_last = state == STATE_FINISH || state == STATE_ERROR;
    call->called_back = true;
    if (is_last || call->pausing) {
        call->ended = true;
        pthread_cond_broadcast(&host.changed);
        return is_last ? CALLBACK_CONTINUE : CALLBACK_PAUSE;
    }
    return host.layout.keeps_arrays && has_arrays ? CALLBACK_RELEASE : CALLBACK_CONTINUE;
}

static int take(void *results, void *userdata, int state) {
    uint64_t whose = (uint64_t)(uintptr_t)userdata;
    pthread_mutex_lock(&host.state);
    struct call *run = run_of(whose);
    uint32_t batch = run ? run->parts.call->rows : 0;
    pthread_mutex_unlock(&host.state);
    if (batch == 0) return CALLBACK_CONTINUE;
    bool is_last = state == STATE_FINISH || state == STATE_ERROR;
    uint32_t rows = !results ? 0 : is_last ? 1 : batch;
    callback_send(&host.layout, results, rows, whose, state, send_all);
    bool has_arrays = rows > 0 && callback_has_arrays(&host.layout, results);
    pthread_mutex_lock(&host.state);
    int reply = reply_of(run_of(whose), state, has_arrays);
    pthread_mutex_unlock(&host.state);
    return reply;
}

static void take_only(void *results, void *userdata, int state) { take(results, userdata, state); }

/* ---- What the daemon asks for, in the thread that reads ---- */

static void add(struct call *call) {
    pthread_mutex_lock(&host.state);
    struct call **end = &host.first;
    while (*end) end = &(*end)->next;
    *end = call;
    pthread_cond_broadcast(&host.changed);
    pthread_mutex_unlock(&host.state);
}

/* The call of a number, under the lock; NULL if it has returned. */
static struct call *call_of(uint64_t number) {
    if (host.current && host.current->number == number) return host.current;
    struct call *call = host.first;
    while (call && call->number != number) call = call->next;
    return call;
}

static void pause_run(uint64_t number) {
    pthread_mutex_lock(&host.state);
    struct call *call = call_of(number);
    if (call) call->pausing = true;
    pthread_mutex_unlock(&host.state);
}

static void abort_run(uint64_t number) {
    pthread_mutex_lock(&host.using_handle);
    pthread_mutex_lock(&host.state);
    struct call *call = call_of(number);
    bool began = call && call->began;
    if (call) call->aborted = call->called_back = true;
    pthread_mutex_unlock(&host.state);
    if (began && host.handle && host.abort_run) host.abort_run(host.handle);
    pthread_mutex_unlock(&host.using_handle);
}

static void *read_frames(void *unused) {
    (void)unused;
    for (;;) {
        struct frame_header header;
        struct call *call = receive_frame(host.connection, &header);
        if (header.kind == FRAME_CALL) add(call);
        if (header.kind == FRAME_ABORT) abort_run(header.number);
        if (header.kind == FRAME_PAUSE) pause_run(header.number);
    }
    return NULL;
}

/* ---- The calls, in the main thread ---- */

static struct call *next_call(void) {
    pthread_mutex_lock(&host.state);
    while (!host.first) pthread_cond_wait(&host.changed, &host.state);
    struct call *call = host.first;
    host.first = call->next;
    host.current = call;
    pthread_mutex_unlock(&host.state);
    return call;
}

/* A thread of the library may hold a stream for as long as it waits: then its lines come later. */
static void flush(FILE *stream) {
    if (ftrylockfile(stream) != 0) return;
    fflush_unlocked(stream);
    funlockfile(stream);
}

/* Marks the start of the call in what the library prints. */
static void print_mark(const struct frame_call *call) {
    size_t length = strnlen(call->mark, sizeof call->mark);
    flush(stdout);
    flush(stderr);
    for (int descriptor = 1; descriptor <= 2; descriptor++)
        if (write(descriptor, call->mark, length) < 0) continue; /* nobody reads it */
}

static void await_end(struct call *call) {
    struct timespec until;
    pthread_mutex_lock(&host.state);
    while (!call->ended) {
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += POLL_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (pthread_cond_timedwait(&host.changed, &host.state, &until) != ETIMEDOUT) continue;
        /* Some modes end without a last result. Before the first one, C may not have begun. */
        bool begun = call->called_back;
        pthread_mutex_unlock(&host.state);
        bool is_over = begun && host.is_running && host.is_running(host.handle) != 1;
        pthread_mutex_lock(&host.state);
        if (is_over) break;
    }
    pthread_mutex_unlock(&host.state);
}

static int enter(struct call *call) {
    const struct frame_call *asked = call->parts.call;
    void *function = dlsym(host.library, asked->function);
    if (!function) host_fail(asked->function, "the library has no such function");
    call_relocate(call, &host.places);
    pthread_mutex_lock(&host.state);
    call->began = !(call->aborted && asked->rows > 0);
    bool began = call->began;
    pthread_mutex_unlock(&host.state);
    return began ? call_enter(call, function, &host.places) : 0;
}

/* The kernel leaves out the descriptors for which this process has no room. */
static _Noreturn void fail_without_room(void) {
    struct rlimit limit = {0};
    char why[200];
    getrlimit(RLIMIT_NOFILE, &limit);
    snprintf(why, sizeof why,
             "this process may open %llu files, and the library has opened them; raise LimitNOFILE= "
             "of the daemon's unit, or ulimit -Hn",
             (unsigned long long)limit.rlim_cur);
    host_fail("the model's files cannot be opened", why);
}

/* No abort may use a handle that is being destroyed. */
static int destroy(struct call *call) {
    pthread_mutex_lock(&host.using_handle);
    void *handle = host.handle;
    host.handle = NULL;
    pthread_mutex_unlock(&host.using_handle);
    struct places places = host.places, own = {.handle = &handle, .callback = places.callback};
    host.places = own;
    int status = enter(call);
    host.places = places;
    return status;
}

static void send_return(const struct call *call, int status) {
    const struct frame_call *asked = call->parts.call;
    size_t outputs = asked->block_size - asked->outputs;
    struct {
        struct frame_header header;
        struct frame_return end;
    } head = {{FRAME_RETURN, 0, call->number, sizeof head.end + outputs},
              {status, host.handle != NULL}};
    struct iovec parts[] = {{&head, sizeof head}, {call->parts.block + asked->outputs, outputs}};
    send_all(parts, 2);
}

static void perform(struct call *call) {
    const struct frame_call *asked = call->parts.call;
    print_mark(asked);
    if (call->lacks_descriptors) fail_without_room();
    bool is_end = strcmp(asked->function, "rkllm_destroy") == 0;
    int status = is_end ? destroy(call) : enter(call);
    if (status == 0 && call->began && asked->flags & FRAME_AWAIT_END) await_end(call);
    pthread_mutex_lock(&host.state);
    host.current = NULL;
    pthread_mutex_unlock(&host.state);
    send_return(call, status);
    call_keep(call);
}

static uintptr_t callback_address(void) {
    union {
        int (*returns_int)(void *, void *, int);
        void (*returns_nothing)(void *, void *, int);
        uintptr_t address;
    } function = {.returns_int = take};
    if (!host.layout.returns_int) function.returns_nothing = take_only;
    return function.address;
}

static void find(const char *name, int (**function)(void *)) {
    void *found = dlsym(host.library, name);
    memcpy(function, &found, sizeof found);
}

void host_serve(int connection, void *library, const struct result_layout *layout) {
    pthread_condattr_t monotonic;
    pthread_t reader;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&host.changed, &monotonic);
    host.connection = connection;
    host.library = library;
    host.layout = *layout;
    host.places = (struct places){.handle = &host.handle, .callback = callback_address()};
    find("rkllm_abort", &host.abort_run);
    find("rkllm_is_running", &host.is_running);
    if (pthread_create(&reader, NULL, read_frames, NULL) != 0)
        host_fail("rkllm-host", "no thread can be started");
    for (;;) perform(next_call());
}
