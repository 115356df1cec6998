/* Streams of frames before the host's reader: receive_fuzz SEED COUNT. Cut into any pieces, with
 * descriptors beside them. What is whole arrives whole, with its descriptors in their order; what is
 * damaged is refused or never ends, and leads out of no memory.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "front/rng.h"
#include "host/connection.h"
#include "host/host.h"
#include "host/receive.h"

enum { FRAMES = 5, DESCRIPTORS = 12, ENTRIES = 4, BLOCK = 300, PIECE = 400 };
#define ALL (FRAMES * DESCRIPTORS)
enum { REFUSED = 3, WRONG = 4 };

struct stream {
    unsigned char data[FRAMES * 1024];
    size_t size, starts[FRAMES];
    uint32_t descriptors[FRAMES]; /* beside the first byte of a frame */
    int n;
    bool damaged, limited;
};

/* Shared with the process that reads. */
static struct {
    int frames, descriptors;
} *read_there;

void host_fail(const char *what, const char *why) {
    (void)what, (void)why;
    _exit(REFUSED);
}

static uint32_t below(struct rng *random, uint32_t n) {
    return (uint32_t)(rng_next(random) * n);
}

static void append(struct stream *stream, const void *data, size_t size) {
    memcpy(stream->data + stream->size, data, size);
    stream->size += size;
}

static void add_frame(struct rng *random, struct stream *stream) {
    static const unsigned char block[BLOCK];
    struct frame_call call = {.n_arguments = below(random, ENTRIES), .function = "rkllm_run"};
    struct frame_entry entries[ENTRIES] = {{PLACE_VALUE, 0, 0}};
    struct frame_header header = {FRAME_CALL, 0, (uint64_t)stream->n, 0};
    stream->starts[stream->n] = stream->size;
    if (below(random, 4) == 0) {
        header.kind = below(random, 2) ? FRAME_ABORT : FRAME_PAUSE;
        append(stream, &header, sizeof header);
    } else {
        call.n_descriptors = below(random, 2) ? below(random, DESCRIPTORS) : 0;
        call.block_size = below(random, BLOCK);
        header.size = sizeof call + call.n_arguments * sizeof *entries + call.block_size;
        append(stream, &header, sizeof header);
        append(stream, &call, sizeof call);
        append(stream, entries, call.n_arguments * sizeof *entries);
        append(stream, block, call.block_size);
        stream->descriptors[stream->n] = call.n_descriptors;
    }
    stream->n++;
}

/* All descriptors beside the first frame: they wait for the calls that they belong to. */
static void send_early(struct stream *stream) {
    for (int frame = 1; frame < stream->n; frame++) {
        stream->descriptors[0] += stream->descriptors[frame];
        stream->descriptors[frame] = 0;
    }
}

/* Bits changed, above all in a header; the end cut off; more or fewer descriptors than are named. */
static void damage(struct rng *random, struct stream *stream) {
    int frame = (int)below(random, (uint32_t)stream->n);
    size_t at = stream->starts[frame] + below(random, sizeof(struct frame_header) + 64);
    stream->damaged = true;
    switch (below(random, 4)) {
    case 0:
        stream->size = below(random, (uint32_t)stream->size);
        break;
    case 1:
        stream->descriptors[frame] = below(random, DESCRIPTORS);
        break;
    default: /* not the high bytes of a size: a gigabyte would only take time */
        if (at < stream->size && (at - stream->starts[frame]) / 2 != 9)
            stream->data[at] ^= (unsigned char)(1u << below(random, 8));
    }
}

/* The next descriptor, which is known by the size of its file. */
static int descriptor(int number) {
    int file = memfd_create("descriptor", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, number) != 0) exit(WRONG);
    return file;
}

static bool send_piece(int to, unsigned char *data, size_t size, const int *files, uint32_t n) {
    union {
        struct cmsghdr aligned;
        char room[CMSG_SPACE(ALL * sizeof(int))];
    } control = {.room = ""};
    struct iovec part = {data, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (n > 0) {
        message.msg_control = control.room;
        message.msg_controllen = CMSG_SPACE(n * sizeof(int));
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(head), files, n * sizeof(int));
    }
    return sendmsg(to, &message, MSG_NOSIGNAL) == (ssize_t)size;
}

