"""The row of one daemon in ``/status``. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Members of ``server.status`` that are passed on. Paths and processes are the daemon's business.
_PASSED_ON = (
    "state",
    "model",
    "max_context_len",
    "queue_length",
    "runs",
    "tokens",
    "loads",
    "load_s",
    "crashes",
    "problem",
    "backend",
    "uptime_s",
)


def daemon_row(number: int, status: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the row of a daemon that answers.

    :param number: its place among the daemons.
    :param status: ``server.status``, as the client's own connection got it.
    :returns: members of the status; ``fleet``, if it is a front's; ``is_mine``, true if the
        client's request has the NPU; and ``place``, where the client's first waiting request stands
        in the queue: 1 is next, null means that none waits.
    """
    mine, running = status.get("client"), status["running"]
    waiting = [one["client"] for one in status["waiting"]] if mine is not None else []
    fleet = {"fleet": status["fleet"]} if "fleet" in status else {}
    return {
        "number": number,
        **fleet,
        **{name: status.get(name) for name in _PASSED_ON},
        "is_mine": mine is not None and running is not None and running["client"] == mine,
        "place": waiting.index(mine) + 1 if mine in waiting else None,
    }


def away_row(number: int, problem: str) -> Mapping[str, Any]:
    """Return the row of a daemon that does not answer.

    :param problem: why, in one sentence.
    """
    return {"number": number, "state": "away", "problem": problem}
