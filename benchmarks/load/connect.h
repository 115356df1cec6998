/* A connection to a server's UNIX socket, and what is said on it before anything is measured. */
#ifndef CONNECT_H
#define CONNECT_H

#include "frames.h"

/* Connect; ends the program where that fails. Returns the socket. */
int connected(const char *path);

/* Send a request and read its answer; ends the program if that is an error. */
void settle(int fd, enum framing framing, const char *payload);

#endif
