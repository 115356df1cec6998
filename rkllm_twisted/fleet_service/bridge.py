"""A board's bridge: it watches the board's daemon, tells the fleet, and makes the fleet's runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from rkllm_twisted.client.endpoint import Address, RKLLMClientService, connect
from rkllm_twisted.errors import RPCError, Unreachable
from rkllm_twisted.fleet_service.board_runs import BoardRuns, streamed
from rkllm_twisted.fleet_service.conversations import Conversations
from rkllm_twisted.fleet_service.published import (
    away,
    has_changed,
    loaded_of,
    model_name,
    needs_load,
    offered_model,
    published,
)
from rkllm_twisted.values import OnResults

#: The seconds between two looks at the daemon.
LOOK_S = 0.5
#: The seconds that a look may take.
PATIENCE_S = 10.0
#: The delay before the model is loaded again, and the longest, in seconds; each failure doubles it.
BACK_OFF_S, MAX_BACK_OFF_S = 1.0, 300.0

_log = Logger("rkllm.fleet")

#: Publishes the state of the board; ``offered`` in it is the model that it offers now.
Publish = Callable[[Mapping[str, Any]], object]


class Bridge:
    """What a bridge does, apart from the fleet's engine.

    :param name: of the board.
    :param daemon: the address of its daemon.
    :param publish: takes what is new.
    :param model: the path or name of the model that is loaded when none is; None: the daemon's
        clients, or its own options, load one.
    :param celsius: returns the temperature of the NPU.
    :ivar offered: the name of the model that the board offers now; None: none.
    """

    def __init__(
        self,
        reactor: Any,
        name: str,
        daemon: Address | None,
        publish: Publish,
        model: str | None = None,
        celsius: Callable[[], float | None] = lambda: None,
    ) -> None:
        self.name = name
        self.offered: str | None = None
        self.status: Mapping[str, Any] = {}
        self.conversations = Conversations(lambda: connect(reactor, daemon))
        self.runs = BoardRuns(
            name, self.conversations, self._ask_status, lambda: self.offered, self.look
        )
        self._reactor = reactor
        self._publish = publish
        self._model = model
        self._celsius = celsius
        self._control = RKLLMClientService(reactor, daemon, retry_policy=lambda _: LOOK_S)
        self._facts: dict[str, Any] = {}
        self._last: Mapping[str, Any] | None = None
        self._watch = LoopingCall(self.look)
        self._watch.clock = reactor
        self._is_looking = self._looks_again = False
        self._load: Deferred[Any] | None = None
        self._later: IDelayedCall | None = None
        self._delay = BACK_OFF_S
        self._is_leaving = False

    def start(self) -> None:
        """Watch the daemon."""
        self._control.startService()
        self._watch.start(LOOK_S)

    async def leave(self) -> None:
        """Offer nothing more, and let the run under way end."""
        self._is_leaving = True
        if self._last is not None:
            self._set_state({**self._last, "offered": None})
        await self.runs.leave()

    async def stop(self) -> None:
        """Leave the daemon; it ends what is under way."""
        if self._watch.running:
            self._watch.stop()
        if self._later is not None and self._later.active():
            self._later.cancel()
        if self._load is not None:
            self._load.cancel()
        stopping = maybeDeferred(self._control.stopService)
        await DeferredList([self.conversations.close(), stopping], consumeErrors=True)

    async def call(self, method: str, params: Any, on_results: OnResults) -> Any:
        """Ask the daemon, for an administrator of the fleet."""
        client = await self._control.whenConnected(failAfterFailures=1)
        try:
            return await streamed(client, method, params, on_results)
        finally:
            self.look()

    def look(self) -> None:
        """Look at the daemon soon."""
        if self._is_looking:
            self._looks_again = True
            return
        self._is_looking = True
        Deferred.fromCoroutine(self._look()).addBoth(self._looked)

    def _looked(self, result: object) -> None:
        self._is_looking = False
        if self._looks_again:
            self._looks_again = False
            self.look()

    async def _look(self) -> None:
        try:
            status = await self._ask_status()
            if self._facts.get("loaded") != loaded_of(status):
                self._facts = await self._learn(status)
        except (Unreachable, RPCError) as error:
            self.status = {}
            self._set_state(away(str(error), self._last_model))
            if isinstance(error, Unreachable):  # what a daemon that hangs has under way is lost
                self.conversations.close()
            return
        except CancelledError:
            return  # the bridge stops
        except Exception:  # noqa: BLE001 - the next look is the remedy
            _log.failure("looking at the daemon failed")
            return
        self.status = status
        self._load_if_needed(status)
        offered = None if self._is_leaving else offered_model(status)
        celsius = self._celsius()
        state = published(status, offered, self.runs.under_way, self._last_model, celsius)
        self._set_state({**state, "abi": self._facts["abi"], "entry": self._facts["entry"]})

    async def _ask_status(self) -> Mapping[str, Any]:
        client = await self._control.whenConnected(failAfterFailures=1)
        status: Mapping[str, Any] = await client.call("server.status", timeout=PATIENCE_S)
        return status

    async def _learn(self, status: Mapping[str, Any]) -> dict[str, Any]:
        """Ask for what changes only when a model or a vision encoder is loaded."""
        client = await self._control.whenConnected(failAfterFailures=1)
        version = await client.call("server.version", timeout=PATIENCE_S)
        entry = None
        if status.get("model") is not None:
            listing = await client.call("models.list", timeout=PATIENCE_S)
            entry = next((one for one in listing["models"] if one["loaded"]), None)
        return {"loaded": loaded_of(status), "abi": version["runtime"]["abi"], "entry": entry}

    def _set_state(self, state: Mapping[str, Any]) -> None:
        if has_changed(self._last, state):
            problem = state.get("problem")
            if problem is not None and problem != (self._last or {}).get("problem"):
                _log.error("{board}: {problem}", board=self.name, problem=problem)
            self._last, self.offered = state, state["offered"]
            self._publish(state)

    @property
    def _last_model(self) -> str | None:
        return None if self._last is None else self._last.get("model")

    @property
    def state(self) -> Mapping[str, Any] | None:
        """What was published last; None: nothing yet."""
        return self._last

    # The configured model

    def _load_if_needed(self, status: Mapping[str, Any]) -> None:
        if self._model is None or self._load is not None or self._later is not None:
            return
        if model_name(status) is not None:
            self._delay = BACK_OFF_S
        elif needs_load(status) and not self._is_leaving:
            self._begin_load()

    def _begin_load(self) -> None:
        self._later = None
        _log.info("{board}: loading {model}", board=self.name, model=self._model)
        self._load = Deferred.fromCoroutine(self._load_model())
        self._load.addErrback(self._load_failed).addBoth(self._load_ended)

    async def _load_model(self) -> None:
        client = await self._control.whenConnected(failAfterFailures=1)
        assert self._model is not None
        if "/" in self._model:
            await client.call("rkllm.init", [{"model_path": self._model}])
        else:
            await client.call("models.load", {"model": self._model})

    def _load_failed(self, failure: Any) -> None:
        if self._is_leaving or not self._watch.running:
            return
        _log.error(
            "{board}: {model} is not loaded: {error}; again in {delay:g} s",
            board=self.name,
            model=self._model,
            error=failure.value,
            delay=self._delay,
        )
        self._later = self._reactor.callLater(self._delay, self._begin_load)
        self._delay = min(2 * self._delay, MAX_BACK_OFF_S)

    def _load_ended(self, _: object) -> None:
        self._load = None
        self.look()
