"""A member says why it does not reach its router."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from certificates import self_signed
from engine_contract import Watcher, until
from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import DefaultOpenSSLContextFactory

from rkllm_twisted.fleet import keys
from rkllm_twisted.fleet.errors import RouterLost
from rkllm_twisted.fleet.values import Role

pytest.importorskip("autobahn", reason="the extra fleet is not installed")


@pytest.mark.parametrize(("role", "longest"), [(Role.BOARD, 30.0), (Role.FRONT, 5.0)])
def test_a_front_comes_back_sooner_than_boards_must(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: Role, longest: float
) -> None:
    """Its clients wait for it; boards must not all come at once."""
    from rkllm_twisted.fleet.wamp import connection
    from rkllm_twisted.fleet.wamp.engine import WAMPEngine

    def delay(failures: int, longest: float) -> float:
        return connection_delay(failures, lambda _, most: most, longest)

    connection_delay = connection.delay
    monkeypatch.setattr(connection, "delay", delay)
    keys.make(tmp_path / "key")
    engine = WAMPEngine(reactor, "unix:/none", "m1", role, keys.read(tmp_path / "key"))
    delays = [engine._delay(attempt) for attempt in range(12)]
    assert delays[0] == 2.0
    assert delays[-1] == longest


HUNG_UP = "the connection ended before this member had joined."


class HangsUp(Protocol):
    def dataReceived(self, _: bytes) -> None:
        assert self.transport is not None
        self.transport.loseConnection()


@pytest.fixture
def tls_port(tmp_path: Path) -> Iterator[int]:
    """A port with a certificate for 127.0.0.1 that signs itself."""
    path = str(self_signed(tmp_path / "router.pem"))
    port = reactor.listenSSL(  # type: ignore[attr-defined]
        0,
        Factory.forProtocol(Protocol),
        DefaultOpenSSLContextFactory(path, path),
        interface="127.0.0.1",
    )
    yield port.getHost().port
    port.stopListening()


async def reason(directory: Path, url: str, ca: Path | None = None) -> str:
    """What a board is told after its first attempt."""
    from rkllm_twisted.fleet.wamp.engine import WAMPEngine

    keys.make(directory / "key")
    key: Any = keys.read(directory / "key")
    engine, watcher = WAMPEngine(reactor, url, "b1", Role.BOARD, key, ca), Watcher()
    engine.watch(watcher)
    engine.join()
    await until(lambda: watcher.lost)
    await engine.leave()
    assert isinstance(watcher.lost[0], RouterLost)
    return str(watcher.lost[0])


async def test_a_router_that_is_not_there(tmp_path: Path) -> None:
    said = await reason(tmp_path, f"unix:{tmp_path}/none")
    assert said.startswith(f"The router cannot be reached at unix:{tmp_path}/none: ")
    assert "No such file" in said


async def test_a_certificate_that_nobody_known_has_signed(tmp_path: Path, tls_port: int) -> None:
    said = await reason(tmp_path, f"wss://127.0.0.1:{tls_port}")
    assert "its certificate is not trusted; the option --ca names" in said


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_what_accepts_and_then_hangs_up(tmp_path: Path, scheme: str) -> None:
    """A port that is not the router's."""
    hangs_up = Factory.forProtocol(HangsUp)
    port = reactor.listenTCP(0, hangs_up, interface="127.0.0.1")  # type: ignore[attr-defined]
    try:
        said = await reason(tmp_path, f"{scheme}://127.0.0.1:{port.getHost().port}")
    finally:
        await port.stopListening()
    assert said.endswith(f": {HUNG_UP} Is it the router, and is {scheme}:// right?")


async def test_a_port_of_tls_that_is_asked_without(tmp_path: Path, tls_port: int) -> None:
    said = await reason(tmp_path, f"ws://127.0.0.1:{tls_port}")
    assert said.endswith(f": {HUNG_UP} Is it the router, and is ws:// right?")


async def test_a_socket_that_accepts_and_then_hangs_up(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    port = reactor.listenUNIX(path, Factory.forProtocol(HangsUp))  # type: ignore[attr-defined]
    try:
        said = await reason(tmp_path, f"unix:{path}")
    finally:
        await port.stopListening()
    assert said.endswith(f": {HUNG_UP} Is it the router?")


async def test_a_certificate_for_another_name(tmp_path: Path, tls_port: int) -> None:
    said = await reason(tmp_path, f"wss://localhost:{tls_port}", tmp_path / "router.pem")
    assert "its certificate is for another name than that of the address" in said
