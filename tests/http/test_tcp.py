"""The service on real sockets: a client that leaves is told from one that only sends no more."""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import trustme
from http_rig import MODEL, Visitor, request_bytes
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from rkllm_twisted.http.registry import find_routes
from rkllm_twisted.http_service.assembly import Options, service_for
from rkllm_twisted.http_service.service import HTTPService
from rkllm_twisted.testing import Answer, FakeDaemon, Hang

PATH = "/v1/chat/completions"
ANSWERS = {"hang": Answer([], then=Hang()), "slow": Answer("a b c d e", delay=0.01)}


class Site:
    """The service on a port of its own, and clients of it."""

    def __init__(self, daemon: FakeDaemon, service: HTTPService) -> None:
        self.daemon = daemon
        self.visitors: list[Any] = []
        self.service = service
        self.service.startService()

    @property
    def runs(self) -> bool:
        assert self.daemon._memory is not None
        return self.daemon._memory[0].status().running is not None

    async def connect(self) -> Any:
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.service.ports[0].getHost().port)
        self.visitors.append(await endpoint.connect(Factory.forProtocol(Visitor)))
        return self.visitors[-1]

    async def stop(self) -> None:
        for visitor in self.visitors:
            visitor.transport.abortConnection()
        await until(lambda: all(visitor.is_closed for visitor in self.visitors))
        await self.service.stopService()

    async def ask(self, prompt: str, stream: bool = False) -> Any:
        visitor = await self.connect()
        messages = [{"role": "user", "content": prompt}]
        visitor.transport.write(
            request_bytes("POST", PATH, {"messages": messages, "stream": stream})
        )
        return visitor


@asynccontextmanager
async def serving(listen: str = "tcp:0:interface=127.0.0.1") -> AsyncIterator[Site]:
    with FakeDaemon(ANSWERS, "Hi", model=MODEL, reactor=reactor) as daemon:
        options = Options()
        options.parseOptions(["--listen", listen])
        site = Site(daemon, service_for(options, [daemon.endpoint()], find_routes(), reactor))
        try:
            yield site
        finally:
            await site.stop()


async def until(condition: Callable[[], object]) -> None:
    """Wait until something holds; the test's time limit bounds it."""
    while not condition():
        await deferLater(reactor, 0.005)


@pytest.mark.parametrize("stream", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_client_that_leaves_during_the_prefill_frees_the_npu(stream: bool) -> None:
    """Its kernel sends the same as for one that closes its half, until it is written to."""
    async with serving() as site:
        visitor = await site.ask("hang", stream)
        await until(lambda: site.runs)
        visitor.transport.loseConnection()
        await until(lambda: not site.runs)


@pytest.mark.parametrize("stream", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_client_that_closes_its_half_gets_its_whole_answer(stream: bool) -> None:
    async with serving() as site:
        visitor = await site.ask("slow", stream)
        await until(lambda: site.runs)
        visitor.transport.loseWriteConnection()
        await until(lambda: visitor.has_ended)
        assert b"e" in visitor.response.body
        assert visitor.response.status == 200


@pytest_twisted.ensureDeferred
async def test_many_connections_and_requests_at_once_are_answered() -> None:
    """Two hundred connections that wait, and twenty that ask."""
    async with serving() as site:
        idle = [await site.connect() for _ in range(200)]
        asking = [await site.ask(f"question {number}", number % 2 == 0) for number in range(20)]
        await until(lambda: all(visitor.response for visitor in asking))
        assert {visitor.response.status for visitor in asking} == {200}
        assert not any(visitor.is_closed for visitor in idle)


@pytest_twisted.ensureDeferred
async def test_the_service_goes_on_when_its_daemon_is_back(tmp_path: Path) -> None:
    path = str(tmp_path / "rkllm.sock")
    options = Options()
    options.parseOptions(["--listen", "tcp:0:interface=127.0.0.1", "--daemon", path])
    daemon = FakeDaemon(default="Hi", model=MODEL)
    site = Site(daemon, service_for(options, options.addresses, find_routes(), reactor))

    async def status() -> int:
        visitor = await site.ask("Hello")
        await until(lambda: visitor.response)
        return int(visitor.response.status)

    assert await status() == 503
    for _ in range(2):
        listening = daemon.listening(path)
        await deferToThread(listening.__enter__)
        assert await status() == 200
        await deferToThread(listening.__exit__, None, None, None)
        assert await status() == 503
    await site.stop()


@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")  # Twisted's
@pytest_twisted.ensureDeferred
async def test_a_client_is_served_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    pem = tmp_path / "server.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(pem))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    question = {"messages": [{"role": "user", "content": "Hello"}]}
    listen = f"ssl:0:interface=127.0.0.1:privateKey={pem}"
    async with serving(listen) as site:
        port = site.service.ports[0].getHost().port

        def ask(is_streamed: bool) -> bytes:
            address = f"https://localhost:{port}{PATH}"
            body = json.dumps({**question, "stream": is_streamed}).encode()
            with urllib.request.urlopen(address, body, 10, context=trusting) as answer:
                return bytes(answer.read())

        whole, streamed = [await deferToThread(ask, is_streamed) for is_streamed in (False, True)]
    assert json.loads(whole)["choices"][0]["message"]["content"] == "Hi"
    assert streamed.endswith(b"data: [DONE]\n\n")
