"""``server.version``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, IQuiet, IRPCMethod
from rkllm_twisted.values import NoParams


@implementer(IPlugin, IRPCMethod, IQuiet)
@attrs.frozen
class Version:
    """Returns the versions of the daemon and of the runtime, and how the release was detected."""

    name = "server.version"
    summary = (
        "Versions of the daemon and the runtime, and how the runtime's release was recognised."
    )
    params = NoParams
    streams = False

    def call(self, call: ICall) -> object:
        """Ask the daemon."""
        return call.daemon.version()


version = Version()
