/* A load generator: many connections to a UNIX socket, each with so many requests under way.
 *
 * usage: load [options] SOCKET < PAYLOAD
 *   --framing NAME     netstrings, lines, headers (as in the Language Server Protocol), http
 *   --connections N    how many                                           [1]
 *   --depth N          requests under way on each                         [1]
 *   --seconds S        how long is measured; before it a fifth of that to warm up, and until every
 *                      connection has had an answer; and until there is one for each request that
 *                      can be under way                                   [1]
 *   --rate R           so many requests a second in all, whether answered or not; else, each answer
 *                      is followed by the next request
 *   --connect          each request on a connection of its own, one after another: set-up times
 *   --expect TEXT      what the first answer must hold
 *   --first REQUEST    what each connection asks before, once; that answer is not measured
 *
 * In the payload, which is read from stdin, ### is replaced by a number that differs between the
 * requests under way on a connection. Prints one line of JSON: answers, answers per second, and from
 * the sending of a request to the reading of its answer the 50th and 99th percentile and the longest, in
 * microseconds.
 * An answer that holds "error" ends the program: what is refused quickly is not fast.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "connect.h"
#include "frames.h"
#include "samples.h"

#define MOST_IDS 900 /* numbers from 100 to 999: all of one length */
#define MEMORY (1 << 22)
#define PATIENCE 30.0 /* seconds until every connection must have had an answer */

struct connection {
    int fd;
    int next;         /* the message that is sent next */
    size_t sent;      /* bytes of it that are sent */
    int under_way;
    int due;          /* requests that are to be sent */
    char *data;       /* what was read and is no whole answer */
    size_t size, room;
    bool heard;       /* has it had an answer? */
    uint32_t events;  /* that it waits for */
    double *began;    /* when the requests under way were sent: a ring */
    int head;
};

static struct {
    enum framing framing;
    int connections, depth;
    double seconds, rate;
    bool connect;
    const char *expect, *first, *path;
} options = {NETSTRINGS, 1, 1, 1, 0, false, NULL, NULL, NULL};

