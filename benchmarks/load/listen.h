/* The socket of a server that is measured. */
#ifndef LISTEN_H
#define LISTEN_H

/* Listens on a path, and returns the socket. If that fails, the program ends with a sentence. */
int listen_on(const char *path);

#endif
