#define _GNU_SOURCE
#include "listen.h"

#include <err.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int listen_on(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        errx(2, "the path is too long: %s", path);
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 1024))
        err(1, "%s", path);
    return fd;
}
