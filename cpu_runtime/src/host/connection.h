/* The connection to the daemon. A hostile library shares its descriptor: what can be waited for is
 * waited for, and no frame follows a part of another.
 */
#ifndef HOST_CONNECTION_H
#define HOST_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Sends parts, whole, one sender at a time. When the connection has ended they are lost: the thread
 * that reads sees that, too.
 */
void connection_send(int connection, struct iovec *parts, int n);

/* Receives once. Ends the process when the connection has ended. */
size_t connection_receive(int connection, struct msghdr *message);

#endif
