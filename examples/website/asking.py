"""The parts of the site: a page to ask from, a resource that streams the answer, and a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import BAD_REQUEST, SERVICE_UNAVAILABLE
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from twisted.web.static import Data

from rkllm_twisted.errors import RPCError
from rkllm_twisted.interfaces import INPU

PAGE = b"""<!doctype html>
<meta charset="utf-8">
<title>Ask</title>
<form action="ask">
<input name="q" placeholder="What is a list?" autofocus> <button>Ask</button></form>
"""
NORMAL = 0


class Ask(Resource):
    """``GET /ask?q=...``: the answer as plain text, as it comes.

    Who closes the page cancels the run, and nobody else's.
    """

    isLeaf = True
    log = Logger()

    def __init__(self, npu: INPU) -> None:
        super().__init__()
        self._npu = npu

    def render_GET(self, request: Request) -> bytes | int:
        """Queue a run like any client's, in its fair turn."""
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        question = request.args.get(b"q", [b""])[0].decode("utf-8", "replace")
        if not question or "\0" in question:
            request.setResponseCode(BAD_REQUEST)
            return b"Ask something: /ask?q=...\n"
        run = self._run(request, question)
        request.notifyFinish().addErrback(lambda _: run.cancel())
        return NOT_DONE_YET

    def _run(self, request: Request, question: str) -> Deferred[Any]:
        def on_result(result: Mapping[str, Any]) -> None:
            if result["_callback_state"] == NORMAL and result["text"]:
                request.write(result["text"].encode())

        rkllm_input = {"role": "user", "prompt_input": question}
        run: Deferred[Any] = self._npu.run("rkllm_run", [rkllm_input], on_result, request)
        run.addCallbacks(lambda _: request.finish(), self._refuse, errbackArgs=(request,))
        return run.addErrback(lambda failure: self.log.failure("cannot answer", failure))

    def _refuse(self, failure: Failure, request: Request) -> None:
        if failure.check(CancelledError):
            return  # nobody is there any more
        failure.trap(RPCError)
        if not request.startedWriting:
            request.setResponseCode(SERVICE_UNAVAILABLE)
        request.write(f"{failure.value}\n".encode())
        request.finish()


class Loading(Service):
    """Loads a model when the application starts; the daemon never does so by itself.

    :param path: of the model.
    """

    log = Logger()

    def __init__(self, npu: INPU, path: str) -> None:
        self._npu = npu
        self._path = path

    def startService(self) -> None:
        """Ask for it, as a client would; runs that come meanwhile wait behind it."""
        super().startService()
        loaded = self._npu.call("rkllm_init", [{"model_path": self._path, "top_k": 1}])
        loaded.addErrback(lambda failure: self.log.failure("no model", failure))


def site_root(npu: INPU) -> Resource:
    """Make the site."""
    root = Resource()
    root.putChild(b"", Data(PAGE, "text/html; charset=utf-8"))
    root.putChild(b"ask", Ask(npu))
    return root
