"""The limits of connections."""

from __future__ import annotations

import attrs

from rkllm_twisted.wire import framing


@attrs.frozen
class Limits:
    """Of one connection, unless said otherwise; sizes in bytes, times in seconds.

    :param max_clients_per_user: connections of one user at once; None: as many as of all.
    :param max_length: of a message from the client; a longer one is refused before it is buffered.
    :param max_unparsed: of the input of all connections together that is incomplete, waits for its
        turn, or is not answered yet; beyond it, the connection that holds most is closed.
    :param max_requests: under way at once; beyond it, a request is answered with Busy. Eight keep
        the NPU busy; more would only fill the queue that all clients share.
    :param max_unread: held for a client that does not read, besides one long message. From half of
        it on, the client's requests wait; beyond it, if a run streams, the client is dropped.
    :param unread_timeout: for a client that reads nothing of what waits for it.
    :param max_unread_total: of all connections together; beyond it, the connection for which most
        is held is dropped, unless it is the only one.
    :param max_batch_reply: of the replies to one batch; the members beyond it are refused.
    :param message_timeout: from a message's first byte to its last.
    :param messages_per_turn: of one connection; then the other connections have their turn.
    :param linger: for a client to read the last message of a connection that closes.
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