/* Until the reader has refused something. */
static void send_stream(struct rng *random, struct stream *stream, int to) {
    int number = 0;
    for (int frame = 0; frame < stream->n; frame++) {
        size_t at = stream->starts[frame];
        size_t end = frame + 1 < stream->n ? stream->starts[frame + 1] : stream->size;
        if (end > stream->size) end = stream->size;
        uint32_t n = stream->descriptors[frame];
        int files[ALL];
        for (uint32_t i = 0; i < n; i++) files[i] = descriptor(number++);
        bool is_read = true;
        while (at < end && is_read) {
            size_t size = 1 + below(random, below(random, 4) ? PIECE : 3);
            if (size > end - at) size = end - at;
            is_read = send_piece(to, stream->data + at, size, files, n);
            at += size;
            for (uint32_t i = 0; i < n; i++) close(files[i]);
            n = 0;
        }
        for (uint32_t i = 0; i < n; i++) close(files[i]);
        if (!is_read) return;
    }
}

static void check_descriptors(const struct call *call) {
    for (uint32_t i = 0; i < call->parts.call->n_descriptors; i++) {
        struct stat about;
        int number = call->descriptors[i];
        if (fstat(number, &about) != 0 || about.st_size != read_there->descriptors++ ||
            !(fcntl(number, F_GETFD) & FD_CLOEXEC))
            _exit(WRONG);
    }
}

static _Noreturn void read_stream(const struct stream *stream, int from) {
    if (stream->limited) { /* the kernel leaves out what has no room */
        struct rlimit few = {8, 8};
        setrlimit(RLIMIT_NOFILE, &few);
    }
    for (;;) {
        struct frame_header header;
        struct call *call = receive_frame(from, &header);
        if (call && call->lacks_descriptors) _exit(stream->limited ? REFUSED : WRONG);
        if (call && !stream->damaged) check_descriptors(call);
        read_there->frames++;
    }
}

/* Returns whether the stream was read to its end. */
static bool pass(struct rng *random, struct stream *stream, long seed) {
    int pair[2], status;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) exit(WRONG);
    memset(read_there, 0, sizeof *read_there);
    fflush(NULL);
    pid_t reader = fork();
    if (reader < 0) exit(WRONG);
    if (reader == 0) {
        close(pair[0]);
        read_stream(stream, pair[1]);
    }
    close(pair[1]);
    send_stream(random, stream, pair[0]);
    close(pair[0]);
    waitpid(reader, &status, 0);
    bool is_refused = WIFEXITED(status) && WEXITSTATUS(status) == REFUSED;
    bool has_ended = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    bool is_whole = has_ended && read_there->frames == stream->n;
    if ((!is_refused && !has_ended) || (!stream->damaged && !stream->limited && !is_whole)) {
        fprintf(stderr, "stream %ld: status %d, %d of %d frames read, damaged: %d\n", seed, status,
                read_there->frames, stream->n, stream->damaged);
        exit(1);
    }
    return has_ended;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    long seed = atol(argv[1]), count = atol(argv[2]), read_whole = 0;
    read_there = mmap(NULL, sizeof *read_there, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                      -1, 0);
    if (read_there == MAP_FAILED) return WRONG;
    for (long i = 0; i < count; i++) {
        static struct stream stream;
        struct rng random;
        rng_seed(&random, (uint64_t)(seed + i));
        memset(&stream, 0, sizeof stream);
        for (uint32_t n = 1 + below(&random, FRAMES); n > 0; n--) add_frame(&random, &stream);
        if (below(&random, 4) == 0) send_early(&stream);
        stream.limited = below(&random, 8) == 0;
        if (below(&random, 2)) damage(&random, &stream);
        read_whole += pass(&random, &stream, seed + i);
    }
    printf("%ld streams, %ld read to their end\n", count, read_whole);
    return read_whole > 0 && read_whole < count ? 0 : 1;
}
