/* Clients of OpenAI's API: each sends the same request, reads its answer, and sends it again.
 *
 * usage: http [options] PORT < BODY
 *   --connections N    how many clients                                   [1]
 *   --requests N       requests of each, one after another                [1]
 *   --addresses N      the clients come from so many addresses: 127.0.0.1, 127.0.0.2 …    [1]
 *   --ages             the tokens' texts are times: sample how old they are when they are read
 *
 * The server listens on 127.0.0.1. Prints one line of JSON: tokens, and how many of them per second from
 * the first to the last; requests, and how many per second from the first's sending to the last's end;
 * then the samples in microseconds: the requests' durations, or the tokens' ages.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "samples.h"

#define ROOM (1 << 20)    /* bytes of an answer's part that is not read yet */
#define PATIENCE_MS 30000 /* until the next answer or token */

struct client {
    int fd;
    int left; /* requests */
    double began;
    char *data;
    size_t size;
    bool in_body, is_chunked;
    size_t length; /* of the body, if it does not come in chunks */
};

static struct {
    int connections, requests, addresses;
    bool ages;
    char *message;
    size_t size;
} options = {.connections = 1, .requests = 1, .addresses = 1};
static long tokens, answers;
static double first, last, begun;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static int connected(int number, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(number % options.addresses));
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address))
        err(1, "bind");
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)port);
    if (connect(fd, (struct sockaddr *)&address, sizeof address))
        err(1, "port %d", port);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void ask(struct client *client) {
    client->in_body = false;
    client->began = now();
    if (send(client->fd, options.message, options.size, MSG_NOSIGNAL) != (ssize_t)options.size)
        err(1, "send");
}

static void read_request(void) {
    static const char head[] = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                               "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n";
    static char body[1 << 16];
    size_t size = fread(body, 1, sizeof body, stdin);
    options.message = malloc(size + sizeof head + 20);
    int before = sprintf(options.message, head, size);
    memcpy(options.message + before, body, size);
    options.size = (size_t)before + size;
}

/* Count the tokens in a part of an answer. */
static void note(const char *data, size_t size) {
    static const char text[] = "\"content\":";
    const char *at = data, *end = data + size;
    if (memmem(data, size, "\"error\"", 7) != NULL)
        errx(3, "an error: %.*s", (int)(size < 300 ? size : 300), data);
    while ((at = memmem(at, (size_t)(end - at), text, sizeof text - 1)) != NULL) {
        at += sizeof text - 1;
        at += at < end && *at == ' ';
        if (end - at < 2 || *at != '"' || at[1] == '"')
            continue; /* null, or the empty text of the first chunk */
        last = now();
        if (tokens++ == 0)
            first = last;
        if (options.ages)
            sample(last - strtod(at + 1, NULL));
    }
}

/* Read the head of an answer; returns its bytes, 0 if it is not complete. */
static size_t read_head(struct client *client) {
    char *end = memmem(client->data, client->size, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    *end = '\0';
    if (strncmp(client->data, "HTTP/1.1 200", 12) != 0)
        errx(3, "the answer is %s%.*s", client->data, (int)(client->data + client->size - end - 4), end + 4);
    const char *length = strcasestr(client->data, "\ncontent-length:");
    client->is_chunked = strcasestr(client->data, "\ntransfer-encoding: chunked") != NULL;
    client->length = length == NULL ? 0 : strtoul(length + 16, NULL, 10);
    client->in_body = true;
    return (size_t)(end + 4 - client->data);
}

/* Read a part of an answer's body; returns its bytes, 0 if it is not complete. */
static size_t read_part(struct client *client, const char *data, size_t size, bool *is_last) {
    size_t before = 0, length = client->length, after = 0;
    if (client->is_chunked) {
        const char *line = memmem(data, size, "\r\n", 2);
        if (line == NULL)
            return 0;
        before = (size_t)(line + 2 - data);
        length = strtoul(data, NULL, 16);
        after = 2;
    }
    if (size < before + length + after)
        return 0;
    *is_last = !client->is_chunked || length == 0;
    note(data + before, length);
    return before + length + after;
}

/* Handle what was read; true once the client has had all its answers. */
static bool handle(struct client *client) {
    size_t at = 0, done;
    bool is_last = false;
    do {
        done = client->in_body ? read_part(client, client->data + at, client->size - at, &is_last)
                               : read_head(client);
        at += done;
        if (!is_last)
            continue;
        answers++;
        if (!options.ages)
            sample(now() - client->began);
        if (--client->left == 0)
            return true;
        ask(client);
        is_last = false;
    } while (done != 0 && at < client->size);
    client->size -= at;
    memmove(client->data, client->data + at, client->size);
    return false;
}

static void read_all(int epoll, int open) {
    struct epoll_event events[256];
    while (open > 0) {
        int count = epoll_wait(epoll, events, 256, PATIENCE_MS);
        if (count <= 0)
            errx(3, "%d clients wait for an answer", open);
        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;
            ssize_t got = recv(client->fd, client->data + client->size, ROOM - client->size, 0);
            if (got <= 0)
                errx(3, "the server closed a connection");
            client->size += (size_t)got;
            if (!handle(client))
                continue;
            epoll_ctl(epoll, EPOLL_CTL_DEL, client->fd, NULL);
            close(client->fd);
            open--;
        }
    }
}

static int read_options(int argc, char **argv) {
    static const struct option known[] = {{"connections", required_argument, NULL, 'c'},
                                          {"requests", required_argument, NULL, 'r'},
                                          {"addresses", required_argument, NULL, 'd'},
                                          {"ages", no_argument, NULL, 'a'},
                                          {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (option == 'c')
            options.connections = atoi(optarg);
        else if (option == 'r')
            options.requests = atoi(optarg);
        else if (option == 'd')
            options.addresses = atoi(optarg);
        else if (option == 'a')
            options.ages = true;
        else
            errx(2, "see the head of http.c");
    }
    if (optind != argc - 1)
        errx(2, "see the head of http.c");
    return atoi(argv[optind]);
}

int main(int argc, char **argv) {
    int port = read_options(argc, argv), epoll = epoll_create1(0);
    struct client *clients = calloc((size_t)options.connections, sizeof *clients);
    read_request();
    for (int i = 0; i < options.connections; i++) {
        struct client *client = &clients[i];
        client->fd = connected(i, port);
        client->left = options.requests;
        client->data = malloc(ROOM);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &event))
            err(1, "epoll");
    }
    begun = now();
    for (int i = 0; i < options.connections; i++)
        ask(&clients[i]);
    read_all(epoll, options.connections);
    printf("{\"tokens\": %ld, \"tokens_per_second\": %.1f, \"requests\": %ld, \"requests_per_second\": %.1f, ",
           tokens, last > first ? (double)(tokens - 1) / (last - first) * 1e6 : 0.0, answers,
           (double)answers / (now() - begun) * 1e6);
    print_samples();
    puts("}");
    return 0;
}
