"""``rkllm:…`` wherever Twisted takes a server's description.

A module of its own because Twisted imports the parsers of all packages for each description that a
program parses, whatever it begins with: so it must cost nothing.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IStreamServerEndpoint, IStreamServerEndpointStringParser
from twisted.plugin import IPlugin
from zope.interface import implementer


@implementer(IPlugin, IStreamServerEndpointStringParser)
class RKLLMEndpointParser:
    """Parses ``rkllm:/run/rkllm.sock:mode=0660:group=rkllm``."""

    prefix = "rkllm"

    def parseStreamServer(self, reactor: Any, *args: Any, **kwargs: Any) -> IStreamServerEndpoint:
        """Make the endpoint; the arguments are those of :func:`endpoint_from_text`.

        :raises ValueError: naming the argument that cannot be used.
        """
        from rkllm_twisted.server.endpoint import endpoint_from_text  # noqa: PLC0415 - see above

        return endpoint_from_text(reactor, *args, **kwargs)
