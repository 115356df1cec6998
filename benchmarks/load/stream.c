/* The reader of a stream: sends one request and counts what comes until the stream ends.
 *
 * usage: stream [--framing NAME] SOCKET < PAYLOAD
 *
 * The stream ends with the answer that holds "_callback_state":2. Where the tokens' texts are times
 * (the scripted engine's `clock`), it tells how old they were when they were read. Prints one line of
 * JSON: tokens, tokens per second from the first to the last, and the tokens' ages: median, 99th
 * percentile and the highest, in microseconds.
 */
#define _GNU_SOURCE
#include <err.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "connect.h"
#include "frames.h"
#include "samples.h"

static double first, last;

/* In microseconds, as the scripted engine tells it. */
static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static void ask(enum framing framing, int fd) {
    static char payload[1 << 16], message[(1 << 16) + FRAME_ROOM];
    size_t size = fread(payload, 1, sizeof payload, stdin);
    size = frame_put(framing, message, payload, size);
    if (send(fd, message, size, MSG_NOSIGNAL) != (ssize_t)size)
        err(1, "send");
}

/* Note one message; is it the last? */
static bool note(const char *payload, size_t size) {
    static const char text[] = "\"text\":\"";
    if (memmem(payload, size, "\"error\"", 7) != NULL)
        errx(3, "an error: %.*s", (int)(size < 300 ? size : 300), payload);
    if (memmem(payload, size, "\"_callback_state\":2", 19) != NULL)
        return true;
    const char *found = memmem(payload, size, text, sizeof text - 1);
    last = now();
    if (sampled() == 0)
        first = last;
    sample(found == NULL ? 0 : last - strtod(found + sizeof text - 1, NULL));
    return false;
}

static void read_all(enum framing framing, int fd) {
    size_t size = 0, most = 1 << 20;
    char *data = malloc(most);
    for (;;) {
        ssize_t got = recv(fd, data + size, most - size, 0);
        if (got <= 0)
            errx(3, "the server closed the connection");
        size += (size_t)got;
        size_t at = 0;
        for (struct frame frame; at < size; at += frame.whole) {
            frame = frame_at(framing, data + at, size - at);
            if (frame.whole == 0)
                break;
            if (note(data + at + frame.begin, frame.end - frame.begin)) {
                free(data);
                return;
            }
        }
        size -= at;
        memmove(data, data + at, size);
        if (most - size < 1 << 16 && (data = realloc(data, most *= 2)) == NULL)
            err(1, "memory");
    }
}

int main(int argc, char **argv) {
    static const struct option known[] = {{"framing", required_argument, NULL, 'f'}, {NULL, 0, NULL, 0}};
    enum framing framing = NETSTRINGS;
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (option != 'f')
            errx(2, "see the head of stream.c");
        framing = framing_named(optarg);
    }
    if (optind != argc - 1)
        errx(2, "see the head of stream.c");
    int fd = connected(argv[optind]);
    ask(framing, fd);
    read_all(framing, fd);
    if (sampled() < 2)
        errx(3, "the stream has %ld tokens", sampled());
    printf("{\"tokens\": %ld, \"per_second\": %.1f, ", sampled(),
           (double)(sampled() - 1) / (last - first) * 1e6);
    print_samples();
    puts("}");
    return 0;
}
