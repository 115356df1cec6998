"""The paths of Ollama's API that change models, or need an account: all are refused."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.errors import HTTPError
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute

_FILES = "the models are the files in a daemon's --model-dir; change them there"
_ACCOUNT = "there are no accounts here; nothing leaves this machine"


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class RefusedPath:
    """Refuses all requests.

    :param paths: one path.
    :param reason: what to do instead.
    """

    methods: tuple[str, ...]
    paths: tuple[str, ...]
    reason: str
    status: int = 501

    summary = "Is refused: it is not possible here."
    api = "ollama"
    is_open = False
    request = None
    response = None

    def respond(self, exchange: IExchange) -> None:
        """Refuse the request."""
        text = f"{exchange.path[:100]} is not possible: {self.reason}"
        raise HTTPError(self.status, text, "not_supported_error", should_retry=False)


ollama_delete = RefusedPath(("DELETE",), ("/api/delete",), _FILES)
ollama_copy = RefusedPath(("POST",), ("/api/copy",), _FILES)
ollama_create = RefusedPath(("POST",), ("/api/create",), _FILES)
ollama_push = RefusedPath(("POST",), ("/api/push",), _FILES)
ollama_blobs = RefusedPath(("GET", "POST"), ("/api/blobs/{digest}",), _FILES)
ollama_me = RefusedPath(("POST",), ("/api/me",), _ACCOUNT, 401)
ollama_signout = RefusedPath(("POST",), ("/api/signout",), _ACCOUNT)
