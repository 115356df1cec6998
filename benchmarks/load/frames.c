#define _GNU_SOURCE
#include "frames.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const NAMES[] = {"netstrings", "lines", "headers", "http"};

enum framing framing_named(const char *name) {
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (strcmp(NAMES[i], name) == 0)
            return (enum framing)i;
    errx(2, "there is no framing %s", name);
}

static struct frame netstring_at(const char *data, size_t size) {
    const struct frame incomplete = {0, 0, 0};
    size_t length = 0, at = 0;
    while (at < size && data[at] >= '0' && data[at] <= '9')
        length = 10 * length + (size_t)(data[at++] - '0');
    if (at == size)
        return incomplete;
    if (at == 0 || data[at] != ':')
        errx(3, "an answer is no netstring: %.*s", (int)(size < 200 ? size : 200), data);
    size_t begin = at + 1, end = begin + length;
    return end < size ? (struct frame){begin, end, end + 1} : incomplete;
}

static struct frame line_at(const char *data, size_t size) {
    const char *newline = memchr(data, '\n', size);
    if (newline == NULL)
        return (struct frame){0, 0, 0};
    size_t end = (size_t)(newline - data);
    return (struct frame){0, end, end + 1};
}

static size_t content_length(const char *data, size_t size) {
    static const char name[] = "content-length:";
    for (const char *at = data; at != NULL && at < data + size;) {
        if (strncasecmp(at, name, sizeof name - 1) == 0)
            return strtoul(at + sizeof name - 1, NULL, 10);
        at = memchr(at, '\n', size - (size_t)(at - data));
        at = at == NULL ? NULL : at + 1;
    }
    errx(3, "an answer has no Content-Length: %.*s", (int)size, data);
}

static struct frame headed_at(const char *data, size_t size) {
    const struct frame incomplete = {0, 0, 0};
    const char *blank = memmem(data, size, "\r\n\r\n", 4);
    if (blank == NULL)
        return incomplete;
    size_t begin = (size_t)(blank - data) + 4;
    size_t end = begin + content_length(data, begin);
    return end <= size ? (struct frame){begin, end, end} : incomplete;
}

struct frame frame_at(enum framing framing, const char *data, size_t size) {
    switch (framing) {
    case NETSTRINGS:
        return netstring_at(data, size);
    case LINES:
        return line_at(data, size);
    case HEADERS:
    case HTTP:
        break;
    }
    return headed_at(data, size);
}

size_t frame_put(enum framing framing, char *out, const char *payload, size_t size) {
    int head = 0;
    switch (framing) {
    case NETSTRINGS:
        head = sprintf(out, "%zu:", size);
        break;
    case LINES:
        break;
    case HEADERS:
        head = sprintf(out, "Content-Length: %zu\r\n\r\n", size);
        break;
    case HTTP:
        head = sprintf(out,
                       "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\n\r\n",
                       size);
        break;
    }
    memcpy(out + head, payload, size);
    size_t whole = (size_t)head + size;
    if (framing == NETSTRINGS)
        out[whole++] = ',';
    if (framing == LINES)
        out[whole++] = '\n';
    return whole;
}
