"""``server.configure``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, IQuiet, IRPCMethod


@attrs.frozen
class Params:
    """The parameters of the method; a setting that is left out stays as it is.

    :param stream: ``responses`` or ``notifications``.
    :param floats: ``json`` or ``base64``.
    """

    stream: str | None = None
    floats: str | None = None


@implementer(IPlugin, IRPCMethod, IQuiet)
@attrs.frozen
class Configure:
    """Sets the forms in which a connection wants its streams and floats."""

    name = "server.configure"
    summary = (
        "Choose this connection's forms: stream (responses, notifications), floats (json, base64)."
    )
    params = Params
    streams = False

    def call(self, call: ICall) -> object:
        """Set what is given; answer with all settings in force."""
        settings = attrs.asdict(call.params, filter=lambda _, value: value is not None)
        return call.conversation.configure(settings)


configure = Configure()
