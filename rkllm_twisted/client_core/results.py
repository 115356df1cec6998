"""Typed results. Each keeps the daemon's own result in ``raw``."""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import attrs

from rkllm_twisted.run_error import run_error
from rkllm_twisted.values import (
    FINISH_REASON,
    LAST_STATES,
    LINES,
    FloatArray,
    RunState,
    RuntimeVersion,
)

T = TypeVar("T")
#: Rows of floats: lists of numbers, or after ``configure(floats="base64")`` their bytes.
Rows = FloatArray | list[Any]
Raw = Mapping[str, Any]


@attrs.frozen
class Perf:
    """The figures of a run."""

    prefill_time_ms: float = 0.0
    prefill_tokens: int = 0
    generate_time_ms: float = 0.0
    generate_tokens: int = 0
    memory_usage_mb: float = 0.0

    @property
    def prefill_rate(self) -> float:
        """Tokens of the prompt per second."""
        return _per_second(self.prefill_tokens, self.prefill_time_ms)

    @property
    def generate_rate(self) -> float:
        """Tokens of the answer per second."""
        return _per_second(self.generate_tokens, self.generate_time_ms)


def _per_second(count: int, milliseconds: float) -> float:
    return 1000 * count / milliseconds if milliseconds else 0.0


@attrs.frozen
class Result:
    """An RKLLMResult.

    :param text: the text that this result adds to the answer; it may be empty.
    :param token_id: the token's number; -1 if there is no token.
    :param state: the state of the run.
    :param perf: the figures, in the result that ends a run, on releases that have them.
    :param logits: one row for each token, in the mode for logits.
    :param hidden_states: one row for each token, in the mode for hidden states.
    :param rows: with ``n_batch`` above 1, one result for each row.
    :param raw: the RKLLMResult as the daemon has sent it.
    """

    text: str
    token_id: int
    state: int
    perf: Perf | None = None
    logits: Rows | None = None
    hidden_states: Rows | None = None
    rows: tuple[Result, ...] = ()
    raw: Raw = attrs.field(factory=dict, repr=False, eq=False)

    @property
    def lines(self) -> tuple[str, ...]:
        """The errors and warnings that the library printed during the run, in its last result.

        The runtime says there what it dropped of a history that filled the context, for example.
        """
        return tuple(self.raw.get(LINES, ()))

    @property
    def finish_reason(self) -> str | None:
        """Why the answer has ended; None if it has not, or if the run has failed.

        ``stop``: the model has ended it. ``length``: the run, the model or the context allows no
        more tokens. ``cancelled``: the run was aborted.
        """
        if self.state != RunState.FINISH:
            return None
        return str(self.raw.get(FINISH_REASON, "stop"))


@attrs.frozen
class FinishedResult(Result):
    """The result of a whole run, with all the text.

    :param perf: the figures; zeros on releases that have none.
    """

    perf: Perf = attrs.field(factory=Perf)


def finished_result(raw: Raw) -> FinishedResult:
    """Read the only result of ``rkllm.run``."""
    members = {name: value for name, value in _members(raw).items() if value is not None}
    return FinishedResult(**members)


def result_of(raw: Raw) -> Result:
    """Read one result of a run."""
    return Result(**_members(raw))


def _members(raw: Raw) -> dict[str, Any]:
    state = raw.get("_callback_state", RunState.FINISH)
    perf = raw.get("perf") if state in LAST_STATES else None
    rows = raw.get("results", ())
    return {
        "text": raw.get("text") or "",
        "token_id": raw.get("token_id", -1),
        "state": RunState(state) if state in _STATES else state,
        "perf": known(Perf, perf) if perf else None,
        "logits": _rows(raw, "logits", "logits"),
        "hidden_states": _rows(raw, "last_hidden_layer", "hidden_states"),
        "rows": tuple(result_of({"_callback_state": state, **row}) for row in rows),
        "raw": raw,
    }


def chunk_of(raw: Raw) -> Result:
    """Read one result of a stream.

    Only NORMAL results add text. A WAITING result announces a character with bytes that are still
    missing, and a FINISH result may repeat text.

    :raises RuntimeRefused: if the run has ended in an error. The end of a loop over the texts would
        look like success.
    """
    result = result_of(raw)
    if result.state == RunState.ERROR:
        raise run_error(raw.get(LINES) or ())
    return result if result.state == RunState.NORMAL else _without_text(result)


def _without_text(result: Result) -> Result:
    return attrs.evolve(result, text="", rows=tuple(map(_without_text, result.rows)))


_STATES = frozenset(RunState)


def _rows(raw: Raw, part: str, array: str) -> Rows | None:
    rows: Rows | None = as_rows((raw.get(part) or {}).get(array))
    return rows


def as_rows(values: Any) -> Any:
    """Read rows of floats, in either form; None if there are none."""
    if not isinstance(values, Mapping):
        return values  # JSON arrays, or null
    return FloatArray(binascii.a2b_base64(values["base64"]), tuple(values["shape"]))


@attrs.frozen
class DaemonStatus:
    """The result of ``server.status``; see ``docs/methods.md``.

    :param state: ``empty``, ``loading``, ``loaded``, ``running``, ``stuck``, ``failed`` or
        ``closed``.
    :param model: the name of the loaded model; None if it was loaded by its path.
    :param loads: models loaded since the start; each load changes it.
    :param load_s: seconds that these loads have taken.
    :param crashes: how often the runtime's process has crashed.
    :param max_context_len: the loaded model's context, in tokens; None if no model is loaded.
    :param max_new_tokens: the most tokens of an answer, from ``rkllm.init``.
    :param lora_adapters: the names of the loaded adapters.
    :param raw: the whole result.
    """

    state: str = ""
    model_path: str | None = None
    model: str | None = None
    loads: int = 0
    load_s: float = 0.0
    crashes: int = 0
    max_context_len: int | None = None
    max_new_tokens: int | None = None
    lora_adapters: Sequence[str] = ()
    queue_length: int = 0
    runs: int = 0
    tokens: int = 0
    problem: str | None = None
    history: str = "shared"
    backend: str = ""
    clients: int = 0
    uptime_s: float = 0.0
    pid: int = 0
    raw: Raw = attrs.field(factory=dict, repr=False, eq=False)


@attrs.frozen
class DaemonVersion:
    """The result of ``server.version``: the versions of the daemon and of its runtime."""

    version: str
    runtime: RuntimeVersion


def status_of(raw: Raw) -> DaemonStatus:
    """Read the result of ``server.status``."""
    return attrs.evolve(known(DaemonStatus, raw), raw=raw)


def version_of(raw: Raw) -> DaemonVersion:
    """Read the result of ``server.version``."""
    return DaemonVersion(raw["version"], known(RuntimeVersion, raw["runtime"]))


def known(kind: type[T], raw: Raw) -> T:
    """Make a value from the members that its class has; a later daemon may send more."""
    names = (field.name for field in attrs.fields(kind))  # type: ignore[arg-type]
    return kind(**{name: raw[name] for name in names if name in raw})