static char *messages;   /* framed messages, one after another */
static int ids = MOST_IDS; /* so many of them */
static size_t each;      /* bytes of one */
static int poller = -1;
static int heard;     /* connections that have had an answer */
static bool measuring, seen;
static double client_share; /* of one processor, while it was measured */

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Seconds of a processor that this program has used. */
static double processor(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* Frame the payload once for each id. */
static void make_messages(void) {
    size_t size = 0, room = 1 << 16;
    char *payload = malloc(room);
    for (size_t got; (got = fread(payload + size, 1, room - size, stdin)) > 0;)
        if ((size += got) == room && (payload = realloc(payload, room *= 2)) == NULL)
            err(1, "memory");
    char *mark = memmem(payload, size, "###", 3);
    while (ids > options.depth + 1 && size * (size_t)ids > MEMORY)
        ids--;
    messages = malloc((size + FRAME_ROOM) * (size_t)ids);
    if (messages == NULL)
        err(1, "memory");
    for (int id = 0; id < ids; id++) {
        char digits[16];
        snprintf(digits, sizeof digits, "%d", 100 + id);
        if (mark != NULL)
            memcpy(mark, digits, 3);
        each = frame_put(options.framing, messages + (size_t)id * each, payload, size);
    }
    free(payload);
}

static void begin(struct connection *link, int ring) {
    *link = (struct connection){.fd = connected(options.path), .room = 1 << 16};
    link->data = malloc(link->room);
    link->began = malloc(sizeof *link->began * (size_t)ring);
    if (link->data == NULL || link->began == NULL)
        err(1, "memory");
    if (options.first != NULL)
        settle(link->fd, options.framing, options.first);
}

/* Note an answer. It is looked at only when the time is taken: that may be a long one. */
static void answered(struct connection *link, int ring, const char *payload, size_t size) {
    if (measuring)
        sample(1e6 * (now() - link->began[link->head]));
    if (memmem(payload, size, "\"error\"", 7) != NULL)
        errx(3, "an error: %.*s", (int)(size < 300 ? size : 300), payload);
    if (!seen && options.expect != NULL && memmem(payload, size, options.expect, strlen(options.expect)) == NULL)
        errx(3, "not what is expected: %.*s", (int)(size < 300 ? size : 300), payload);
    seen = true;
    link->head = (link->head + 1) % ring;
    link->under_way--;
    heard += !link->heard;
    link->heard = true;
}

/* Read what there is; the number of answers. */
static int take(struct connection *link, int ring) {
    if (link->room - link->size < 1 << 15 && (link->data = realloc(link->data, link->room *= 2)) == NULL)
        err(1, "memory");
    ssize_t got = recv(link->fd, link->data + link->size, link->room - link->size, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (got <= 0)
        errx(3, "the server closed a connection: %s", got ? strerror(errno) : "no error");
    link->size += (size_t)got;
    int count = 0;
    size_t at = 0;
    for (struct frame frame; at < link->size; at += frame.whole, count++) {
        frame = frame_at(options.framing, link->data + at, link->size - at);
        if (frame.whole == 0)
            break;
        answered(link, ring, link->data + at + frame.begin, frame.end - frame.begin);
    }
    link->size -= at;
    memmove(link->data, link->data + at, link->size);
    return count;
}

/* Wait for these events. */
static void watch(struct connection *link, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = link};
    if (link->events == events || poller < 0)
        return;
    if (epoll_ctl(poller, link->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, link->fd, &event))
        err(1, "epoll_ctl");
    link->events = events;
}

/* Send as much of what is due as the socket takes, in as few calls as possible. */
static void give(struct connection *link, int ring) {
    while (link->due > 0) {
        int many = link->due < ids - link->next ? link->due : ids - link->next;
        size_t size = each * (size_t)many - link->sent;
        const char *from = messages + each * (size_t)link->next + link->sent;
        double began = now(); /* before it can be answered */
        ssize_t got = send(link->fd, from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN) {
            watch(link, EPOLLIN | EPOLLOUT);
            return;
        }
        if (got < 0)
            err(3, "send");
        size_t done = link->sent + (size_t)got;
        int whole = (int)(done / each);
        link->sent = done % each;
        for (int i = 0; i < whole; i++, link->under_way++)
            link->began[(link->head + link->under_way) % ring] = began;
        link->due -= whole;
        link->next = (link->next + whole) % ids;
    }
    watch(link, EPOLLIN);
}

static void tell(double seconds) {
    if (sampled() == 0)
        errx(3, "no answer came");
    printf("{\"answers\": %ld, \"per_second\": %.1f, \"client_cpu\": %.3f, ", sampled(),
           (double)sampled() / seconds, client_share);
    print_samples();
    puts("}");
}

/* The load of all connections, for as long as is asked. */
static double run(void) {
    int ring = options.rate > 0 ? 1 << 12 : options.depth + 1;
    struct connection *links = calloc((size_t)options.connections, sizeof *links);
    poller = epoll_create1(0);
    for (int i = 0; i < options.connections; i++) {
        begin(&links[i], ring);
        links[i].due = options.rate > 0 ? 0 : options.depth;
        give(&links[i], ring);
    }
    double start = now() + options.seconds / 5, due = now(), processor_before = 0, time;
    struct epoll_event events[256];
    int turn = 0;
    long least = options.rate > 0 ? 1 : (long)options.connections * options.depth;
    while ((time = now()) < start + options.seconds || !measuring || sampled() < least) {
        if (!measuring && time >= start && heard == options.connections) {
            measuring = true;
            start = time;
            processor_before = processor();
        } else if (time >= start + options.seconds + PATIENCE)
            errx(3, "after %g s %d of %d connections have had an answer", PATIENCE, heard,
                 options.connections);
        for (; options.rate > 0 && due <= time; due += 1 / options.rate) {
            struct connection *link = &links[turn++ % options.connections];
            link->due += link->under_way + link->due < ring - 1;
            give(link, ring);
        }
        int count = epoll_wait(poller, events, 256, options.rate > 0 ? 1 : 100);
        for (int i = 0; i < count; i++) {
            struct connection *link = events[i].data.ptr;
            int more = events[i].events & ~(uint32_t)EPOLLOUT ? take(link, ring) : 0;
            if (options.rate == 0)
                link->due += more;
            give(link, ring);
        }
    }
    double seconds = now() - start;
    client_share = (processor() - processor_before) / seconds;
    return seconds;
}

/* Connect, ask, read, close; one after another. */
static double run_connecting(void) {
    double start = now(), time;
    measuring = true;
    while ((time = now()) < start + options.seconds) {
        struct connection link;
        begin(&link, 2);
        link.due = 1;
        give(&link, 2);
        link.began[link.head] = time;
        while (take(&link, 2) == 0)
            ;
        close(link.fd);
        free(link.data);
        free(link.began);
    }
    return now() - start;
}

static void read_options(int argc, char **argv) {
    static const struct option known[] = {
        {"framing", required_argument, NULL, 'f'},     {"connections", required_argument, NULL, 'c'},
        {"depth", required_argument, NULL, 'd'},       {"seconds", required_argument, NULL, 's'},
        {"rate", required_argument, NULL, 'r'},        {"connect", no_argument, NULL, 'n'},
        {"expect", required_argument, NULL, 'e'},      {"first", required_argument, NULL, '1'},
        {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case 'f': options.framing = framing_named(optarg); break;
        case 'c': options.connections = atoi(optarg); break;
        case 'd': options.depth = atoi(optarg); break;
        case 's': options.seconds = atof(optarg); break;
        case 'r': options.rate = atof(optarg); break;
        case 'n': options.connect = true; break;
        case 'e': options.expect = optarg; break;
        case '1': options.first = optarg; break;
        default: errx(2, "see the head of load.c");
        }
    }
    if (optind != argc - 1 || options.connections < 1 || options.depth < 1 || options.depth >= MOST_IDS)
        errx(2, "see the head of load.c");
    options.path = argv[optind];
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    make_messages();
    struct rlimit files = {0, 0};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    tell(options.connect ? run_connecting() : run());
    return 0;
}
