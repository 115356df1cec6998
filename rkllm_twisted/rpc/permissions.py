"""Who may connect, and who may do what concerns everybody. Pure; the kernel says who it is."""

from __future__ import annotations

import attrs

from rkllm_twisted.errors import NotAllowed
from rkllm_twisted.values import Peer


@attrs.frozen
class Principals:
    """Users, and the members of groups.

    :param users: their numbers.
    :param groups: the groups' numbers.
    """

    users: frozenset[int] = attrs.field(default=(), converter=frozenset)
    groups: frozenset[int] = attrs.field(default=(), converter=frozenset)

    def __bool__(self) -> bool:
        """Is anybody named?"""
        return bool(self.users or self.groups)

    def __contains__(self, peer: Peer) -> bool:
        """Is a client one of them? Somebody whom the kernel could not name is nobody."""
        return peer.uid in self.users or not self.groups.isdisjoint(peer.groups)


@attrs.frozen
class Permissions:
    """Where nobody is named, everybody is meant; who is not named is out, root included.

    :param clients: who may connect; the administrators may, too.
    :param administrators: who may call what is marked with
        :class:`~rkllm_twisted.interfaces.IAdministrative`.
    """

    clients: Principals = Principals()
    administrators: Principals = Principals()

    def admit(self, peer: Peer) -> NotAllowed | None:
        """Give the error that a client is to be turned away with, or None."""
        if not self.clients or peer in self.clients or peer in self.administrators:
            return None
        return NotAllowed(
            f"The user with uid {peer.uid} may not use this daemon; its options --allow-uid and"
            " --allow-gid say who may.",
            {"uid": peer.uid},
        )

    def administers(self, peer: Peer) -> bool:
        """May a client do what concerns everybody?"""
        return not self.administrators or peer in self.administrators
