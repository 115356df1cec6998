"""``server.cancel``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, IRPCMethod, IUncounted


@attrs.frozen
class Params:
    """The parameters of the method.

    :param id: of the request to cancel, as it was sent.
    """

    id: str | int | float | None


@implementer(IPlugin, IRPCMethod, IUncounted)
@attrs.frozen
class Cancel:
    """Cancels one of the connection's own requests."""

    name = "server.cancel"
    summary = "Cancel one of this connection's own requests by its id; it is answered with -32800."
    params = Params
    streams = False

    def call(self, call: ICall) -> object:
        """Cancel the request; return whether it was under way."""
        return {"cancelled": call.conversation.cancel(call.params.id)}


cancel = Cancel()
