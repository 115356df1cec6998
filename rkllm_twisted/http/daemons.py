"""The daemons behind the service: which models there are, and who answers for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, FirstError, gatherResults
from twisted.internet.task import deferLater
from twisted.logger import Logger

from rkllm_twisted.client.endpoint import Address
from rkllm_twisted.errors import NoModel, RPCError, Unreachable
from rkllm_twisted.http.daemon_row import away_row, daemon_row
from rkllm_twisted.http.lane import Lane
from rkllm_twisted.http.precedence import Precedence
from rkllm_twisted.http.served_models import ServedModel, find_model, models_of, not_found
from rkllm_twisted.http.target import OnRun, Target

_log = Logger("rkllm.http")

#: The seconds for which the lists of models are believed.
LISTING_S = 2.0
#: The seconds after which a daemon that loads a model is asked again.
LOADING_S = 0.25
#: The connections to one daemon; more clients than that share them.
MAX_LANES = 32
#: The name of the service's own requests, such as for the list of models.
OWN = ""


class DaemonLink:
    """One daemon.

    :param number: its place among the daemons.
    """

    def __init__(self, reactor: Any, address: Address, number: int) -> None:
        self.number = number
        self.address = address
        self._reactor = reactor
        self._lanes: dict[object, Lane] = {}
        self.precedence = Precedence(reactor)
        #: The release of its runtime, such as ``1.3.0``; empty until it is known.
        self.release = ""
        #: The seconds that it has spent loading models, when it was asked last.
        self.load_s = 0.0
        #: True if it loads a model now.
        self.is_loading = False
        self._model_path: str | None = None

    @property
    def samples(self) -> bool:
        """True if a run may have sampling parameters of its own (rkllm.h 1.3.0)."""
        numbers = self.release.split(".")[:2]
        return not self.release or tuple(int(n) for n in numbers if n.isdigit()) >= (1, 3)

    def lane(self, client: str) -> Lane:
        """Return the lane of a client of the service."""
        key: object = client
        if key not in self._lanes and len(self._lanes) >= MAX_LANES:
            self._lanes = {k: lane for k, lane in self._lanes.items() if not lane.is_free}
            if len(self._lanes) >= MAX_LANES:
                key = [*self._lanes][hash(client) % MAX_LANES]
        return self._lanes.setdefault(key, Lane(self._reactor, self.address))

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> Deferred[Any]:
        """Make a request of the service's own."""
        return Deferred.fromCoroutine(self.lane(OWN).call(method, params))

    def status(self, client: str) -> Deferred[Any]:
        """Return the daemon's status, from the connection of a client if that is in use.

        :returns: a Deferred of the result of ``server.status``; its ``client`` is then the number
            by which the queue knows the client's requests.
        """
        lane = self.lane(client)
        asked = lane if lane.is_in_use else self.lane(OWN)
        return Deferred.fromCoroutine(asked.call("server.status", None))

    async def loading_s(self) -> float:
        """Return the seconds that the daemon has spent loading models since its start.

        If it does not answer, they are those of the last answer.
        """
        with suppress(RPCError, Unreachable):
            status = await self.call("server.status")
            self.load_s = status.get("load_s", 0.0)
        return self.load_s

    async def has_changed(self) -> bool:
        """True if another model may be loaded than at the last list; one question instead of three.

        A model that was loaded by its path has no name that a request could give the daemon.
        """
        try:
            status = await self.call("server.status")
        except (RPCError, Unreachable):
            return True
        return bool(status["state"] == "loading" or status["model_path"] != self._model_path)

    async def models(self) -> list[ServedModel]:
        """Return the daemon's models."""
        asked = [self.call(name) for name in ("models.list", "server.status", "server.version")]
        try:
            listing, status, version = await gatherResults(asked, consumeErrors=True)
        except FirstError as error:
            error.subFailure.raiseException()
            raise  # not reached: the line above raises what failed
        self.release = str(version["runtime"]["abi"])
        self.is_loading = status["state"] == "loading"
        self._model_path = status["model_path"]
        self.load_s = status.get("load_s", 0.0)
        return models_of(self.number, listing, status)

    def close(self) -> Deferred[Any]:
        """Close all connections."""
        closing = [lane.close() for lane in self._lanes.values()]
        return DeferredList([one for one in closing if one is not None])


