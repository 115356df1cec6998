#include "receive.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "connection.h"
#include "host.h"

/* Descriptors that no call has taken yet. */
static int arrived[FRAME_MAX_DESCRIPTORS];
static size_t n_arrived;
static bool is_truncated; /* the kernel has left out some of those of the next call */

static void take_descriptors(struct msghdr *message) {
    if (message->msg_flags & MSG_CTRUNC) is_truncated = true;
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
        size_t got = connection_receive(connection, &message);
        take_descriptors(&message);
        at += got;
    }
}

static struct call *read_call(int connection, const struct frame_header *header) {
    struct call *call = calloc(1, sizeof *call);
    unsigned char *body = malloc(header->size ? (size_t)header->size : 1);
    if (!call || !body) host_fail("rkllm-host", "no memory is left for a call");
    read_all(connection, body, (size_t)header->size);
    call->number = header->number;
    call->body = body;
    if (!frame_divide(body, (size_t)header->size, &call->parts))
        host_fail("rkllm-host", "a call is damaged");
    size_t taken = call->parts.call->n_descriptors;
    memset(call->descriptors, -1, sizeof call->descriptors);
    if (taken > n_arrived) {
        if (!is_truncated) host_fail("rkllm-host", "a call is damaged");
        call->lacks_descriptors = true;
        return call;
    }
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
