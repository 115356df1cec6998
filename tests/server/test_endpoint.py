"""The daemon's socket as an endpoint, and the factory on Twisted's own endpoints."""

from __future__ import annotations

import os
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import trustme
from memory_client import FakeMethod, by_name
from OpenSSL.SSL import Error as SSLError
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
    connectProtocol,
    serverFromString,
    wrapClientTLS,
)
from twisted.internet.interfaces import IStreamServerEndpoint, IStreamServerEndpointStringParser
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.plugin import getPlugins
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from rkllm_twisted.errors import SocketError
from rkllm_twisted.rpc.dispatch import Dispatcher
from rkllm_twisted.server.endpoint import RKLLMServerEndpoint
from rkllm_twisted.server.factory import RPCFactory
from rkllm_twisted.server.socket_file import SocketFile
from rkllm_twisted.systemd.sd_daemon import ActivatedSocket

reactor: Any = installed_reactor
ASK = b'{"jsonrpc":"2.0","method":"whoami","id":1}\n'


class Answer(Protocol):
    """Sends one request and keeps the first line that comes back."""

    def __init__(self) -> None:
        self.line: Deferred[bytes] = Deferred()
        self._data = b""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(ASK)

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        if self._data.endswith(b"\n"):
            self.line.callback(self._data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.line.called:
            self.line.errback(reason)


@pytest.fixture
def factory() -> Iterator[RPCFactory]:
    """A factory with one method, which answers with the client's uid."""
    whoami = FakeMethod("whoami", lambda call: call.conversation.peer.uid)
    made = RPCFactory(Dispatcher(by_name([whoami]), "npu", "daemon"), reactor)  # type: ignore[arg-type]
    yield made
    pytest_twisted.blockon(made.close_all())


async def ask(client: Any) -> bytes:
    """The answer to one request."""
    protocol = await connectProtocol(client, Answer())
    line: bytes = await protocol.line
    protocol.transport.loseConnection()
    return line


def with_tls(test: Any) -> Any:
    """Mark a test that needs certificates. Twisted uses what new pyOpenSSL deprecates."""
    quiet = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")
    return pytest.mark.usefixtures("certificates")(quiet(test))


def answer(uid: object) -> bytes:
    return b'{"jsonrpc":"2.0","id":1,"result":%s}\n' % str(uid).encode()


def test_it_is_an_endpoint_of_twisteds(tmp_path: Path) -> None:
    """A UNIXServerEndpoint, by class and by interface."""
    endpoint = RKLLMServerEndpoint(reactor, SocketFile(str(tmp_path / "s"), 0o600))
    assert isinstance(endpoint, UNIXServerEndpoint)
    assert verifyObject(IStreamServerEndpoint, endpoint)


def test_its_description_is_a_plugin() -> None:
    """Twisted finds the plugin by itself."""
    parsers = [p for p in getPlugins(IStreamServerEndpointStringParser) if p.prefix == "rkllm"]
    [parser] = parsers
    assert verifyObject(IStreamServerEndpointStringParser, parser)


@pytest_twisted.ensureDeferred
async def test_a_description_makes_a_socket_with_its_mode(
    tmp_path: Path, factory: RPCFactory
) -> None:
    """Stopping removes the socket."""
    path = tmp_path / "s"
    port = await serverFromString(reactor, f"rkllm:{path}:mode=0660").listen(factory)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert await ask(UNIXClientEndpoint(reactor, str(path))) == answer(os.getuid())
    await port.stopListening()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("mode=rw", "mode=rw must be octal digits, such as 0660."),
        ("owner=nemo1", "owner=nemo1: this system has no user of this name."),
        ("group=nemo1", "group=nemo1: this system has no group of this name."),
    ],
)
def test_a_wrong_argument_is_named(arguments: str, sentence: str) -> None:
    """The error is one sentence."""
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        serverFromString(reactor, f"rkllm:/tmp/s:{arguments}")


