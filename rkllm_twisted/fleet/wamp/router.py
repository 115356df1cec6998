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

from rkllm_twisted.fleet.access import allowed

_NAME = re.compile(r"[a-z0-9_]{1,64}")
_PUBLIC_KEY = re.compile(r"[0-9a-f]{64}")


class Access(ApplicationSession):  # type: ignore[misc]
    """Answers the router's two questions. It reads the public keys at each joining."""

    @inlineCallbacks
    def onJoin(self, details: Any) -> Any:
        """Offer the two procedures that the configuration names."""
        yield self.register(self.authenticate, "rkllm.router.authenticate")
        yield self.register(self.authorize, "rkllm.router.authorize")

    def authenticate(self, realm: str, name: str, details: Any) -> dict[str, str]:
        """Return the public key that a member must prove.

        :raises ApplicationError: there is none.
        """
        role = str(details.get("authrole"))
        key = self._key(role, str(name))
        claimed = (details.get("authextra") or {}).get("pubkey", key)
        if key is None or claimed != key:
            raise ApplicationError(
                "wamp.error.not_authorized", f"There is no such key of a {role} named {name}."
            )
        return {"pubkey": key, "role": role, "realm": realm, "authid": str(name)}

    def authorize(self, session: Any, uri: str, action: str, options: Any) -> dict[str, bool]:
        """Return whether a member may do something."""
        match = str((options or {}).get("match") or "exact")
        name, role = str(session["authid"]), str(session["authrole"])
        is_allowed = allowed(role, name, action, uri, match)
        # Crossbar 26.10.1 keeps an answer for the role, so it may keep what holds for each name.
        return {"allow": is_allowed, "cache": is_allowed and action == "call", "disclose": True}

    def _key(self, role: str, name: str) -> str | None:
        """Return the public key in the file ``<keys>/<role>/<name>``."""
        if role not in {"board", "front", "admin"} or _NAME.fullmatch(name) is None:
            return None
        try:
            key = Path(self.config.extra["keys"], role, name).read_text().strip()
        except OSError:
            return None
        return key if _PUBLIC_KEY.fullmatch(key) else None
