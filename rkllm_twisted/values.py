"""The values that cross the seams of :mod:`rkllm_twisted.interfaces`, which names them all.

Clients import them from here: to them zope.interface would be no more than a slower start.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from enum import IntEnum
from typing import Any

import attrs

#: Where the daemon listens, and clients connect, unless told otherwise.
DEFAULT_SOCKET = "/tmp/rkllm.sock"
#: Bytes of the path of a UNIX socket: sun_path of Linux holds 108, the last of them NUL (unix(7)).
MAX_SOCKET_PATH_BYTES = 107
#: The parameters of a request as they came: positional, by name, or none at all.
Params = Sequence[object] | Mapping[str, object] | None
#: An RKLLMResult: the structure's fields by name, and ``_callback_state``.
Result = Mapping[str, Any]
OnResult = Callable[[Result], object]


class RunState(IntEnum):
    """``_callback_state`` of an RKLLMResult (LLMCallState of rkllm.h)."""

    NORMAL = 0
    #: The bytes of a character are not complete.
    WAITING = 1
    FINISH = 2
    ERROR = 3
    #: Releases 1.1.x only: hidden states. The run goes on.
    LAST_HIDDEN_LAYER = 4


#: The states that end a run.
LAST_STATES = frozenset({RunState.FINISH, RunState.ERROR})


@attrs.frozen
class NoParams:
    """``params`` of a method that takes none."""


class FloatArray:
    """Floats as the runtime left them, kept as bytes until a client's preferred form is known.

    No attrs class: msgspec would write one by itself, and asks for the form of any other. So what
    holds such arrays is written without looking for them first.

    :param data: little-endian float32, 4 bytes each, row by row.
    :param shape: rows × columns, e.g. ``(num_tokens, vocab_size)``.
    """

    __slots__ = ("data", "shape")
    __hash__ = None  # type: ignore[assignment]  # the bytes may be a bytearray

    def __init__(self, data: bytes, shape: tuple[int, ...]) -> None:
        self.data = data
        self.shape = shape

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FloatArray):
            return NotImplemented
        return self.data == other.data and self.shape == other.shape

    def __repr__(self) -> str:
        return f"FloatArray({self.data!r}, {self.shape!r})"


@attrs.frozen
class WrongArray:
    """A parameter that was to be a float array and is none, where that was noticed elsewhere.

    Whoever takes the parameter refuses it by its name.

    :param where: in the parameter, e.g. ``[17]`` or ``.shape``.
    :param what: is wrong with it.
    """

    where: str
    what: str


@attrs.frozen
class Peer:
    """Who is at the other end of a connection (``SO_PEERCRED``, as of its ``connect()``).

    :param number: counts the daemon's connections from 1; the name of a connection in the log.
    :param pid: at that moment; the process may have ended since and another have its number.
    :param groups: all that the process was in, ``gid`` among them.
    """

    number: int
    pid: int | None = None
    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()


@attrs.frozen
class RuntimeVersion:
    """Which runtime is in use and how that is known.

    :param library: path of the shared library.
    :param version: what the library says of itself, e.g. ``1.2.3``; ``None`` if it says nothing.
    :param abi: the layout in use, e.g. ``1.2.1``.
    :param recognised_by: how the layout was chosen, in words.
    :param backend: ``npu``, or what an embedded runtime calls itself, e.g. ``cpu (tiny)``.
    :param limits: what each engine of an embedded runtime cannot do.
    """

    library: str
    version: str | None
    abi: str
    recognised_by: str
    backend: str
    limits: Mapping[str, Sequence[str]] = attrs.field(factory=dict)


@attrs.frozen
class Running:
    """The call that has its turn: a client as :class:`INPU` was given it, a function of rkllm.h."""

    client: Hashable
    function: str


@attrs.frozen
class Waiting:
    """A client, and how many of its calls wait for their turn."""

    client: Hashable
    calls: int


@attrs.frozen
class NPUStatus:
    """What the NPU is doing.

    :param state: ``empty`` (no model), ``loading``, ``loaded``, ``running``, ``stuck``
        (in a call that cannot be ended), ``failed`` (no process for it can be had) or ``closed``.
    :param model_path: of the loaded model.
    :param queue_length: calls that wait for their turn.
    :param runs: runs that ended since the start, however they ended.
    :param tokens: callbacks with a token since the start.
    :param problem: how the runtime's process ended last, if that was a crash and no model has been
        loaded since.
    :param running: what has its turn; None if the NPU is free.
    :param waiting: who waits, in the order in which the turns come round.
    """

    state: str
    model_path: str | None
    queue_length: int
    runs: int
    tokens: int
    problem: str | None = None
    running: Running | None = None
    waiting: tuple[Waiting, ...] = ()


@attrs.frozen
class SelfDescription:
    """What the daemon says of its methods, made once for the loaded release.

    :param document: the OpenRPC document, written already: the result of ``rpc.discover``.
    :param help: by method, its description as text.
    :param signatures: by method, a list of ``[type of the result, types of the parameters …]``;
        the empty string where nothing is known.
    """

    document: object
    help: Mapping[str, str]
    signatures: Mapping[str, object]
