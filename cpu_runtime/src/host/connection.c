#include "connection.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host.h"

/* Until the kernel may have memory again; poll(2) does not wait for that. */
enum { MEMORY_RETRY_NS = 1000000 };

static pthread_mutex_t sending = PTHREAD_MUTEX_INITIALIZER;
static bool has_ended; /* guarded by it */

/* Waits until an operation that has failed may succeed. False if the connection has ended.
 *
 * EAGAIN: the library has made the descriptor non-blocking; it may be shared with a child of its own.
 */
static bool can_retry(int connection, short event, int error) {
    struct pollfd one = {.fd = connection, .events = event};
    const struct timespec pause = {.tv_nsec = MEMORY_RETRY_NS};
    switch (error) {
    case EINTR:
        return true;
    case EAGAIN:
        poll(&one, 1, -1);
        return true;
    case ENOBUFS:
    case ENOMEM:
        nanosleep(&pause, NULL);
        return true;
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
        return false;
    case EFAULT:
        host_fail("a result", "it points to no memory of this process");
    default: /* the library has closed the descriptor */
        host_fail("the connection to the daemon has failed", strerror(error));
    }
}

/* Skips what was sent; returns how many parts are left. */
static int rest_of(struct iovec **parts, int n, size_t sent) {
    while (n > 0 && sent >= (*parts)->iov_len) {
        sent -= (*parts)->iov_len;
        (*parts)++;
        n--;
    }
    if (n > 0) {
        (*parts)->iov_base = (char *)(*parts)->iov_base + sent;
        (*parts)->iov_len -= sent;
    }
    return n;
}

void connection_send(int connection, struct iovec *parts, int n) {
    pthread_mutex_lock(&sending);
    while (n > 0 && !has_ended) {
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = n < IOV_MAX ? (size_t)n : IOV_MAX};
        ssize_t sent = sendmsg(connection, &message, MSG_NOSIGNAL);
        if (sent >= 0)
            n = rest_of(&parts, n, (size_t)sent);
        else
            has_ended = !can_retry(connection, POLLOUT, errno);
    }
    pthread_mutex_unlock(&sending);
}

size_t connection_receive(int connection, struct msghdr *message) {
    const struct msghdr asked = *message;
    for (;;) {
        ssize_t got = recvmsg(connection, message, MSG_CMSG_CLOEXEC);
        if (got > 0) return (size_t)got;
        if (got == 0 || !can_retry(connection, POLLIN, errno)) _exit(0); /* the daemon ends it */
        *message = asked;
    }
}
