"""One request and its answer, as a route sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from zope.interface import implementer

from rkllm_twisted.errors import HTTPError
from rkllm_twisted.http.error_bodies import BODIES, headers_of
from rkllm_twisted.http.streams import EVENTS, LINES, Framing, Stream
from rkllm_twisted.http.translation.fields import Ignored, impossible
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute

if TYPE_CHECKING:
    from rkllm_twisted.http.daemons import Daemons

JSON = "application/json"
NO_CONTENT = 204


def header_of(request: Any, name: str) -> str | None:
    """Return the last header of a name that a request of Twisted's has."""
    value = request.getHeader(name.encode("latin-1", "replace"))
    return None if value is None else value.decode("latin-1")


@implementer(IExchange)
class Exchange:
    """One request and its answer. See :class:`IExchange`.

    :param request: Twisted's request; it may be that of any site.
    :param client: the name of the client's key, else its address.
    :param is_strict: True if what cannot be done is refused, not ignored.
    :ivar api: the form of errors.
    """

    def __init__(
        self,
        request: Any,
        path: str,
        api: str,
        client: str,
        daemons: Daemons,
        clock: Any,
        routes: Sequence[IHTTPRoute] = (),
        is_strict: bool = False,
    ) -> None:
        self._request = request
        self.method: str = request.method.decode("latin-1")
        self.path = path
        self.api = api
        self.client = client
        self.daemons = daemons
        self.clock = clock
        self.routes = routes
        self._is_strict = is_strict
        self.params: Mapping[str, str] = {}
        self.body: bytes = b"" if request.content is None else request.content.read()
        self.stream: Stream | None = None
        self.is_answered = False

    @property
    def query(self) -> Mapping[str, str]:
        """The last value of each parameter behind the ``?``."""
        return {
            name.decode("utf-8", "replace"): values[-1].decode("utf-8", "replace")
            for name, values in self._request.args.items()
        }

    @property
    def status(self) -> int:
        """The status of the answer."""
        return int(self._request.code)

    def header(self, name: str) -> str | None:
        """See :meth:`IExchange.header`."""
        return header_of(self._request, name)

    def json(self) -> Any:
        """See :meth:`IExchange.json`."""
        if not self.body:
            raise HTTPError(400, "The request has no body; send a JSON object.", code="no_body")
        try:
            value = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            text = f"The request's body is not JSON: {error}."
            raise HTTPError(400, text, code="invalid_json") from None
        if not isinstance(value, dict):
            raise HTTPError(400, "The request's body must be a JSON object.", code="invalid_json")
        return value

    def set_header(self, name: str, value: str) -> None:
        """See :meth:`IExchange.set_header`."""
        # A name of a model may have any letter; a header may not.
        text = "".join(letter if letter.isprintable() else "?" for letter in value)
        self._request.setHeader(name, text.encode("ascii", "replace").decode())

    def name_ignored(self, fields: Ignored) -> None:
        """See :meth:`IExchange.name_ignored`."""
        refused = [(name, why) for name, why in fields.items() if why and self._is_strict]
        if refused:
            raise impossible(*refused[0])
        if fields:
            self.set_header("X-RKLLM-Ignored", ", ".join(fields))

    def send_json(self, value: object, status: int = 200) -> None:
        """See :meth:`IExchange.send_json`."""
        self.send(msgspec.json.encode(value), JSON, status)

    def send(self, data: bytes, content_type: str, status: int = 200) -> None:
        """See :meth:`IExchange.send`."""
        assert not self.is_answered, "an answer has been sent already"
        self.is_answered = True
        self._request.setResponseCode(status)
        if status != NO_CONTENT:
            self._request.setHeader("Content-Type", content_type)
            self._request.setHeader("Content-Length", str(len(data)))
        self._request.write(data)

    def events(self) -> Stream:
        """See :meth:`IExchange.events`."""
        return self._begin(EVENTS)

    def lines(self) -> Stream:
        """See :meth:`IExchange.lines`."""
        return self._begin(LINES)

    def _begin(self, framing: Framing) -> Stream:
        assert self.stream is None, "a stream has begun already"
        self.stream = Stream(self._request, self.clock, framing, self.api)
        self.is_answered = True
        return self.stream

    def fail(self, error: HTTPError) -> None:
        """Send an error: as the whole answer, or as the last piece of a stream that has begun."""
        if self.stream is not None and self.stream.has_begun:
            self.stream.fail(error)
            return
        self.is_answered = False
        for name, value in headers_of(error).items():
            self.set_header(name, value)
        self.send_json(BODIES[self.api](error), error.status)

    def finish(self) -> None:
        """End the answer."""
        if self.stream is not None:
            self.stream.end()
        self._request.finish()
