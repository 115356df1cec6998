"""The way to a router: its address, the transport's settings, and when to try again."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from autobahn.twisted.websocket import WampWebSocketClientFactory, WampWebSocketClientProtocol
from autobahn.wamp.serializer import MsgPackSerializer
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from rkllm_twisted.errors import StartupError

#: Seconds between two attempts: from the first to the last, and after a refusal.
SHORTEST, LONGEST = 0.5, 30.0
#: The longest for a front: its clients wait for it, and there are few of them.
LONGEST_FRONT = 5.0
#: What is said of a connection that nothing else is known of.
_HUNG_UP = "the connection ended before this member had joined."
#: Bytes of one message, as in the router's configuration.
_MAX_MESSAGE = 16 * 1024 * 1024
#: A peer that does not answer a ping is gone: seconds.
_WEBSOCKET = {
    "autoPingInterval": 2,
    "autoPingTimeout": 3,
    "autoPingSize": 12,
    "openHandshakeTimeout": 10,
    "closeHandshakeTimeout": 2,
    "maxFramePayloadSize": _MAX_MESSAGE,
    "maxMessagePayloadSize": _MAX_MESSAGE,
    "failByDrop": True,
    "tcpNoDelay": True,
}


def delay(
    failures: int,
    uniform: Callable[[float, float], float] = random.uniform,
    longest: float = LONGEST,
) -> float:
    """Return the seconds before the next attempt: random, so that boards do not come at once.

    :param failures: the attempts since the router has last accepted this member.
    :param longest: seconds.
    """
    return uniform(SHORTEST, min(longest, 2.0 ** min(failures, 10)))


def way_to(
    reactor: Any,
    url: str,
    ca: Path | None,
    make_session: Any,
    failed: Callable[[str], object] = lambda _: None,
) -> tuple[Any, Any]:
    """Return the endpoint and the protocol's factory for a router.

    :param url: ``wss://host:port``, ``ws://host:port`` or ``unix:/path``.
    :param ca: a PEM file with the certificate that signs the router's; None for the system's.
    :param failed: called with a sentence when no connection was made, and with what to suppose if
        one ends that was made.
    :raises StartupError: the address is none of these.
    """
    parts = urlsplit(url)
    if parts.scheme == "unix" and parts.path:
        factory = _websocket("ws://localhost", make_session, failed)
        unix = UNIXClientEndpoint(reactor, parts.path)
        return _Noted(unix, failed, f"{_HUNG_UP} Is it the router?"), factory
    if parts.scheme not in {"ws", "wss"} or not parts.hostname:
        raise StartupError(
            f"{url!r} is no router: it takes wss://host:port, ws://host:port or unix:/path."
        )
    factory = _websocket(url, make_session, failed)
    port = parts.port or (443 if parts.scheme == "wss" else 80)
    endpoint: Any = HostnameEndpoint(reactor, parts.hostname, port)
    if parts.scheme == "wss":
        endpoint = wrapClientTLS(_tls(parts.hostname, ca), endpoint)
    hung_up = f"{_HUNG_UP} Is it the router, and is {parts.scheme}:// right?"
    return _Noted(endpoint, failed, hung_up), factory


@implementer(IStreamClientEndpoint)
class _Noted:
    """An endpoint that says why no connection was made.

    :param hung_up: what to suppose if one that was made ends.
    """

    def __init__(self, endpoint: Any, failed: Callable[[str], object], hung_up: str) -> None:
        self._endpoint, self._failed, self._hung_up = endpoint, failed, hung_up

    def connect(self, factory: Any) -> Deferred[Any]:
        """See :class:`IStreamClientEndpoint`."""
        connected: Deferred[Any] = self._endpoint.connect(factory)
        return connected.addCallbacks(self._made, self._note)

    def _made(self, protocol: Any) -> Any:
        self._failed(self._hung_up)
        return protocol

    def _note(self, failure: Failure) -> Failure:
        self._failed(str(failure.value))
        return failure


def why_no_tls(error: BaseException) -> str | None:
    """Return what is wrong with a router's certificate; None: nothing."""
    if "certificate verify failed" in repr(error):
        return (
            "its certificate is not trusted; the option --ca names the file of the authority that"
            " has signed it."
        )
    if type(error).__name__ == "VerificationError":
        return "its certificate is for another name than that of the address."
    return None


class _Connection(WampWebSocketClientProtocol):  # type: ignore[misc]
    """Loses what is sent while it ends, like what is under way; autobahn's own raises."""

    def send(self, msg: Any) -> None:
        """Send a WAMP message."""
        if self.state == self.STATE_OPEN:
            super().send(msg)

    def connectionLost(self, reason: Any = None) -> None:
        """The connection has ended, perhaps because of the router's certificate."""
        why = None if reason is None else why_no_tls(reason.value)
        if why is not None:
            self.factory.failed(why)
        super().connectionLost(reason)


def _websocket(url: str, make_session: Any, failed: Callable[[str], object]) -> Any:
    factory = WampWebSocketClientFactory(make_session, url=url, serializers=[MsgPackSerializer()])
    factory.setProtocolOptions(**_WEBSOCKET)
    factory.protocol = _Connection
    factory.failed = failed
    return factory


def _tls(host: str, ca: Path | None) -> Any:
    from twisted.internet.ssl import (  # noqa: PLC0415 - it needs pyOpenSSL
        Certificate,
        optionsForClientTLS,
        trustRootFromCertificates,
    )

    if ca is None:
        return optionsForClientTLS(host)
    try:
        root = Certificate.loadPEM(ca.read_bytes())
    except (OSError, ValueError) as error:
        raise StartupError(f"The certificate {ca} cannot be read: {error}.") from None
    return optionsForClientTLS(host, trustRoot=trustRootFromCertificates([root]))
