/* The limit of a daemon in C: what is left if nothing but the way of a token is done.
 *
 * usage: relay SOCKET
 *
 * Two processes, as the daemon has: one has the clients, the other the library. It answers rkllm.init
 * and rkllm.run_async, one client's at a time, and says yes to all else; each request must be one of
 * the benchmarks' own, with the id 1. It checks, counts, queues and logs nothing.
 */
#define _GNU_SOURCE
#include <err.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "frames.h"
#include "listen.h"
#include "rkllm_cpu.h"

#define MOST_CLIENTS 256
#define REQUEST_BYTES (1 << 16)
#define MESSAGE_BYTES (1 << 12)

/* Send all; false if the peer has gone. */
static bool send_all(int fd, const char *data, size_t size) {
    for (size_t at = 0; at < size;) {
        ssize_t sent = send(fd, data + at, size - at, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += (size_t)sent;
    }
    return true;
}

static bool answer(int fd, enum framing framing, const char *result, size_t size) {
    char payload[MESSAGE_BYTES], message[MESSAGE_BYTES + FRAME_ROOM];
    int length = snprintf(payload, sizeof payload, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":%.*s}",
                          (int)size, result);
    if (length < 0 || (size_t)length >= sizeof payload)
        errx(1, "a result is too long");
    return send_all(fd, message, frame_put(framing, message, payload, (size_t)length));
}

/* The text of a member of a request, which has no escapes. */
static const char *member(const char *request, const char *name, char *out, size_t room) {
    const char *at = strstr(request, name);
    const char *begin = at == NULL ? NULL : strchr(at + strlen(name), '"');
    const char *end = begin == NULL ? NULL : strchr(begin + 1, '"');
    if (end == NULL || (size_t)(end - begin) > room)
        errx(1, "a request has no %s", name);
    snprintf(out, room, "%.*s", (int)(end - begin - 1), begin + 1);
    return out;
}

/* ---- The process that has the library; it ends when the other one has gone ----------------- */

struct asker {
    int fd;
    enum framing framing;
};

static int on_result(RKLLMResult *result, void *userdata, LLMCallState state) {
    const struct asker *asker = userdata;
    char json[MESSAGE_BYTES];
    int size = snprintf(
        json, sizeof json,
        "{\"text\":\"%s\",\"token_id\":%d,"
        "\"last_hidden_layer\":{\"hidden_states\":null,\"embd_size\":0,\"num_tokens\":0},"
        "\"logits\":{\"logits\":null,\"vocab_size\":0,\"num_tokens\":0},"
        "\"perf\":{\"prefill_time_ms\":%.6g,\"prefill_tokens\":%d,\"generate_time_ms\":%.6g,"
        "\"generate_tokens\":%d,\"memory_usage_mb\":%.6g},\"_callback_state\":%d}",
        result->text == NULL ? "" : result->text, result->token_id,
        (double)result->perf.prefill_time_ms, result->perf.prefill_tokens,
        (double)result->perf.generate_time_ms, result->perf.generate_tokens,
        (double)result->perf.memory_usage_mb, (int)state);
    if (size < 0 || (size_t)size >= sizeof json)
        errx(1, "a token is too long");
    if (!answer(asker->fd, asker->framing, json, (size_t)size))
        exit(0);
    return 0;
}

static LLMHandle load(const char *request) {
    static char path[REQUEST_BYTES];
    LLMHandle handle = NULL;
    RKLLMParam param = rkllm_createDefaultParam();
    RKLLMCallback callback = {.result_callback = on_result};
    param.model_path = member(request, "\"model_path\":", path, sizeof path);
    param.max_new_tokens = -1;
    if (rkllm_init(&handle, &param, &callback) != 0)
        errx(1, "rkllm_init refused %s", path);
    return handle;
}

static void serve_library(int fd) {
    static char request[REQUEST_BYTES], prompt[REQUEST_BYTES];
    LLMHandle handle = NULL;
    for (;;) {
        ssize_t size = recv(fd, request, sizeof request - 1, 0);
        if (size <= 0)
            exit(0);
        request[size] = '\0';
        struct asker asker = {fd, request[0] == '{' ? LINES : NETSTRINGS};
        if (strstr(request, "\"rkllm.init\"") != NULL) {
            if (handle != NULL)
                rkllm_destroy(handle);
            handle = load(request);
            if (!answer(fd, asker.framing, "true", 4))
                exit(0);
        } else {
            RKLLMInput input = {.input_type = RKLLM_INPUT_PROMPT};
            RKLLMInferParam infer = {.mode = RKLLM_INFER_GENERATE};
            input.prompt_input = member(request, "\"prompt_input\":", prompt, sizeof prompt);
            if (rkllm_run(handle, &input, &infer, &asker) != 0)
                errx(1, "rkllm_run refused %s", prompt);
        }
    }
}

/* Start that process; returns the socket to it. */
static int start(void) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
        err(1, "socketpair");
    pid_t child = fork();
    if (child < 0)
        err(1, "fork");
    if (child == 0) {
        close(pair[0]);
        serve_library(pair[1]);
    }
    close(pair[1]);
    return pair[0];
}

/* ---- The process that has the clients ----------------------------------------------------- */

static char data[REQUEST_BYTES];

/* Pass on what the library's process says, if the client is still there. If that process has ended,
 * start another.
 */
static void from_library(int *library, int *asker) {
    ssize_t size = recv(*library, data, sizeof data, 0);
    if (size > 0) {
        if (*asker >= 0 && !send_all(*asker, data, (size_t)size))
            *asker = -1;
        return;
    }
    close(*library);
    wait(NULL);
    *library = start();
}

/* Returns whether the client is still there. */
static bool from_client(int client, int library, int *asker) {
    ssize_t size = recv(client, data, sizeof data - 1, 0);
    if (size <= 0)
        return false;
    data[size] = '\0';
    if (strstr(data, "\"rkllm.init\"") != NULL || strstr(data, "\"rkllm.run_async\"") != NULL) {
        *asker = client;
        send_all(library, data, (size_t)size); /* if it has gone, the next turn starts another */
        return true;
    }
    return answer(client, data[0] == '{' ? LINES : NETSTRINGS, "true", 4);
}

int main(int argc, char **argv) {
    if (argc != 2)
        errx(2, "usage: relay SOCKET");
    int asker = -1;
    struct pollfd fds[2 + MOST_CLIENTS] = {{.fd = start()}, {.fd = listen_on(argv[1])}};
    nfds_t count = 2;
    for (nfds_t i = 0; i < 2 + MOST_CLIENTS; i++)
        fds[i].events = POLLIN;
    for (;;) {
        if (poll(fds, count, -1) < 0)
            err(1, "poll");
        if (fds[0].revents != 0)
            from_library(&fds[0].fd, &asker);
        for (nfds_t i = 2; i < count;) {
            if (fds[i].revents != 0 && !from_client(fds[i].fd, fds[0].fd, &asker)) {
                if (fds[i].fd == asker)
                    asker = -1;
                close(fds[i].fd);
                fds[i] = fds[--count];
            } else {
                i++;
            }
        }
        if (fds[1].revents != 0 && count < 2 + MOST_CLIENTS) {
            int client = accept(fds[1].fd, NULL, NULL);
            if (client >= 0)
                fds[count++] = (struct pollfd){.fd = client, .events = POLLIN};
        }
    }
}
