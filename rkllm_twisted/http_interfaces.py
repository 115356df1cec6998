"""The interfaces between the HTTP service, its routes, and the translations of APIs.

They are for third parties: a plugin provides :class:`IHTTPRoute` to add a path, and the route gets
an :class:`IExchange`. ``docs/develop/http-routes.md`` shows how.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from zope.interface import Attribute, Interface


class IHTTPRoute(Interface):
    """One path of the HTTP service: provide this together with :class:`twisted.plugin.IPlugin`.

    A provider is a stateless object at the top of a module in ``twisted/plugins/``, whose import
    does no work.
    """

    methods = Attribute("A tuple of str: the HTTP methods, such as ``GET``. GET serves HEAD, too.")
    paths = Attribute(
        "A tuple of str: the path, and others that mean the same. The last segment may be a"
        " parameter, ``/v1/models/{model}``, which takes the rest of the path with every ``/``."
    )
    summary = Attribute("str: one line that says what it does, for the OpenAPI document.")
    api = Attribute(
        "str: the form of its errors, a key of :data:`rkllm_twisted.http.error_bodies.BODIES`:"
        " ``openai``, ``ollama`` or ``anthropic``."
    )
    is_open = Attribute("bool: True if it needs no API key.")
    request = Attribute("The JSON schema of the request's body, a mapping; None if it has none.")
    response = Attribute("The JSON schema of the answer's body; None if that is no JSON.")

    def respond(exchange: IExchange) -> Any:
        """Answer one request, with one of the exchange's ``send…`` methods or a stream.

        :returns: None, or a Deferred or a coroutine that ends when the answer is complete. It is
            cancelled if the client leaves, and must then end the work.
        :raises HTTPError: the error that the client gets.
        :raises RPCError, Unreachable: of a daemon; the client gets the status and text that
            :mod:`rkllm_twisted.http.error_table` has for it. Any other exception is logged with its
            traceback, and the client gets status 500.
        """


class IExchange(Interface):
    """One HTTP request and its answer."""

    method = Attribute("str: the HTTP method.")
    path = Attribute("str: the decoded path.")
    params = Attribute("Mapping: the values of the path's parameters, decoded.")
    query = Attribute("Mapping: the last value of each parameter behind the ``?``.")
    body = Attribute("bytes: the body, which the service's limit has bounded.")
    client = Attribute("str: the name of the client's API key, else its address. Turns go by it.")
    daemons = Attribute("The :class:`rkllm_twisted.http.daemons.Daemons`.")
    routes = Attribute("Sequence: every :class:`IHTTPRoute` of the service.")
    clock = Attribute("The reactor, for timers.")

    def header(name: str) -> str | None:
        """Return a header of the request; None if it has none of this name."""

    def json() -> Any:
        """Return the body, decoded.

        :raises HTTPError: it is not JSON, or not an object.
        """

    def set_header(name: str, value: str) -> None:
        """Set a header of the answer."""

    def name_ignored(fields: Any) -> None:
        """Name the fields that change nothing in the answer's header ``X-RKLLM-Ignored``.

        :param fields: the name of each -> why it cannot do what it asks for, in a sentence; empty
            if it is a hint, or not known.
        :raises HTTPError: the service runs with ``--strict``, and a field has a reason.
        """

    def send_json(value: object, status: int = 200) -> None:
        """Send a JSON value as the whole answer."""

    def send(data: bytes, content_type: str, status: int = 200) -> None:
        """Send bytes as the whole answer."""

    def events() -> Any:
        """Begin an answer in server-sent events: :class:`rkllm_twisted.http.streams.Stream`."""

    def lines() -> Any:
        """Begin an answer in lines of JSON: :class:`rkllm_twisted.http.streams.Stream`."""


class IStreamedAnswer(Interface):
    """What an API makes of the results of one run, in the order in which they come."""

    def first() -> Iterable[Mapping[str, Any]]:
        """Return what is sent before the first piece, once that has come."""

    def piece(piece: Mapping[str, Any]) -> Iterable[Mapping[str, Any] | bytes]:
        """Return what is sent for a partial result: JSON values, or bytes of JSON."""

    def last(result: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
        """Return what is sent for the final result.

        :raises HTTPError: the run was aborted.
        """
