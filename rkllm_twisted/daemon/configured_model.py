"""``--model``: loads the model when the daemon starts, and again after a crash."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from rkllm_twisted.abi.layouts import layout_of
from rkllm_twisted.daemon.named_loads import load_of
from rkllm_twisted.daemon.options import Options
from rkllm_twisted.daemon.resident_model import ResidentModel
from rkllm_twisted.errors import RPCError, ShuttingDown, StartupError
from rkllm_twisted.interfaces import INPU, IRuntime
from rkllm_twisted.models.catalogue import Catalogue, loaded_kinds
from rkllm_twisted.models.directories import ModelDirectories
from rkllm_twisted.models.named_model import NamedModel

#: The seconds between two checks that the model is still loaded.
CHECK_INTERVAL_S = 1.0
#: The delay before the second try, and the longest delay, in seconds; each try doubles it.
BACK_OFF_S, MAX_BACK_OFF_S = 1.0, 300.0
#: If a model was loaded for so many seconds before a crash, the delay is short again.
STANDS_S = 60.0

_log = Logger("rkllm.daemon")


class ConfiguredModel(Service):
    """Loads a model at start, and again after a crash of the runtime.

    It does not undo what clients do: a model that a client destroyed stays unloaded, and one that a
    client loaded stays loaded.

    :param model: its path, for the log.
    :param load: loads it.
    """

    def __init__(
        self, reactor: Any, npu: INPU, model: str, load: Callable[[], Deferred[object]]
    ) -> None:
        self._reactor = reactor
        self._npu = npu
        self._model = model
        self._load_model = load
        self._call: Deferred[object] | None = None
        self._delayed: IDelayedCall | None = None
        self._delay = BACK_OFF_S
        self._began = 0.0
        self._watch = LoopingCall(self._check)
        self._watch.clock = reactor

    def startService(self) -> None:
        """Load the model. Until then requests wait in the NPU's queue."""
        super().startService()
        self._load()
        self._watch.start(CHECK_INTERVAL_S, now=False)

    def stopService(self) -> None:
        """Stop loading. A load that is under way ends with the NPU."""
        super().stopService()
        if self._watch.running:
            self._watch.stop()
        if self._delayed is not None:
            self._delayed.cancel()
            self._delayed = None

    def _load(self) -> None:
        self._delayed = None
        self._began = self._reactor.seconds()
        _log.info("loading {model}", model=self._model)
        self._call = self._load_model()
        self._call.addCallbacks(self._loaded, self._failed)

    def _loaded(self, _: object) -> None:
        self._call = None
        _log.info(
            "{model} is loaded after {duration:.1f} s",
            model=self._model,
            duration=self._reactor.seconds() - self._began,
        )

    def _failed(self, failure: Failure) -> None:
        self._call = None
        if failure.check(ShuttingDown, CancelledError) or not self.running:
            return
        _log.error("{model} is not loaded: {error}", model=self._model, error=failure.value)
        self._load_later()

    def _load_later(self) -> None:
        _log.info("{model} is loaded again in {delay:g} s", model=self._model, delay=self._delay)
        self._delayed = self._reactor.callLater(self._delay, self._load_if_gone)
        self._delay = min(2 * self._delay, MAX_BACK_OFF_S)

    def _load_if_gone(self) -> None:
        self._delayed = None
        if self._npu.status().state in ("empty", "failed"):
            self._load()

    def _check(self) -> None:
        """Load the model again if a crash has ended it."""
        if self._call is not None or self._delayed is not None:
            return
        status = self._npu.status()
        if status.state in ("empty", "failed") and status.problem is not None:
            self._load_later()
        elif self._reactor.seconds() - self._began > STANDS_S:
            self._delay = BACK_OFF_S


@attrs.frozen
class ModelOfOptions:
    """The model that the options name.

    :param path: of its file.
    :param param: the RKLLMParam to load it with; for a model with a name, the fields in place of
        those of its ``rkllm.toml``.
    :param named: None: the options have its path.
    """

    path: str
    param: Mapping[str, Any]
    named: NamedModel | None = None

    def load(self, npu: INPU, resident: ResidentModel) -> Deferred[object]:
        """Load it."""
        if self.named is None:
            loaded: Deferred[object] = npu.call("rkllm_init", [self.param])
            return loaded
        return maybeDeferred(resident.load_found, self.named, self.param)


def model_of(options: Options, runtime: IRuntime) -> ModelOfOptions:
    """Return the model of ``--model``.

    :raises StartupError: there is no such model, or a parameter is wrong.
    """
    wanted = options["model"]
    try:
        model = _found(wanted, options, runtime)
        for path, value in options["model-param"]:
            _assign(model.param, path, value)
        param = model.param
        if model.named is not None:
            param = load_of(model.named, runtime.release, param).param
        runtime.prepare("rkllm_init", [param])
    except RPCError as error:
        raise StartupError(f"--model {wanted}: {error}") from None
    return model


def _found(wanted: str, options: Options, runtime: IRuntime) -> ModelOfOptions:
    """Find a model by its path or its name."""
    path = Path(wanted)
    if path.is_file() or not options["model-dir"] or path.is_absolute():
        if not path.is_file():
            raise StartupError(f"--model {wanted}: there is no such file.")
        absolute = str(path.absolute())
        return ModelOfOptions(absolute, {"model_path": absolute})
    loads = loaded_kinds(runtime.version.backend)
    directories = ModelDirectories(options["model-dir"])
    named = Catalogue(directories, layout_of(runtime.release), loads).find(wanted)
    named.check()
    return ModelOfOptions(named.path, {}, named)


def _assign(param: Any, path: Sequence[str], value: object) -> None:
    """Set a field, or a field of a nested structure."""
    *outer, name = path
    for part in outer:
        inner = param.get(part)
        param[part] = dict(inner) if isinstance(inner, Mapping) else {}
        param = param[part]
    param[name] = value
