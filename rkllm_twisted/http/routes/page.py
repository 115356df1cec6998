"""``GET /page/{file}``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.page_files import HEADERS, page_file
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class ChatPageFile:
    """Sends a script, a style or a picture of the chat page."""

    methods = ("GET",)
    paths = ("/page/{file}",)
    summary = "Send a file of the chat page."
    api = "openai"
    is_open = True
    request = None
    response = None

    def respond(self, exchange: IExchange) -> None:
        """Send the file."""
        found = page_file(exchange.params["file"])
        for name, value in HEADERS.items():
            exchange.set_header(name, value)
        exchange.send(found.data, found.content_type)


page = ChatPageFile()