@pytest_twisted.ensureDeferred
async def test_the_default_mode_is_the_daemons(tmp_path: Path, factory: RPCFactory) -> None:
    """Only the daemon's user may connect."""
    path = tmp_path / "s"
    port = await serverFromString(reactor, f"rkllm:{path}").listen(factory)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_a_socket_in_use_is_an_error_of_the_deferred(
    tmp_path: Path, factory: RPCFactory
) -> None:
    """The Deferred fails with SocketError."""
    source = SocketFile(str(tmp_path / "s"), 0o600)
    port = await RKLLMServerEndpoint(reactor, source).listen(factory)
    with pytest.raises(SocketError, match="Another daemon already serves"):
        await serverFromString(reactor, f"rkllm:{tmp_path / 's'}").listen(factory)
    await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_systemds_socket_is_left_where_it_is(tmp_path: Path, factory: RPCFactory) -> None:
    """The socket's file stays, and the next daemon accepts from it."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(str(path))
        theirs.listen()
        for _ in range(2):
            endpoint = RKLLMServerEndpoint(reactor, ActivatedSocket(os.dup(theirs.fileno())))
            port = await endpoint.listen(factory)
            assert await ask(UNIXClientEndpoint(reactor, str(path))) == answer(os.getuid())
            await port.stopListening()
    assert path.is_socket()


@pytest_twisted.ensureDeferred
async def test_the_factory_serves_twisteds_own_unix_endpoint(
    tmp_path: Path, factory: RPCFactory
) -> None:
    """The kernel says which user connects there, too."""
    path = tmp_path / "s"
    port = await serverFromString(reactor, f"unix:{path}:mode=600").listen(factory)
    assert await ask(UNIXClientEndpoint(reactor, str(path))) == answer(os.getuid())
    await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_the_factory_serves_tcp(factory: RPCFactory) -> None:
    """A client over TCP has no uid."""
    port = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(factory)
    client = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
    assert await ask(client) == answer("null")
    await port.stopListening()


@pytest.fixture
def certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of docs/embedding.md, signed by one authority, in the current directory."""
    authority = trustme.CA()
    for name, identity in (("server", "localhost"), ("client", "program@example.org")):
        authority.issue_cert(identity).private_key_and_cert_chain_pem.write_to_path(
            str(tmp_path / f"{name}.pem")
        )
    for name in ("authority", "clients"):
        authority.cert_pem.write_to_path(str(tmp_path / f"{name}.pem"))
    monkeypatch.chdir(tmp_path)


def documented_endpoint(number: int, port: int) -> Any:
    """The ``endpoint`` of an example of docs/embedding.md, on another port."""
    page = Path(__file__).parents[2] / "docs" / "embedding.md"
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(blocks[number].replace("7777", str(port)), names)
    return names["endpoint"]


@pytest_twisted.ensureDeferred
@with_tls
async def test_the_factory_serves_a_client_with_a_certificate(factory: RPCFactory) -> None:
    """The documented endpoints of both sides speak TLS."""
    port = await documented_endpoint(2, 0).listen(factory)
    assert await ask(documented_endpoint(3, port.getHost().port)) == answer("null")
    await port.stopListening()


@pytest_twisted.ensureDeferred
@with_tls
async def test_a_client_without_a_certificate_gets_no_answer(factory: RPCFactory) -> None:
    """The TLS of the documented endpoint refuses it."""
    port = await documented_endpoint(2, 0).listen(factory)
    authority = Certificate.loadPEM(Path("authority.pem").read_bytes())
    tcp = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
    with pytest.raises(SSLError):
        await ask(wrapClientTLS(optionsForClientTLS("localhost", authority), tcp))
    await port.stopListening()


def test_importing_it_leaves_systemds_variables() -> None:
    """Twisted's endpoints remove the variables, which the daemon reads later."""
    program = (
        "import os; os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()));"
        "import rkllm_twisted.server.endpoint; print(os.environ['LISTEN_FDS'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"1\n"
