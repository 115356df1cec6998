"""The values that :mod:`rkllm_twisted.interfaces` passes around.

They stand in a module of their own because clients need them without zope.interface, whose import
would only make them start more slowly.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from enum import IntEnum
from typing import Any

import attrs

#: The parameters of a request as they came: positional, by name, or none at all.
Params = Sequence[object] | Mapping[str, object] | None
#: An RKLLMResult: the structure's fields by name, and ``_callback_state``.
Result = Mapping[str, Any]
#: The member of a run's last result that has the errors and warnings that the library printed
#: during the run. It is there only if there were any.
LINES = "_lines"
#: The member of a run's last result that says whether its prompt cache was saved. It is there only
#: if the run was to save one.
SAVED = "_prompt_cache_saved"
#: The member of a run's last result that says why the answer ended: ``length`` if the limit of the
#: run, of the model or of the context was reached, ``cancelled`` if it was aborted. Without it the
#: model has ended the answer.
FINISH_REASON = "_finish_reason"
OnResult = Callable[[Result], object]
#: Takes results that came together, in order.
OnResults = Callable[[Sequence[Result]], object]
#: The calls of one turn, see :meth:`rkllm_twisted.interfaces.INPU.perform`.
Procedure = Callable[[Any], Any]


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
    """Floats as the runtime left them: bytes, until the form that the client prefers is known.

    It is not an attrs class, because msgspec encodes attrs classes by itself; for this class it
    calls a hook, so that a result need not be searched for arrays before it is encoded.

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
    """A parameter that is not a valid float array, found by a process that does not know its name.

    The code that takes the parameter raises InvalidParams with the name.

    :param where: the place in the parameter, e.g. ``[17]`` or ``.shape``.
    :param what: what is wrong there.
    """

    where: str
    what: str


@attrs.frozen
class Peer:
    """The process at the other end of a connection (``SO_PEERCRED``, as of its ``connect()``).

    :param number: of the connection, counted from 1; the log names a connection by it.
    :param pid: the process may have ended since, and another may have its number.
    :param groups: all groups of the process, ``gid`` among them.
    """

    number: int
    pid: int | None = None
    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()


@attrs.frozen
class RuntimeVersion:
    """The runtime that is in use, and how its release was detected.

    :param library: path of the shared library.
    :param version: what the library says of itself, e.g. ``1.2.3``; ``None`` if it says nothing.
    :param abi: the layout in use, e.g. ``1.2.1``.
    :param recognised_by: how the layout was chosen, in words.
    :param backend: ``npu``, or what an embedded runtime calls itself, e.g. ``cpu (tiny)``.
    :param limits: what each engine of an embedded runtime cannot do.
    :param host: what calls the library: ``c`` or ``python``, the program of the runtime's process;
        ``thread``, the daemon itself.
    :param host_reason: why it is ``python`` where ``c`` would be used, and what to do; else None.
    """

    library: str
    version: str | None
    abi: str
    recognised_by: str
    backend: str
    limits: Mapping[str, Sequence[str]] = attrs.field(factory=dict)
    host: str = "thread"
    host_reason: str | None = None


@attrs.frozen
class Running:
    """The current call: its client (see :meth:`INPU.call`) and its function of rkllm.h."""

    client: Hashable
    function: str


#: How many of the clients that wait ``server.status`` names: there may be a thousand.
MAX_WAITING = 100


@attrs.frozen
class Waiting:
    """A client and the number of its calls that wait for their turn."""

    client: Hashable
    calls: int


@attrs.frozen
class ModelLimits:
    """The parameters that a model was loaded with (RKLLMParam).

    :param max_context_len: in tokens: prompt, history and answer together.
    :param max_new_tokens: of an answer; -1: as many as the context holds.
    :param skip_special_token: True if the text of answers lacks the model's special tokens.
    :param sampling: the fields that RKLLMSamplingParam has since 1.3.0, too.
    :param image: the texts around an image: start, content, end; None in releases that take them
        with each input (since 1.3.0).
    """

    max_context_len: int
    max_new_tokens: int
    skip_special_token: bool
    sampling: Mapping[str, float] = attrs.field(factory=dict, hash=False)
    image: tuple[str, str, str] | None = None


@attrs.frozen
class NPUStatus:
    """The state of the NPU.

    :param state: ``empty`` (no model), ``loading``, ``loaded``, ``running``, ``stuck``
        (in a call that cannot be ended), ``failed`` (no process can be started for it) or
        ``closed``.
    :param model_path: of the loaded model.
    :param queue_length: the number of calls that wait for their turn.
    :param runs: the number of runs since the start that have ended, in whatever way.
    :param tokens: the number of callbacks with a token since the start.
    :param loads: the number of models loaded since the start; each load changes it.
    :param load_s: seconds that these loads have taken.
    :param crashes: how often the runtime's process has crashed since the start.
    :param problem: how the runtime's process crashed, if no model has been loaded since.
    :param running: the current call; None if the NPU is free.
    :param waiting: the first clients that wait, in the order of the next turns: as many as were
        asked for.
    :param waiting_clients: the number of all of them.
    :param max_context_len: of the loaded model, in tokens: prompt, history and answer together.
    :param max_new_tokens: of an answer of the loaded model; -1: as many as the context holds.
    :param lora_adapters: the names of the adapters that the loaded model has.
    """

    state: str
    model_path: str | None
    queue_length: int
    runs: int
    tokens: int
    problem: str | None = None
    running: Running | None = None
    waiting: tuple[Waiting, ...] = ()
    max_context_len: int | None = None
    max_new_tokens: int | None = None
    lora_adapters: tuple[str, ...] = ()
    loads: int = 0
    load_s: float = 0.0
    crashes: int = 0
    waiting_clients: int = 0


@attrs.frozen
class SelfDescription:
    """The description of the daemon's methods, made once for the loaded release.

    :param document: the OpenRPC document, already encoded: the result of ``rpc.discover``.
    :param help: method name -> its description as text.
    :param signatures: method name -> a list of ``[type of the result, types of the parameters …]``;
        the empty string if the types are not known.
    """

    document: object
    help: Mapping[str, str]
    signatures: Mapping[str, object]
