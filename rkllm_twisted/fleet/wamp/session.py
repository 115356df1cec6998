"""One WAMP session: joining with a key, and cancelling with a mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autobahn.twisted.wamp import ApplicationSession
from autobahn.wamp import message
from autobahn.wamp.types import ComponentConfig
from twisted.internet.defer import Deferred

from rkllm_twisted.fleet import keys
from rkllm_twisted.fleet.values import REALM, Role


class Session(ApplicationSession):  # type: ignore[misc]
    """A session of one connection.

    :param key: the member's private key.
    :param joined: called with the session when the router has accepted it.
    :param left: called with the session, the reason, a URI, and what the router says about it, when
        it has ended or was refused.
    :param unregistered: called with the number of a registration that the router has ended.
    """

    def __init__(
        self,
        name: str,
        role: Role,
        key: Any,
        joined: Callable[[Session], object],
        left: Callable[[Session, str, str], object],
        unregistered: Callable[[int], object],
    ) -> None:
        super().__init__(ComponentConfig(REALM))
        self._name, self._role, self._key = name, role, key
        self._joined, self._left, self._unregistered = joined, left, unregistered

    def onConnect(self) -> None:
        """Say who this is."""
        self.join(
            REALM,
            authmethods=["cryptosign"],
            authid=self._name,
            authrole=self._role.value,
            authextra={"pubkey": keys.public(self._key), "channel_binding": None},
        )

    def onChallenge(self, challenge: Any) -> str:
        """Prove it: the signature of 32 random bytes, and the bytes (WAMP cryptosign)."""
        text = str(challenge.extra["challenge"])
        signature: bytes = self._key.sign(bytes.fromhex(text))
        return signature.hex() + text

    def onJoin(self, details: Any) -> None:
        """The router has accepted the key."""
        self._joined(self)

    def onLeave(self, details: Any) -> Any:
        """The session has ended. The base class then fails what is under way."""
        self._left(self, str(details.reason), details.message or "")
        return super().onLeave(details)

    def onMessage(self, msg: Any) -> None:
        """A message has come. autobahn keeps to itself that a registration was taken away."""
        super().onMessage(msg)
        if isinstance(msg, message.Unregistered) and not msg.request:
            self._unregistered(msg.registration)

    def onUserError(self, fail: Any, msg: str) -> None:
        """Errors of what is served are the business of Serving, which logs what is to be logged."""

    def call_once(
        self, uri: str, text: str, options: Any
    ) -> tuple[Deferred[Any], Callable[[], None]]:
        """Call, and return the answer and a function that cancels.

        The Deferred's own cancel() sends no mode, and Crossbar then frees a place that is in use.
        """
        answer: Deferred[Any] = self.call(uri, text, options=options)
        pending = [number for number, one in self._call_reqs.items() if one.on_reply is answer]

        def cancel() -> None:
            if pending and pending[0] in self._call_reqs and self._transport is not None:
                self._transport.send(message.Cancel(pending[0], mode=message.Cancel.KILL))

        return answer, cancel

    def drop(self) -> None:
        """End the connection without a farewell."""
        if self._transport is not None:
            self._transport.abort()
