"""What can go wrong between a front and a board, beside the board's own errors.

The front maps each class to an answer for its client, once. An error that a board's daemon sent
arrives as the :class:`~rkllm_twisted.errors.RPCError` that it is.
"""

from __future__ import annotations

from rkllm_twisted.errors import StartupError


class FleetError(Exception):
    """A call or an offer has failed in the fleet; the text is one sentence."""


class BoardsBusy(FleetError):
    """Every board that offers the URI has a call. Nothing was run; another try may succeed."""


class NotOffered(FleetError):
    """No board offers the URI. Nothing was run; another try may succeed."""


class BoardLost(FleetError):
    """The board's connection ended during the call, which may have run in part."""


class RouterLost(FleetError):
    """The own connection is down, or ended during the call, which may have run in part."""


class NotPermitted(FleetError):
    """The router refuses the key, the name, or what was asked. Another try will fail, too."""


class TooLarge(FleetError):
    """The payload is larger than :data:`~rkllm_twisted.fleet.values.MAX_SIZE`. It was not sent."""


class NoExtra(StartupError):
    """The packages of the extra ``fleet`` are not installed."""


def replaced(name: str) -> NotPermitted:
    """Make the error for a member whose name a later connection has.

    :param name: the member's.
    """
    return NotPermitted(
        f"Another process has joined as {name}, and has its place. Give each board a name and a key"
        " of its own; this one comes back when the other has left."
    )
