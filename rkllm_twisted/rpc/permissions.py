"""The users that may connect, and those that may call administrative methods. Pure."""

from __future__ import annotations

import attrs

from rkllm_twisted.errors import NotAllowed
from rkllm_twisted.values import Peer


@attrs.frozen
class Principals:
    """Users, and members of groups, by number."""

    users: frozenset[int] = attrs.field(default=(), converter=frozenset)
    groups: frozenset[int] = attrs.field(default=(), converter=frozenset)

    def __bool__(self) -> bool:
        """True if there is any user or group."""
        return bool(self.users or self.groups)

    def __contains__(self, peer: Peer) -> bool:
        """True if a client is one of them. A client without a known user is not."""
        return peer.uid in self.users or not self.groups.isdisjoint(peer.groups)


@attrs.frozen
class Permissions:
    """The permissions of clients. An empty list admits every user. Any other list admits its
    members only: root must be on it, too.

    :param clients: may connect; so may the administrators.
    :param administrators: may call methods that are marked with
        :class:`~rkllm_twisted.interfaces.IAdministrative`.
    """

    clients: Principals = Principals()
    administrators: Principals = Principals()

    def admit(self, peer: Peer) -> NotAllowed | None:
        """Return the error for a client that may not connect, or None."""
        if not self.clients or peer in self.clients or peer in self.administrators:
            return None
        return NotAllowed(
            f"The user with uid {peer.uid} may not use this daemon; its options --allow-uid and"
            " --allow-gid say who may.",
            {"uid": peer.uid},
        )

    def has_reserve(self, peer: Peer) -> bool:
        """Return whether a client may still connect when the others have used up the room.

        Root may, and the administrators that are named: somebody must be able to look, and to stop
        what fills the daemon.
        """
        return peer.uid == 0 or peer in self.administrators

    def administers(self, peer: Peer) -> bool:
        """True if a client may call administrative methods."""
        return not self.administrators or peer in self.administrators
