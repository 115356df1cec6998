"""The resource that answers all paths: it checks a request, finds its route, and maps errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from rkllm_twisted.errors import HTTPError, RPCError, ShuttingDown, Unreachable
from rkllm_twisted.http.daemons import Daemons
from rkllm_twisted.http.error_bodies import api_of
from rkllm_twisted.http.error_table import http_error
from rkllm_twisted.http.exchange import Exchange
from rkllm_twisted.http.registry import FoundRoute, Routes
from rkllm_twisted.http.trust import Trust
from rkllm_twisted.rpc.access_log import LINE, one_line

_log = Logger("rkllm.http")

#: What a page of another origin may send and read.
_CORS = {
    "Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS",
    "Access-Control-Max-Age": "600",
}
_HEADERS = "Authorization, Content-Type, X-Api-Key, Anthropic-Version"
_EXPOSED = "X-RKLLM-Ignored, X-RKLLM-History, Retry-After"


@attrs.frozen
class ExchangeRecord:
    """The facts of an exchange once it is over, for logs and metrics.

    :param client: the name of the client's key, else its address.
    :param asked: the path that was asked for.
    :param path: the first of the route's paths; empty if no route answered.
    :param api: the form of its errors.
    :param seconds: from the request's end to the answer's end.
    :param left: True if the client left before the end.
    """

    client: str
    method: str
    asked: str
    path: str
    api: str
    status: int
    seconds: float = 0.0
    left: bool = False


#: Called with each exchange that is over.
OnOver = Callable[[ExchangeRecord], object]


class APIResource(Resource):
    """Answers every path below it, so that it can be a site or a part of one.

    :param routes: all routes.
    :param trust: who may ask.
    :param daemons: what the routes use.
    :param is_strict: True if what cannot be done is refused, not ignored.
    :ivar on_over: called with each :class:`ExchangeRecord`.
    :ivar running: the answers under way.
    """

    isLeaf = True

    def __init__(
        self, routes: Routes, trust: Trust, daemons: Daemons, clock: Any, is_strict: bool = False
    ) -> None:
        super().__init__()
        self.routes = routes
        self._trust = trust
        self._daemons = daemons
        self._clock = clock
        self._is_strict = is_strict
        self.on_over: list[OnOver] = [log_exchange]
        self.running: set[Deferred[None]] = set()

    def render(self, request: Any) -> Any:
        """Answer a request; see :class:`twisted.web.resource.IResource`."""
        path = "/" + b"/".join(request.postpath or []).decode("utf-8", "replace")
        client = getattr(request.getClientAddress(), "host", None) or "local"
        exchange = Exchange(
            request,
            path,
            api_of(path),
            client,
            self._daemons,
            self._clock,
            self.routes.all,
            self._is_strict,
        )
        request.setHeader("X-Content-Type-Options", "nosniff")
        answer = _AnswerUnderWay(self, exchange, request)
        answer.begin()
        return NOT_DONE_YET

    def admit(self, exchange: Exchange) -> FoundRoute | None:
        """Check a request and find its route.

        :returns: None if the request has been answered: it was a browser's question.
        :raises HTTPError: it may not be answered.
        """
        self._trust.check_source(exchange.header)
        origin = exchange.header("origin")
        if origin is not None and self._trust.is_foreign(origin):
            exchange.set_header("Access-Control-Allow-Origin", origin)
            exchange.set_header("Access-Control-Expose-Headers", _EXPOSED)
            exchange.set_header("Vary", "Origin")
        if exchange.method == "OPTIONS":
            if origin is not None:
                self._permit(exchange)
            exchange.send(b"", "text/plain", 204)
            return None
        # A client without a key learns nothing but what is open.
        found = self._find(exchange)
        if isinstance(found, HTTPError) or not found.route.is_open:
            exchange.client = self._trust.check_key(exchange.header) or exchange.client
        if isinstance(found, HTTPError):
            raise found
        exchange.api, exchange.params = found.route.api, found.params
        return found

    def _permit(self, exchange: Exchange) -> None:
        """Permit what a page wants to send: libraries for browsers add headers of their own."""
        for name, value in _CORS.items():
            exchange.set_header(name, value)
        wanted = exchange.header("access-control-request-headers")
        exchange.set_header("Access-Control-Allow-Headers", wanted or _HEADERS)

    def _find(self, exchange: Exchange) -> FoundRoute | HTTPError:
        try:
            return self.routes.find(exchange.method, exchange.path)
        except HTTPError as error:
            return error


class _AnswerUnderWay:
    """One answer under way: cancelled if the client leaves."""

    def __init__(self, resource: APIResource, exchange: Exchange, request: Any) -> None:
        self._resource = resource
        self._exchange = exchange
        self._clock = exchange.clock
        self._began = self._clock.seconds()
        self._path = ""
        self._left = False
        self._request = request

    def begin(self) -> None:
        """Start the route."""
        running = Deferred.fromCoroutine(self._respond())
        self._resource.running.add(running)

        def leave(_: Failure) -> None:
            self._left = True
            running.cancel()

        self._request.notifyFinish().addErrback(leave)
        running.addBoth(self._over, running)

    async def _respond(self) -> None:
        try:
            found = self._resource.admit(self._exchange)
            if found is not None:
                self._path = found.route.paths[0]
                await _awaited(found.route.respond(self._exchange))
            assert self._exchange.is_answered, f"{self._path} sent no answer"
        except HTTPError as error:
            self._fail(error)
        except (RPCError, Unreachable) as error:
            self._fail(http_error(error))
        except CancelledError:
            if self._left:
                raise
            self._fail(http_error(ShuttingDown("The service is stopping; try again later.")))

    def _fail(self, error: HTTPError) -> None:
        if not self._left:
            self._exchange.fail(error)

    def _over(self, result: Any, running: Deferred[None]) -> None:
        self._resource.running.discard(running)
        if isinstance(result, Failure) and not (self._left and result.check(CancelledError)):
            _log.failure("{path} failed", result, path=printable(self._exchange.path))
            text = "The service failed; its log says how."
            self._fail(HTTPError(500, text, "server_error", should_retry=False))
        if not self._left:
            self._exchange.finish()
        seconds = self._clock.seconds() - self._began
        exchange = self._exchange
        record = ExchangeRecord(
            exchange.client,
            exchange.method,
            exchange.path,
            self._path,
            exchange.api,
            exchange.status,
            seconds,
            self._left,
        )
        for on_over in self._resource.on_over:
            on_over(record)


async def _awaited(result: Any) -> None:
    """Wait for what a route has returned, if it is to be waited for."""
    if result is not None:
        await result


def printable(path: str) -> str:
    """Return a path for the log: one that holds a line break must not begin a line there."""
    text = path[:200]
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def log_exchange(record: ExchangeRecord) -> None:
    """Write a line of the log, formatted here: Twisted's formatter takes ten times as long."""
    is_quiet = record.method in ("GET", "HEAD", "OPTIONS") and record.status < 400
    log = _log.debug if is_quiet else _log.info
    method, path = printable(record.method)[:20], printable(record.asked)
    left = ", the client left" if record.left else ""
    outcome = f"{record.status} in {record.seconds:.3f} s{left}"
    line = one_line(f"{record.client}: {method} {path} {outcome}")
    log(
        line.replace("{", "{{").replace("}", "}}"),
        client=record.client,
        method=method,
        path=path,
        status=record.status,
        seconds=record.seconds,
        left=left,
        **{LINE: line},
    )