class Daemons:
    """All daemons behind the service.

    :param addresses: where they listen, see :func:`rkllm_twisted.client.connect`.
    :ivar on_run: called with each :class:`ModelAnswer`.
    """

    def __init__(self, reactor: Any, addresses: Sequence[Address]) -> None:
        self._reactor = reactor
        self.links = [DaemonLink(reactor, one, number) for number, one in enumerate(addresses)]
        self.on_run: list[OnRun] = []
        self._models: list[ServedModel] = []
        self._listed_at = float("-inf")
        self._waiting: list[Deferred[None]] = []

    async def models(self, max_age: float = 0.0) -> list[ServedModel]:
        """Return the models of all daemons that answer.

        :param max_age: seconds for which an earlier list is good enough.
        :raises Unreachable, RPCError: no daemon answers; the error is the first one's.
        """
        if self._reactor.seconds() - self._listed_at >= max_age or not self._models:
            await self._list()
        return self._models

    async def find(self, name: str | None, client: str) -> Target:
        """Return the model that a name means. While a daemon loads one, it may be that.

        :param name: the name; None for the model that is loaded.
        :param client: the client of the service.
        :raises HTTPError: no daemon has such a model.
        :raises NoModel: no name was given and no model is loaded.
        :raises Unreachable, RPCError: no daemon answers.
        """
        model = find_model(await self.models(LISTING_S), name)
        if model is None or (model.target is None and await self.links[model.daemon].has_changed()):
            model = find_model(await self.models(), name)
        while model is None and any(link.is_loading for link in self.links):
            await deferLater(self._reactor, LOADING_S)
            model = find_model(await self.models(), name)
        if model is None:
            if name is None:
                raise NoModel.after(None)
            raise not_found(self._models, name)
        link = self.links[model.daemon]
        return Target(model, link, client, self.on_run, self._reactor.seconds)

    async def rows(self, client: str) -> Sequence[Mapping[str, Any]]:
        """Return what each daemon does now, see :mod:`.daemon_row`.

        :param client: the client of the service that asks.
        """
        asked = [Deferred.fromCoroutine(_row(link, client)) for link in self.links]
        rows: Sequence[Mapping[str, Any]] = await gatherResults(asked)
        return rows

    async def _list(self) -> None:
        """Ask all daemons; requests that come meanwhile wait for the same answer."""
        waiter: Deferred[None] = Deferred()
        self._waiting.append(waiter)
        if len(self._waiting) == 1:
            Deferred.fromCoroutine(self._ask_all()).addBoth(self._listed)
        await waiter

    def _listed(self, result: Any) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.called:  # one may have been cancelled
                waiter.callback(result)

    async def _ask_all(self) -> None:
        asked = [Deferred.fromCoroutine(link.models()) for link in self.links]
        answers: Any = await DeferredList(asked, consumeErrors=True)
        failures = [result for succeeded, result in answers if not succeeded]
        for failure in failures:
            failure.trap(RPCError, Unreachable)
        if len(failures) == len(answers):
            self._models = []
            failures[0].raiseException()
        self._models = [model for succeeded, models in answers if succeeded for model in models]
        self._listed_at = self._reactor.seconds()

    def close(self) -> Deferred[Any]:
        """Close all connections."""
        return DeferredList([link.close() for link in self.links])


async def _row(link: DaemonLink, client: str) -> Mapping[str, Any]:
    try:
        return daemon_row(link.number, await link.status(client))
    except (RPCError, Unreachable) as error:
        return away_row(link.number, str(error))
