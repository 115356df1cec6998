"""Many sockets as one descriptor of the reactor: reading, turns, and ends."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from rkllm_twisted.server.transport import READS_PER_TURN, ReadGroup

Flush = Callable[..., list[Failure]]


class Reactor:
    """Records its readers."""

    def __init__(self) -> None:
        self.readers: set[object] = set()

    def addReader(self, reader: object) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: object) -> None:
        self.readers.discard(reader)


class Reading:
    """A socket of the group: one end of a pair, and a record of its calls."""

    def __init__(self, group: ReadGroup) -> None:
        self.ours, self.client = socket.socketpair()
        self.ours.setblocking(False)
        self.group = group
        self.data = b""
        self.told: list[str] = []
        self.does: Callable[[], Exception | None] | None = None
        group.join(self)

    def fileno(self) -> int:
        return self.ours.fileno()

    def getHandle(self) -> socket.socket:
        return self.ours

    def stopReading(self) -> None:
        self.group.leave(self)

    def doRead(self) -> Exception | None:
        if self.does is not None:
            return self.does()
        data = self.ours.recv(100)
        self.data += data
        return None if data else CONNECTION_DONE

    def readConnectionLost(self, reason: Failure) -> None:
        assert reason.check(ConnectionDone)
        self.told.append("half")

    def connectionLost(self, reason: Failure) -> None:
        self.told.append(reason.type.__name__)
        self.stopReading()
        self.ours.close()


@pytest.fixture
def reactor() -> Reactor:
    return Reactor()


@pytest.fixture
def group(reactor: Reactor) -> ReadGroup:
    return ReadGroup(reactor)


Make = Callable[[int], list[Reading]]


@pytest.fixture
def make(group: ReadGroup) -> Iterator[Make]:
    made: list[Reading] = []

    def some(count: int) -> list[Reading]:
        new = [Reading(group) for _ in range(count)]
        made.extend(new)
        return new

    yield some
    for reading in made:
        group.leave(reading)
        reading.ours.close()
        reading.client.close()
    group.close()


def test_it_is_one_descriptor_of_the_reactors(group: ReadGroup, reactor: Reactor) -> None:
    """The descriptor is readable when any of its sockets is."""
    verifyObject(IReadDescriptor, group)
    assert reactor.readers == {group}
    group.close()


def test_who_has_sent_is_read_from(group: ReadGroup, make: Make) -> None:
    """The silent socket is not read."""
    silent, first, second = make(3)
    first.client.send(b"a")
    second.client.send(b"b")
    group.doRead()
    assert (silent.data, first.data, second.data) == (b"", b"a", b"b")


def test_one_alone_is_read_from_without_asking_who(group: ReadGroup, make: Make) -> None:
    """The group reads the only socket directly."""
    [alone] = make(1)
    alone.client.send(b"a")
    group.doRead()
    assert alone.data == b"a"


def test_a_turn_reads_so_many_and_the_next_the_others(group: ReadGroup, make: Make) -> None:
    """Sockets that have been read do not delay the others by sending again."""
    crowd = make(READS_PER_TURN + 10)
    for one in crowd:
        one.client.send(b"1")
    group.doRead()
    read = [one for one in crowd if one.data]
    assert len(read) == READS_PER_TURN
    for one in read:
        one.client.send(b"2")
    group.doRead()
    assert all(one.data for one in crowd)


def test_who_does_nothing_else_but_send_is_read_so_often(group: ReadGroup, make: Make) -> None:
    """The group then returns to the reactor."""
    eager, _ = make(2)
    reads: list[int] = []
    eager.client.send(b"1")
    eager.does = lambda: reads.append(1)  # type: ignore[assignment,return-value]  # reads nothing
    group.doRead()
    assert len(reads) == READS_PER_TURN


def test_who_leaves_is_read_from_no_more(group: ReadGroup, make: Make) -> None:
    """Leaving twice is harmless, and so is joining twice."""
    gone, stays = make(2)
    group.join(stays)
    for one in (gone, stays):
        one.client.send(b"a")
    group.leave(gone)
    group.leave(gone)
    group.doRead()
    assert (gone.data, stays.data) == (b"", b"a")


def test_one_that_another_has_closed_is_left_alone(group: ReadGroup, make: Make) -> None:
    """Both were ready."""
    first, second, _ = make(3)

    def closes(one: Reading, other: Reading) -> None:
        one.ours.recv(100)
        other.connectionLost(Failure(CONNECTION_LOST))

    first.does = partial(closes, first, second)  # type: ignore[assignment]
    second.does = partial(closes, second, first)  # type: ignore[assignment]
    for one in (first, second):
        one.client.send(b"a")
    group.doRead()
    assert sorted([first.told, second.told]) == [[], ["ConnectionLost"]]


def test_a_half_close_is_told_as_one(group: ReadGroup, make: Make) -> None:
    """The client can still read."""
    closing, other = make(2)
    closing.client.shutdown(socket.SHUT_WR)
    group.doRead()
    assert closing.told == ["half"]
    other.client.send(b"a")
    group.doRead()
    assert other.data == b"a"


def test_an_end_with_nobody_left_to_read_is_the_end(group: ReadGroup, make: Make) -> None:
    """There is nothing to wait for."""
    closing, _ = make(2)
    closing.client.close()
    group.doRead()
    assert closing.told == ["ConnectionDone"]


def test_a_broken_connection_is_lost(group: ReadGroup, make: Make) -> None:
    """The reason is the error of the read."""
    broken, _ = make(2)
    broken.client.send(b"a")
    broken.does = lambda: CONNECTION_LOST
    group.doRead()
    assert broken.told == ["ConnectionLost"]


def test_a_fault_costs_only_its_own_connection(
    group: ReadGroup, make: Make, flush_logged_errors: Flush
) -> None:
    """The others are read from in the same turn."""
    broken, fine = make(2)

    def fail() -> None:
        raise ZeroDivisionError

    broken.does = fail  # type: ignore[assignment]
    for one in (broken, fine):
        one.client.send(b"a")
    group.doRead()
    assert broken.told == ["ZeroDivisionError"]
    assert fine.data == b"a"
    assert len(flush_logged_errors(ZeroDivisionError)) == 1


def test_it_is_there_while_somebody_is_connected(
    group: ReadGroup, reactor: Reactor, make: Make
) -> None:
    """The group stays until its last socket leaves, even after the daemon stops listening."""
    last, *_ = make(1)
    descriptor = group.fileno()
    group.close()
    last.client.send(b"a")
    group.doRead()
    assert last.data == b"a"
    group.leave(last)
    assert reactor.readers == set()
    assert group.fileno() == -1
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_who_comes_back_when_all_were_gone_is_read_from(
    group: ReadGroup, reactor: Reactor, make: Make
) -> None:
    """A connection that pauses leaves, and it may be the last one after listening has stopped."""
    [last] = make(1)
    group.leave(last)
    group.close()
    assert reactor.readers == set()
    group.join(last)
    last.client.send(b"a")
    assert reactor.readers == {group}
    group.doRead()
    assert last.data == b"a"
    group.leave(last)
    assert reactor.readers == set()


def test_a_descriptor_that_was_closed_without_a_word_can_be_used_again(
    group: ReadGroup, make: Make
) -> None:
    """The next socket may get the same number."""
    silent, _ = make(2)
    number = silent.fileno()
    silent.ours.close()
    [new] = make(1)
    assert new.fileno() == number
    new.client.send(b"a")
    group.doRead()
    assert new.data == b"a"


def test_the_last_two_may_leave_in_one_turn(group: ReadGroup, reactor: Reactor, make: Make) -> None:
    """The group then has no socket left and leaves the reactor."""
    pair = make(2)
    group.close()
    for one in pair:
        one.client.close()
    group.doRead()
    assert [one.told for one in pair] == [["ConnectionDone"]] * 2
    assert reactor.readers == set()


def test_a_reactor_that_drops_everything_drops_everybody(
    group: ReadGroup, reactor: Reactor, make: Make
) -> None:
    """The reactor does that when it stops."""
    crowd = make(3)
    group.connectionLost(Failure(ConnectionLost()))
    assert [one.told for one in crowd] == [["ConnectionLost"]] * 3
    assert reactor.readers == set()
