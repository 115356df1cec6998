"""The server's edge: the socket, the connections, and what each of them may cost."""
