"""Loads models by name within a turn, and remembers what was loaded by which name."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping

import attrs

from rkllm_twisted.abi.release import Release
from rkllm_twisted.abi.scalars import param_error
from rkllm_twisted.daemon.memory_domain import AdaptParam, unadapted
from rkllm_twisted.errors import NoModel, NotAllowed, RPCError
from rkllm_twisted.interfaces import ITurn
from rkllm_twisted.models.named_model import NamedModel
from rkllm_twisted.models.resident import CurrentModel
from rkllm_twisted.models.swap_order import WantedModel


@attrs.frozen
class ModelLoad:
    """The parameters that load a model.

    :param param: the RKLLMParam.
    :param wanted: the model, for the order of the requests.
    """

    named: NamedModel
    param: Mapping[str, object]
    wanted: WantedModel


def load_of(
    named: NamedModel,
    release: Release,
    param: Mapping[str, object] | None = None,
    is_exact: bool = False,
) -> ModelLoad:
    """Return what loads a model.

    :param param: fields in place of those of its ``rkllm.toml``.
    :param is_exact: True if the model, loaded with other parameters, will not do.
    :raises InvalidParams: the fields have a path.
    """
    if param and "model_path" in param:
        raise param_error("param.model_path", "is the file of the model; leave it out")
    whole = _merged(named.init_param(release), param or {})
    facts = [whole, attrs.astuple(named.identity), list(named.adapters.values())]
    version = json.dumps([*facts, named.end_tokens], sort_keys=True, default=repr)
    return ModelLoad(named, whole, WantedModel(named.name, version, is_exact))


def _merged(fields: Mapping[str, object], others: Mapping[str, object]) -> dict[str, object]:
    """Return fields with others in their place; of nested structures, too."""
    merged = dict(fields)
    for name, value in others.items():
        old = merged.get(name)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[name] = _merged(old, value) if both else value  # type: ignore[arg-type]
    return merged


@attrs.define(eq=False)
class LoadAttempt:
    """One attempt to load a model, for all requests that wait for it.

    :ivar is_loading: the NPU thread is at it.
    :ivar error: why it has failed.
    """

    wanted: WantedModel | None
    is_loading: bool = False
    error: RPCError | None = None


def again(error: RPCError) -> RPCError:
    """Return the same error for another request: one object cannot have two tracebacks."""
    return type(error)(error.message, error.data)


class NamedLoads:
    """The model that was loaded last by name. It writes in the NPU thread only.

    :param seconds: a clock.
    :param adapt: adds to the parameters of a load, see :mod:`.memory_domain`.
    """

    def __init__(self, seconds: Callable[[], float], adapt: AdaptParam = unadapted) -> None:
        self._seconds = seconds
        self._adapt = adapt
        self._last: tuple[ModelLoad, CurrentModel] | None = None
        self._missing: list[Mapping[str, object]] = []

    def current(self, path: str | None, loads: int) -> CurrentModel | None:
        """Return the loaded model.

        :param path: of the loaded model; None if there is none.
        :param loads: the number of loads so far.
        """
        last = self._last
        if path is None or last is None or last[1].load_number != loads:
            return None if path is None else CurrentModel(path, loads)
        return last[1]

    def current_load(self, path: str | None, loads: int) -> ModelLoad | None:
        """Return what has loaded the model; None if no name has. Parameters: see above."""
        last = self._last
        return last[0] if path is not None and last and last[1].load_number == loads else None

    def ensure(
        self,
        turn: ITurn,
        load: ModelLoad | None,
        attempt: LoadAttempt,
        may_load: bool,
        on_loading: Callable[[], object],
    ) -> CurrentModel:
        """Load a model unless it is loaded. In the NPU thread.

        :param load: None: any model will do.
        :param may_load: True if this client may load a model.
        :param on_loading: called before the load begins.
        :raises NoModel: any would do, and there is none.
        :raises RPCError: it could not be loaded.
        """
        if load is not None:
            self._ensure(turn, load, attempt, may_load, on_loading)
        current = self.current(turn.model_path if turn.loaded else None, turn.loads)
        if current is None:
            raise NoModel.after(turn.problem)
        return current

    def _ensure(
        self,
        turn: ITurn,
        load: ModelLoad,
        attempt: LoadAttempt,
        may_load: bool,
        on_loading: Callable[[], object],
    ) -> None:
        path = turn.model_path if turn.loaded else None
        loaded = self.current_load(path, turn.loads)
        is_there = load.wanted.is_met_by(None if loaded is None else loaded.wanted)
        if is_there and not self._missing:
            return
        if attempt.error is not None:
            raise again(attempt.error)
        if not may_load:
            raise not_allowed(load.named.name)
        before = self.current(path, turn.loads)
        attempt.is_loading = True
        try:
            on_loading()
            if not is_there:
                self._init(turn, load)
            self._load_adapters(turn)
        except RPCError as error:  # a cancel is of this request only; the next one goes on
            attempt.error = error if turn.loaded else _with_loss(error, before)
            raise again(attempt.error) from None
        finally:
            attempt.is_loading = False

    def _init(self, turn: ITurn, load: ModelLoad) -> None:
        param = self._adapt(load.param, load.named)
        prepared = turn.prepare("rkllm_init", [param])
        begun = self._seconds()
        turn.perform(prepared)
        path = str(load.param["model_path"])
        seconds = self._seconds() - begun
        current = CurrentModel(path, turn.loads, load.named, param, (), seconds)
        turn.end_at(load.named.end_tokens)
        self._missing = list(load.named.adapters.values())
        self._last = (load, current)

    def _load_adapters(self, turn: ITurn) -> None:
        while self._missing and self._last is not None:
            load, current = self._last
            name = str(self._missing[0]["lora_adapter_name"])
            try:
                turn.perform(turn.prepare("rkllm_load_lora", [self._missing[0]]))
            except RPCError as error:
                self._missing.clear()
                with contextlib.suppress(RPCError):
                    turn.perform(turn.prepare("rkllm_destroy", None))
                raise type(error)(
                    f"The adapter {name} of {load.named.name} was not loaded: {error}", error.data
                ) from None
            del self._missing[0]
            names = (*current.lora_adapters, name)
            self._last = (load, attrs.evolve(current, lora_adapters=names))


def not_allowed(name: str) -> NotAllowed:
    """Return the error for a client that may not load models."""
    return NotAllowed(
        f"{name} is not loaded, and loading models is for this daemon's administrators; its options"
        " --admin-uid and --admin-gid say who is.",
        {"parameter": "model", "model": name},
    )


def _with_loss(error: RPCError, before: CurrentModel | None) -> RPCError:
    """Return the error of a load that the model before did not survive."""
    if before is None:
        return error
    name = before.name or before.path
    return type(error)(
        f"{error.message} {name}, which was loaded before, is not loaded any more.",
        {**(error.data or {}), "unloaded": name},
    )
