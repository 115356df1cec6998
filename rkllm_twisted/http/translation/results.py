"""What is read of the results of ``chat.complete`` and ``text.complete``, whatever the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rkllm_twisted.errors import HTTPError

JSON = Mapping[str, Any]
#: Members of a result that no API has a place for; they come as ``rkllm``.
_OWN = ("tier", "flattened", "changes", "dropped_messages")


def own_members(*results: JSON) -> JSON:
    """Return how the conversation was read, see docs/chat.md, and how its form was kept to.

    :param results: the answers to one request; of what differs, the last one's counts.
    """
    last = results[-1]
    made = {name: last[name] for name in _OWN if name in last}
    figures = [one["structured"] for one in results if "structured" in one]
    if figures:
        guaranteed = all(one["guaranteed"] for one in figures)
        made["structured"] = {**figures[-1], "guaranteed": guaranteed}
        del made["structured"]["parsed"]  # the client has the text
    return made


def check_result(result: JSON) -> None:
    """Check that an answer is whole.

    :raises HTTPError: a client of the daemon has aborted the run.
    """
    if result["finish_reason"] == "cancelled":
        text = (
            "The answer was cut off: another client of the daemon has aborted the run; ask again."
        )
        raise HTTPError(503, text, "server_error", "cancelled", should_retry=False)


class WholeCalls:
    """Joins the pieces of tool calls.

    A call is held until it is complete: one that turns out to be broken is text, and a client
    cannot take back what it has read.
    """

    def __init__(self) -> None:
        self._call: dict[str, Any] = {}

    def feed(self, piece: JSON) -> JSON | None:
        """Read a partial result.

        :returns: the call that is complete now, with index, id, name and arguments (the text of a
            JSON object); None if there is none.
        """
        call = piece.get("tool_call")
        if call is None:
            return self.end() if self._call else None
        if call.get("broken"):
            self._call = {}
            return None
        complete = None
        if "id" in call:
            complete = self.end()
            self._call = {**call, "arguments": ""}
        self._call["arguments"] += call.get("arguments", "")
        return complete

    def end(self) -> JSON | None:
        """Return the last call, after the last piece; None if there is none."""
        call, self._call = self._call, {}
        return call or None
