"""The rules of a fleet: what each role may register, call, publish and subscribe to.

``rkllm fleet router-config`` copies this module beside the router's configuration, so it imports
the standard library only.
"""

from __future__ import annotations

#: What fronts may call of the router itself: who offers what.
_META = frozenset(
    f"wamp.registration.{name}" for name in ("list", "get", "lookup", "match", "count_callees")
)
#: What fronts may subscribe to of the router itself.
_META_EVENTS = frozenset(f"wamp.registration.on_{name}" for name in ("create", "delete"))


def allowed(role: str, name: str, action: str, uri: str, match: str = "exact") -> bool:
    """Return True if a member may do something.

    :param role: ``board``, ``front`` or ``admin``.
    :param name: the member's, which its key has proved.
    :param action: ``register``, ``call``, ``publish`` or ``subscribe``.
    :param match: how the URI of a registration or subscription is matched: ``exact``, ``prefix`` or
        ``wildcard``.
    """
    parts = uri.split(".")
    if role == "board":
        return match == "exact" and _board_may(name, action, parts)
    if role not in {"front", "admin"}:
        return False
    if action == "subscribe":
        states = match == "wildcard" and parts == ["rkllm", "board", "", "status"]
        return states or (match == "exact" and uri in _META_EVENTS)
    return action == "call" and (uri in _META or _front_may_call(parts, role))


def _board_may(name: str, action: str, parts: list[str]) -> bool:
    """Return True if a board may: offer models, and what is named after itself."""
    match parts:
        case ["rkllm", "model", model, "run"]:
            return action == "register" and model != ""
        case ["rkllm", "board", board, "run" | "call" | "state"]:
            return action == "register" and board == name
        case ["rkllm", "board", board, "status"]:
            return action == "publish" and board == name
        case _:
            return False


def _front_may_call(parts: list[str], role: str) -> bool:
    """Return True if a front may call the procedure of a board."""
    match parts:
        case ["rkllm", "model", _, "run"] | ["rkllm", "board", _, "run" | "state"]:
            return True
        case ["rkllm", "board", _, "call"]:
            return role == "admin"
        case _:
            return False
