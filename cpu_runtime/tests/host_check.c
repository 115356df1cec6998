/* The host over a library that is in this program, driven through its connection. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/frames.h"
#include "host/host.h"
#include "host_support.h"

/* ---- The library ---- */

struct result {
    const char *text;
    int token_id;
    const float *hidden;
    int width, n_tokens;
};

typedef int (*take_result)(struct result *, void *, int);

static take_result listener;
static _Atomic int aborts;
static int handle_target;

int rkllm_init(void **handle, const char *name, take_result function);
int rkllm_init(void **handle, const char *name, take_result function) {
    if (strcmp(name, "model") != 0) return -1;
    listener = function;
    *handle = &handle_target;
    return 0;
}

/* Results of another thread, arrays, and a run that ends by an abort only. */
static void *call_back(void *userdata) {
    static const float numbers[6] = {1, 2, 3, 4, 5, 6};
    struct result arrays = {NULL, 0, numbers, 3, 2}, word = {"word", 5, NULL, 0, 0};
    static int replies[2];
    replies[0] = listener(&word, userdata, 0);
    replies[1] = listener(&arrays, userdata, 0);
    listener(NULL, userdata, 2);
    return replies;
}

int rkllm_run(void *handle, const int *numbers, void *userdata, int *outputs);
int rkllm_run(void *handle, const int *numbers, void *userdata, int *outputs) {
    pthread_t thread;
    void *replies;
    if (handle != &handle_target) return -2;
    if (numbers[1] == 1) {
        while (!aborts) usleep(1000);
        return 7;
    }
    pthread_create(&thread, NULL, call_back, userdata);
    pthread_join(thread, &replies);
    memcpy(outputs, replies, 2 * sizeof *outputs);
    return numbers[0];
}

int rkllm_abort(void *handle);
int rkllm_abort(void *handle) {
    if (handle == &handle_target) aborts++;
    return 0;
}

int rkllm_is_running(void *handle);
int rkllm_is_running(void *handle) { return handle == NULL; }

int rkllm_destroy(void *handle);
int rkllm_destroy(void *handle) { return handle == &handle_target ? 0 : -1; }

/* ---- The daemon ---- */

static int connection;

static void put(const void *data, size_t size) {
    CHECK(write(connection, data, size) == (ssize_t)size);
}

static void get(void *data, size_t size) {
    for (size_t at = 0; at < size;) {
        ssize_t got = read(connection, (char *)data + at, size - at);
        CHECK(got > 0);
        at += (size_t)got;
    }
}

static void send_call(uint64_t number, const char *function, const struct frame_entry *arguments,
                      uint32_t n, const void *block, uint32_t size, uint32_t outputs) {
    struct frame_call call = {.userdata = 99, .n_arguments = n, .block_size = size,
                              .outputs = outputs, .rows = 1};
    strcpy(call.function, function);
    uint64_t body = sizeof call + n * sizeof *arguments + size;
    struct frame_header header = {FRAME_CALL, 0, number, body};
    put(&header, sizeof header);
    put(&call, sizeof call);
    put(arguments, n * sizeof *arguments);
    put(block, size);
}

static void send_signal(uint32_t kind, uint64_t number) {
    struct frame_header header = {kind, 0, number, 0};
    put(&header, sizeof header);
}

static struct frame_return get_return(uint64_t number, void *outputs, size_t size) {
    struct frame_header header;
    struct frame_return end;
    get(&header, sizeof header);
    CHECK(header.kind == FRAME_RETURN && header.number == number);
    CHECK(header.size == sizeof end + size);
    get(&end, sizeof end);
    get(outputs, size);
    return end;
}

static void get_callback(int32_t state, uint32_t rows, const char *text, uint64_t floats) {
    struct frame_header header;
    struct frame_callback callback;
    struct frame_row row;
    struct result result;
    char data[64] = "";
    get(&header, sizeof header);
    get(&callback, sizeof callback);
    CHECK(header.kind == FRAME_CALLBACK && callback.state == state && callback.rows == rows);
    CHECK(callback.userdata == 99);
    if (rows == 0) return;
    get(&row, sizeof row);
    get(&result, sizeof result);
    CHECK(row.text == (text ? strlen(text) : FRAME_NO_TEXT) && row.logits == 0);
    CHECK(row.hidden_states == floats * sizeof(float));
    get(data, (text ? row.text : 0) + row.hidden_states);
    CHECK(!text || strcmp(data, text) == 0);
}

static const struct frame_entry init_arguments[] = {
    {PLACE_HANDLE_ADDRESS, 0, 0}, {PLACE_BLOCK, 0, 0}, {PLACE_CALLBACK, 0, 0}};
static const struct frame_entry run_arguments[] = {
    {PLACE_HANDLE, 0, 0}, {PLACE_BLOCK, 0, 0}, {PLACE_VALUE, 0, 99}, {PLACE_BLOCK, 0, 16}};
static const struct frame_entry handle_only[] = {{PLACE_HANDLE, 0, 0}};

static void drive(void) {
    int block[6] = {42, 0}, outputs[2], nothing;
    send_call(1, "rkllm_init", init_arguments, 3, "nobody", 7, 7);
    struct frame_return end = get_return(1, &nothing, 0);
    CHECK(end.status == -1 && !end.has_handle);
    send_call(2, "rkllm_init", init_arguments, 3, "model", 6, 6);
    end = get_return(2, &nothing, 0);
    CHECK(end.status == 0 && end.has_handle);
    for (uint64_t i = 3; i < 40; i++) {
        send_call(i, "rkllm_run", run_arguments, 4, block, sizeof block, 16);
        get_callback(0, 1, "word", 0);
        get_callback(0, 1, NULL, 6);
        get_callback(2, 0, NULL, 0);
        end = get_return(i, outputs, sizeof outputs);
        CHECK(end.status == 42 && outputs[0] == 0 && outputs[1] == 2); /* continue, release */
    }
    block[1] = 1;
    send_call(40, "rkllm_run", run_arguments, 4, block, sizeof block, 16);
    send_signal(FRAME_PAUSE, 40);
    send_signal(FRAME_ABORT, 39);
    usleep(20000);
    send_signal(FRAME_ABORT, 40);
    end = get_return(40, outputs, sizeof outputs);
    CHECK(end.status == 7 || end.status == 0); /* 0: it was aborted before it had begun */
    send_call(41, "rkllm_destroy", handle_only, 1, "", 0, 0);
    end = get_return(41, &nothing, 0);
    CHECK(end.status == 0 && !end.has_handle);
}

int main(void) {
    const struct result_layout layout = {offsetof(struct result, text),
                                         offsetof(struct result, hidden),
                                         offsetof(struct result, width),
                                         0,
                                         0,
                                         sizeof(struct result),
                                         true,
                                         true};
    int ends[2], status;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    pid_t host = fork();
    CHECK(host >= 0);
    if (host == 0) {
        close(ends[0]);
        host_serve(ends[1], dlopen(NULL, RTLD_NOW), &layout);
    }
    close(ends[1]);
    connection = ends[0];
    drive();
    close(connection);
    CHECK(waitpid(host, &status, 0) == host && status == 0);
    return 0;
}
