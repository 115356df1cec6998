/* What the machine can do at most: an echo with epoll, in one thread, without looking at the bytes.
 *
 * usage: echo SOCKET
 */
#define _GNU_SOURCE
#include <err.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "listen.h"

static void watch(int epoll, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
        err(1, "epoll_ctl");
}

/* The socket blocks: a client that does not read stops the echo, and none of ours is like that. */
static void echo(int fd) {
    static char data[1 << 16];
    ssize_t size = recv(fd, data, sizeof data, 0);
    if (size <= 0) {
        close(fd);
        return;
    }
    for (ssize_t at = 0; at < size;) {
        ssize_t sent = send(fd, data + at, (size_t)(size - at), MSG_NOSIGNAL);
        if (sent < 0) {
            close(fd);
            return;
        }
        at += sent;
    }
}

int main(int argc, char **argv) {
    if (argc != 2)
        errx(2, "usage: echo SOCKET");
    int listener = listen_on(argv[1]), epoll = epoll_create1(0);
    watch(epoll, listener);
    struct epoll_event events[256];
    for (;;) {
        int count = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd != listener) {
                echo(fd);
                continue;
            }
            int client = accept(listener, NULL, NULL);
            if (client >= 0)
                watch(epoll, client);
        }
    }
}
