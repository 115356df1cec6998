"""Which board a conversation went to last, and whether it has left its history there. Pure."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import attrs
import msgspec

from rkllm_twisted.values import Params

#: Conversations that a front remembers; the one that was used least is forgotten first.
MAX_REMEMBERED = 10_000


@attrs.frozen
class LastBoard:
    """Where a client or a conversation was last.

    :param board: its name.
    :param has_history: a run there has kept its history, and the client has not been told that it
        is lost.
    """

    board: str
    has_history: bool = False


class Affinity:
    """The places of clients, and of conversations.

    A client's places go with the client, which is an open connection.
    """

    def __init__(self, most: int = MAX_REMEMBERED) -> None:
        self._most = most
        self._clients: WeakKeyDictionary[Any, LastBoard] = WeakKeyDictionary()
        self._conversations: OrderedDict[str, str] = OrderedDict()

    def of_client(self, client: Hashable) -> LastBoard | None:
        """Return where a client's last run was; None: it has had none."""
        return None if client is None else self._clients.get(client)

    def ran(self, client: Hashable, board: str, keeps_history: bool) -> None:
        """Take in that a run of a client has begun on a board."""
        if client is None:
            return
        before = self._clients.get(client)
        stays = before is not None and before.board == board and before.has_history
        self._clients[client] = LastBoard(board, keeps_history or stays)

    def lost(self, client: Hashable) -> None:
        """Take in that a client was told that its history is lost: the next run begins anew."""
        if client is not None:
            self._clients.pop(client, None)

    def of_conversation(self, key: str | None) -> str | None:
        """Return the board that has read a conversation; None if it is not known."""
        return None if key is None else self._conversations.get(key)

    def read(self, key: str | None, board: str) -> None:
        """Take in that a board has read a conversation."""
        if key is None:
            return
        self._conversations[key] = board
        self._conversations.move_to_end(key)
        while len(self._conversations) > self._most:
            self._conversations.popitem(last=False)


def keeps_history(params: Params) -> bool:
    """True if a run keeps its history.

    :param params: of ``rkllm.run`` or ``rkllm.run_async``, by name or by position.
    """
    values = params.values() if isinstance(params, Mapping) else params or ()
    return any(isinstance(value, Mapping) and bool(value.get("keep_history")) for value in values)


def conversation_key(conversation: str | None, messages: object) -> str | None:
    """Return what requests of one conversation have in common.

    :param conversation: the name that the client gives it; None: it gives none.
    :param messages: of ``chat.complete``; a later turn begins with the messages of the earlier one.
    :returns: None if the messages show nothing.
    """
    if conversation is not None:
        return f"name {conversation}"
    if not isinstance(messages, list):
        return None
    beginning: list[object] = []
    for message in messages:
        beginning.append(message)
        if isinstance(message, Mapping) and message.get("role") == "user":
            break
    try:
        text = msgspec.json.encode(beginning, order="sorted")
    except (TypeError, ValueError, RecursionError, OverflowError):
        return None
    return f"begins {hashlib.sha256(text).hexdigest()}"
