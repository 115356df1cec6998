#define _GNU_SOURCE
#include "connect.h"

#include <err.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ROOM 4096 /* bytes of such a request, and of its answer */

int connected(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        errx(2, "the path is too long: %s", path);
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
        err(1, "%s", path);
    return fd;
}

void settle(int fd, enum framing framing, const char *payload) {
    char data[ROOM + FRAME_ROOM];
    if (strlen(payload) > ROOM)
        errx(2, "the first request is too long");
    size_t size = frame_put(framing, data, payload, strlen(payload));
    if (send(fd, data, size, MSG_NOSIGNAL) != (ssize_t)size)
        err(1, "send");
    size = 0;
    while (size == 0 || frame_at(framing, data, size).whole == 0) {
        ssize_t got = size < sizeof data ? recv(fd, data + size, sizeof data - size, 0) : 0;
        if (got <= 0)
            errx(3, "there is no answer to %s", payload);
        size += (size_t)got;
    }
    if (memmem(data, size, "\"error\"", 7) != NULL)
        errx(3, "an error: %.*s", (int)size, data);
}
