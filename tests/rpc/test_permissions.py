"""Which users may connect, and which may call administrative methods."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from memory_client import FakeMethod, MemoryClient, code, make_factory, request
from other_users import GROUP, OTHER_GROUP, SOMEBODY, acting_as, needs_root
from zope.interface import implementer

from rkllm_twisted.errors import Busy, NotAllowed, RPCError
from rkllm_twisted.interfaces import IAdministrative
from rkllm_twisted.rpc.permissions import Permissions, Principals
from rkllm_twisted.server.factory import RPCFactory
from rkllm_twisted.server.peer import peer_of
from rkllm_twisted.server.state import RESERVED_CONNECTIONS
from rkllm_twisted.values import Peer

ANNA = Peer(1, 10, 1000, 100, (100, 7))
NOBODY = Peer(2)


@pytest.mark.parametrize(
    ("people", "is_one"),
    [
        (Principals(), False),
        (Principals({1000}), True),
        (Principals({1001}), False),
        (Principals((), {100}), True),
        (Principals((), {7}), True),
        (Principals((), {8}), False),
        (Principals({1001}, {7}), True),
    ],
)
def test_people_are_named_by_user_or_by_any_of_their_groups(
    people: Principals, is_one: bool
) -> None:
    """The primary group is one of them."""
    assert (ANNA in people) is is_one
    assert NOBODY not in people


def test_where_nobody_is_named_everybody_is_meant() -> None:
    """They include a client without a user id from the kernel."""
    for peer in (ANNA, NOBODY):
        assert Permissions().admit(peer) is None
        assert Permissions().administers(peer)


def test_who_is_not_named_is_told_which_options_say_who_is() -> None:
    """Root is not excepted."""
    access = Permissions(clients=Principals({1000}))
    assert access.admit(ANNA) is None
    for peer in (Peer(3, 11, 0, 0, (0,)), NOBODY):
        refusal = access.admit(peer)
        assert isinstance(refusal, NotAllowed)
        assert refusal.data == {"uid": peer.uid}
        assert "--allow-uid" in refusal.message


def test_administrators_may_connect() -> None:
    """They need not be named as clients, too."""
    access = Permissions(clients=Principals({1}), administrators=Principals({1000}))
    assert access.admit(ANNA) is None
    assert access.administers(ANNA)
    assert access.admit(Peer(3, 11, 1, 1, (1,))) is None
    assert not access.administers(Peer(3, 11, 1, 1, (1,)))


@implementer(IAdministrative)
class Marked(FakeMethod):
    """A method like a third party's, marked as administrative."""


def talk(administers: bool) -> MemoryClient:
    """A connection with two methods, one of them marked."""
    methods = [FakeMethod("plain"), Marked("marked")]
    return MemoryClient(factory=make_factory(methods, administers=lambda _: administers))


def test_a_marked_method_is_kept_from_who_does_not_administer() -> None:
    """All clients may call the methods without the mark."""
    client = talk(administers=False)
    [refused] = client.ask(request(1, "marked"))
    assert code(refused) == -32005
    assert refused["error"]["data"] == {"method": "marked"}
    assert "result" in client.ask(request(2, "plain"))[0]
    [batch] = client.ask([request(3, "marked"), request(4, "plain")])
    assert [("error" in answer) for answer in batch] == [True, False]


def test_an_administrator_may_call_everything() -> None:
    """The mark makes no difference."""
    client = talk(administers=True)
    assert "result" in client.ask(request(1, "marked"))[0]


class Socket:
    """The part of a Twisted transport that peer_of reads."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def getHandle(self) -> Any:
        return self._handle


def connected_as(uid: int, gid: int, groups: Sequence[int]) -> Peer:
    """The kernel's credentials of a client with this user and these groups."""
    name = f"\0rkllm-test-{uid}-{len(groups)}"
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as client:
        listening.bind(name)
        listening.listen()
        with acting_as(uid, gid, groups):
            client.connect(name)
        accepted, _ = listening.accept()
        with accepted:
            return peer_of(1, Socket(accepted))


@needs_root
@pytest.mark.parametrize("count", [0, 1, 256, 257, 5000])
def test_the_kernel_names_all_groups_of_a_client(count: int) -> None:
    """A client may be in many groups."""
    groups = range(100_000, 100_000 + count)
    peer = connected_as(SOMEBODY, GROUP, groups)
    assert (peer.uid, peer.gid) == (SOMEBODY, GROUP)
    assert peer.groups == (GROUP, *groups)


@needs_root
def test_the_groups_are_those_of_the_moment_of_connecting() -> None:
    """The groups include the primary one."""
    assert connected_as(SOMEBODY, GROUP, [OTHER_GROUP]).groups == (GROUP, OTHER_GROUP)


def test_a_client_over_tcp_is_nobody() -> None:
    """The kernel has no user to name there."""
    listening = socket.create_server(("127.0.0.1", 0))
    with listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert peer_of(1, Socket(accepted)) == Peer(1)


# The limits on connections


def peer_numbers(factory: RPCFactory, *users: int | None) -> list[RPCError | None]:
    """Connect clients of these users; return each one's refusal or None."""
    found = []
    for number, user in enumerate(users):
        protocol = factory.buildProtocol(None)
        assert protocol is not None
        peer = Peer(number, 1, user, user, ())
        protocol.conversation = SimpleNamespace(peer=peer, messages=0)  # type: ignore[assignment]
        found.append(factory.state.opened(protocol))
    return found


def test_root_and_administrators_have_room_when_there_is_none() -> None:
    """The reserve is small: it lets an operator look at the daemon."""
    permissions = Permissions(administrators=Principals([7]))
    factory = make_factory(max_clients=2, has_reserve=permissions.has_reserve)
    assert peer_numbers(factory, 1, 2) == [None, None]
    [refusal] = peer_numbers(factory, 3)
    assert isinstance(refusal, Busy)
    assert (
        peer_numbers(factory, *[0, 7] * (RESERVED_CONNECTIONS // 2))
        == [None] * RESERVED_CONNECTIONS
    )
    [refusal] = peer_numbers(factory, 0)
    assert isinstance(refusal, Busy)


def test_nobody_has_a_reserve_but_who_is_named_and_root() -> None:
    """Without named administrators all users administer, but only root has a reserve."""
    permissions = Permissions()
    assert permissions.has_reserve(Peer(1, 1, 0, 0, ()))
    assert not permissions.has_reserve(Peer(1, 1, 5, 5, ()))
    assert not permissions.has_reserve(Peer(1))


def test_a_user_has_a_share_of_the_connections() -> None:
    """Another user is not locked out by the first."""
    factory = make_factory(
        max_clients=100, max_clients_per_user=2, has_reserve=Permissions().has_reserve
    )
    assert peer_numbers(factory, 5, 5) == [None, None]
    [refusal] = peer_numbers(factory, 5)
    assert isinstance(refusal, Busy)
    assert refusal.data == {"queue_length": 2, "uid": 5}
    assert "2 connections" in refusal.message
    assert peer_numbers(factory, 6, 0, 0, 0) == [None] * 4
