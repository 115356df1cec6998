#include "receive.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host.h"

/* Descriptors that no call has taken yet. */
static int arrived[FRAME_MAX_DESCRIPTORS];
static size_t n_arrived;

static void take_descriptors(struct msghdr *message) {
    for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head; head = CMSG_NXTHDR(message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
        size_t n = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int descriptor;
            memcpy(&descriptor, CMSG_DATA(head) + i * sizeof descriptor, sizeof descriptor);
            if (n_arrived == FRAME_MAX_DESCRIPTORS) host_fail("rkllm-host", "too many descriptors");
            arrived[n_arrived++] = descriptor;
        }
    }
}

static void read_all(int connection, void *buffer, size_t size) {
    union {
        struct cmsghdr aligned;
        char room[CMSG_SPACE(FRAME_MAX_DESCRIPTORS * sizeof(int))];
    } control;
    for (size_t at = 0; at < size;) {
        struct iovec part = {(char *)buffer + at, size - at};
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = control.room,
                                 .msg_controllen = sizeof control.room};
        ssize_t got = recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) _exit(0); /* the daemon has ended, or wants this process to end */
        take_descriptors(&message);
        at += (size_t)got;
    }
}

static struct call *read_call(int connection, const struct frame_header *header) {
    struct call *call = calloc(1, sizeof *call);
    unsigned char *body = malloc(header->size ? (size_t)header->size : 1);
    if (!call || !body) host_fail("rkllm-host", "no memory is left for a call");
    read_all(connection, body, (size_t)header->size);
    call->number = header->number;
    call->body = body;
    if (!frame_divide(body, (size_t)header->size, &call->parts) ||
        call->parts.call->n_descriptors > n_arrived)
        host_fail("rkllm-host", "a call is damaged");
    size_t taken = call->parts.call->n_descriptors;
    memcpy(call->descriptors, arrived, taken * sizeof *arrived);
    n_arrived -= taken;
    memmove(arrived, arrived + taken, n_arrived * sizeof *arrived);
    return call;
}

struct call *receive_frame(int connection, struct frame_header *header) {
    read_all(connection, header, sizeof *header);
    bool is_signal = header->kind == FRAME_ABORT || header->kind == FRAME_PAUSE;
    if (header->zero || header->size > FRAME_MAX_BODY || (is_signal && header->size) ||
        (!is_signal && header->kind != FRAME_CALL))
        host_fail("rkllm-host", "a frame is damaged");
    return is_signal ? NULL : read_call(connection, header);
}
