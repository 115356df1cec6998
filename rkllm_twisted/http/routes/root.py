"""``GET /``: the chat page for browsers, a sign of life for others."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.page_files import HEADERS, INDEX, page_file
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute

#: What Ollama's clients look for.
ALIVE = b"Ollama is running"


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class RootPath:
    """Sends the chat page to what reads HTML, and Ollama's sign of life to the others."""

    methods = ("GET",)
    paths = ("/",)
    summary = "Send the chat page to browsers, and a sign of life to other clients."
    api = "ollama"
    is_open = True
    request = None
    response = None

    def respond(self, exchange: IExchange) -> None:
        """Decide by the header Accept."""
        exchange.set_header("Vary", "Accept")
        if "text/html" not in (exchange.header("accept") or ""):
            exchange.send(ALIVE, "text/plain; charset=utf-8")
            return
        for name, value in HEADERS.items():
            exchange.set_header(name, value)
        index = page_file(INDEX)
        exchange.send(index.data, index.content_type)


root = RootPath()
