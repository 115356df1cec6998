"""What connections may cost. Each limit says what it protects."""

from __future__ import annotations

import attrs

from rkllm_twisted.wire import framing


@attrs.frozen
class Limits:
    """Of one connection where nothing else is said; sizes in bytes, times in seconds.

    :param max_clients_per_user: connections of one user at once; None: as many as of all.
    :param max_length: of a message from the client; refused before it is buffered.
    :param max_unparsed: of all connections together: what came in and is no whole message yet,
        waits for its turn, or is not answered yet; beyond, the connection that holds most is
        closed.
    :param max_requests: under way at once; beyond, a request is answered with Busy. Eight keep the
        NPU busy; more would only fill the queue that all clients share.
    :param max_unread: held for a client that does not read, beside one long message. From half of
        that on its requests wait unread; beyond, because something streams to it, it is dropped.
    :param unread_timeout: how long a client may read nothing of what waits for it.
    :param max_unread_total: of all connections together; beyond, the connection that most is held
        for is dropped, unless it is the only one.
    :param max_batch_reply: of the replies to one batch; the members beyond are refused.
    :param message_timeout: from a message's first byte to its last.
    :param messages_per_turn: after so many the other connections have their turn.
    :param linger: how long a connection that is to be closed waits for its last message to be read.
    """

    max_clients_per_user: int | None = None
    max_length: int = framing.MAX_LENGTH
    max_unparsed: int = 256 * 1024 * 1024
    max_requests: int = 8
    max_unread: int = 1024 * 1024
    max_unread_total: int = 128 * 1024 * 1024
    max_batch_reply: int = 1024 * 1024
    unread_timeout: float = 30.0
    message_timeout: float = 60.0
    messages_per_turn: int = 64
    linger: float = 1.0


#: The one place of each default.
DEFAULTS = Limits()
