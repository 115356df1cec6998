"""What runs inside the Crossbar router: who may join, and who may do what.

``rkllm fleet router-config`` copies this module and :mod:`rkllm_twisted.fleet.access` beside the
router's configuration, because the router has an environment of its own.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from autobahn.twisted.wamp import ApplicationSession
from autobahn.wamp.exception import ApplicationError
from twisted.internet.defer import inlineCallbacks
from twisted.internet.task import LoopingCall

from rkllm_twisted.fleet.access import allowed

#: Seconds between two looks at the keys of those that have joined.
LOOK_S = 2.0

_REFUSED = "wamp.error.not_authorized"
_ENDED = "The key was removed from the router's directory, or replaced by another."
_NAME = re.compile(r"[a-z0-9_]{1,64}")
_PUBLIC_KEY = re.compile(r"[0-9a-f]{64}")


class Access(ApplicationSession):  # type: ignore[misc]
    """Answers the router's two questions, and ends the sessions of keys that no longer count."""

    @inlineCallbacks
    def onJoin(self, details: Any) -> Any:
        """Offer the two procedures that the configuration names."""
        #: The role and the name of each that has proved a key -> the key.
        self._proved: dict[tuple[str, str], str] = {}
        self._missed: set[tuple[str, str]] = set()
        yield self.register(self.authenticate, "rkllm.router.authenticate")
        yield self.register(self.authorize, "rkllm.router.authorize")
        looking = LoopingCall(self._look).start(LOOK_S, now=False)
        looking.addErrback(self._failed, "No more looks at the keys that were removed")

    @inlineCallbacks
    def authenticate(self, realm: str, name: str, details: Any) -> Any:
        """Return the public key that a member must prove; sessions that proved another end first.

        :raises ApplicationError: there is none.
        """
        role = str(details.get("authrole"))
        key = self._key(role, str(name))
        claimed = (details.get("authextra") or {}).get("pubkey", key)
        if key is None or claimed != key:
            raise ApplicationError(_REFUSED, f"There is no such key of a {role} named {name}.")
        if self._proved.get((role, str(name)), key) != key:
            yield self._end(role, str(name))
        self._proved[role, str(name)] = key
        return {"pubkey": key, "role": role, "realm": realm, "authid": str(name)}

    def authorize(self, session: Any, uri: str, action: str, options: Any) -> dict[str, bool]:
        """Return whether a member may do something."""
        match = str((options or {}).get("match") or "exact")
        name, role = str(session["authid"]), str(session["authrole"])
        key = self._key(role, name)
        is_proved = key is not None and key == self._proved.get((role, name))
        is_allowed = is_proved and allowed(role, name, action, uri, match)
        if (options or {}).get("force_reregister"):  # it ends the registrations of all others
            is_allowed = is_allowed and uri.startswith(f"rkllm.board.{name}.")
        # Crossbar 26.10.1 keeps an answer for the role, so it may keep what holds for each name.
        return {"allow": is_allowed, "cache": is_allowed and action == "call", "disclose": True}

    def _look(self) -> None:
        """End the sessions of members whose key is another, or none, for the second time."""
        missing = {
            (role, name)
            for (role, name), key in self._proved.items()
            if self._key(role, name) != key
        }
        for member in missing & self._missed:
            ended = self._end(*member)
            ended.addCallback(self._forget, member, self._proved[member])
            ended.addErrback(self._failed, "The sessions of {1} ({0}) go on".format(*member))
        self._missed = missing

    def _forget(self, _: Any, member: tuple[str, str], key: str) -> None:
        """All sessions of a key have ended: no look has to end them again."""
        if self._proved.get(member) == key:  # else another key has been proved meanwhile
            del self._proved[member]

    def _failed(self, failure: Any, what: str) -> None:
        self.log.error("{what}: {reason!r}", what=what, reason=failure.value)

    @inlineCallbacks
    def _end(self, role: str, name: str) -> Any:
        """End the sessions of a member. ``kill_by_authid`` would end those of its other roles.

        :raises Exception: what the router said of one that goes on; the others have ended.
        """
        numbers = yield self.call("wamp.session.list", [role])
        error: Exception | None = None
        for number in numbers:
            try:
                yield self._end_if(number, name)
            except Exception as one:  # noqa: BLE001, PERF203 - the others are to end
                error = one
        if error is not None:
            raise error

    @inlineCallbacks
    def _end_if(self, number: int, name: str) -> Any:
        """End a session if it is this member's."""
        try:
            session = yield self.call("wamp.session.get", number)
            if session is not None and session["authid"] == name:
                yield self.call("wamp.session.kill", number, reason=_REFUSED, message=_ENDED)
        except ApplicationError as error:
            if error.error != ApplicationError.NO_SUCH_SESSION:  # it has left meanwhile
                raise

    def _key(self, role: str, name: str) -> str | None:
        """Return the public key in the file ``<keys>/<role>/<name>``."""
        if role not in {"board", "front", "admin"} or _NAME.fullmatch(name) is None:
            return None
        try:
            key = Path(self.config.extra["keys"], role, name).read_text().strip()
        except (OSError, ValueError):  # the latter for bytes that are no UTF-8
            return None
        return key if _PUBLIC_KEY.fullmatch(key) else None
