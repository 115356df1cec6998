"""The functions that only the fake daemon has."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from raw_clients import MemoryWire, MessageReader, SocketWire, fake_process
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.protocol import Factory, Protocol

from rkllm_twisted.blocking import Client, Unreachable
from rkllm_twisted.errors import Busy, RuntimeCrashed, RuntimeRefused, SocketError, StartupError
from rkllm_twisted.testing import Answer, Call, Crash, Disconnect, FakeDaemon, Hang
from rkllm_twisted.testing.memory_transport import MemoryEndpoint
from rkllm_twisted.testing.script import read_script


def prompt(text: str) -> list[Any]:
    return [{"prompt_input": text}]


def text_of(client: Client, asked: str) -> str:
    text = client.call("rkllm.run", prompt(asked))["text"]
    assert isinstance(text, str)
    return text


def test_an_answer_is_found_by_prompt_pattern_or_default() -> None:
    """A pattern is found anywhere in the prompt; the default may be a function."""
    daemon = FakeDaemon(
        {"Hello": "Hi", re.compile("rain|sun"): "Weather."}, lambda asked: asked[::-1], model="m"
    )
    with daemon.listening() as path, Client(path) as client:
        assert text_of(client, "Hello") == "Hi"
        assert text_of(client, "Will it rain?") == "Weather."
        assert text_of(client, "abc") == "cba"
        daemon.answers["Hello"] = "Changed"
        assert text_of(client, "Hello") == "Changed"


def test_replies_come_one_after_the_other_and_the_last_repeats() -> None:
    """Each prompt has its own order."""
    replies = [Busy("Later."), "Now."]
    daemon = FakeDaemon({"a": replies, "b": replies}, model="m")
    with daemon.listening() as path, Client(path) as client:
        for asked in ("a", "b"):
            with pytest.raises(Busy, match="Later."):
                text_of(client, asked)
        assert [text_of(client, asked) for asked in "aabb"] == ["Now."] * 4


def test_text_is_split_so_that_it_comes_back_whole() -> None:
    """White space belongs to the word that follows it."""
    text = "  Two\n\n lines,  and space "
    daemon = FakeDaemon({"a": text}, model="m")
    with daemon.listening() as path, Client(path) as client:
        parts = [result["text"] for result in client.stream("rkllm.run_async", prompt("a"))]
    assert "".join(parts) == text
    assert len(parts) > 4


def test_faults_befall_methods() -> None:
    """The faults are a single error and a crash; other methods work."""
    daemon = FakeDaemon(
        faults={"rkllm.init": [RuntimeRefused("no memory"), None], "rkllm.load_lora": Crash()}
    )
    with daemon.listening() as path, Client(path) as client:
        with pytest.raises(RuntimeRefused, match="no memory"):
            client.call("rkllm.init", [{"model_path": "m"}])
        client.call("rkllm.init", [{"model_path": "m"}])
        adapter = {"lora_adapter_path": "a", "lora_adapter_name": "n", "scale": 1.0}
        with pytest.raises(RuntimeCrashed, match="SIGSEGV"):
            client.call("rkllm.load_lora", [adapter])
        assert client.call("server.status")["state"] == "empty"
        assert "SIGSEGV" in client.call("server.status")["problem"]


def test_an_init_that_hangs_ends_with_its_time_limit() -> None:
    """The caller gets -32003; the runtime is ended by force, as in a process of its own."""
    with FakeDaemon(faults={"rkllm.init": [Hang(), None]}, options=["--init-timeout", "1"]) as fake:
        talk = MessageReader(MemoryWire(fake))
        talk.ask("rkllm.init", [{"model_path": "m"}])
        fake.advance(0.9)
        talk.ask("server.status", request_id="s")
        assert json.loads(talk.line())["result"]["state"] == "loading"
        assert json.loads(talk.line())["error"]["code"] == -32003
        fake.advance(10)
        assert b'"success":true' in talk.call("rkllm.init", [{"model_path": "m"}])
        talk.leave()


def test_a_connection_is_closed_in_the_middle_of_an_answer() -> None:
    """Earlier output arrives, other clients are still served, and the model stays loaded."""
    daemon = FakeDaemon({"gone": Answer("Once upon", then=Disconnect())}, model="m")
    with daemon.listening() as path, Client(path) as other:
        talk = MessageReader(SocketWire(path))
        talk.ask("rkllm.run_async", prompt("gone"))
        assert b'"Once"' in talk.line()
        assert b'" upon"' in talk.line()
        assert talk.rest() == b""
        talk.leave()
        assert text_of(other, "hello") == "Hello world"


def test_what_was_asked_is_known() -> None:
    """The daemon records requests and notifications by connection, before it answers."""
    with FakeDaemon(model="m") as daemon:
        first, second = MessageReader(MemoryWire(daemon)), MessageReader(MemoryWire(daemon))
        first.call("server.ping")
        second.call("rkllm.run", {"rkllm_input": {"prompt_input": "a"}})
        first.send(b'{"jsonrpc":"2.0","method":"rkllm.abort"}\n')
        daemon.flush()
        assert daemon.calls == [
            Call("server.ping", None, 1),
            Call("rkllm.run", {"rkllm_input": {"prompt_input": "a"}}, 2),
            Call("rkllm.abort", None, 1),
        ]
        first.leave()
        second.leave()


def test_a_daemon_can_go_and_come_back(tmp_path: Path) -> None:
    """Clients of the first are cut off; the second has no model that was loaded before."""
    path = str(tmp_path / "rkllm.sock")
    daemon = FakeDaemon()
    with daemon.listening(path) as first:
        client = Client(first)
        client.call("rkllm.init", [{"model_path": "m"}])
    with pytest.raises((Unreachable, OSError)):
        client.call("server.ping")
    client.close()
    with pytest.raises(Unreachable):
        Client(path)
    with daemon.listening(path), Client(path) as client:
        assert client.call("server.status")["state"] == "empty"


@pytest.mark.parametrize("asked", ["hang", "endless"])
def test_it_stops_at_once_whatever_is_under_way(asked: str) -> None:
    """The run under way is answered with -32802."""
    daemon = FakeDaemon(
        {"hang": Hang(), "endless": Answer(["x"], endless=True, delay=0.2)}, model="m"
    )
    with daemon.listening() as path:
        talk = MessageReader(SocketWire(path))
        talk.ask("rkllm.run", prompt(asked))
        with Client(path) as client:
            while client.call("server.status")["state"] != "running":
                pass
    assert b'"code":-32802' in talk.line()
    talk.leave()


def test_a_socket_in_use_is_refused(tmp_path: Path) -> None:
    """The real daemon refuses it, too."""
    path = str(tmp_path / "rkllm.sock")
    with FakeDaemon().listening(path), pytest.raises(SocketError, match="already serves"):
        FakeDaemon().listening(path).__enter__()


class Collector(Protocol):
    """Keeps the received bytes; fires after the first line and at the end."""

    def __init__(self) -> None:
        self.data = b""
        self.line: Deferred[bytes] = Deferred()
        self.lost: Deferred[object] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        if self.data.endswith(b"\n") and not self.line.called:
            self.line.callback(self.data)

    def connectionLost(self, reason: Any = None) -> None:
        self.lost.callback(None)


@pytest_twisted.ensureDeferred
async def test_with_a_reactor_it_goes_by_itself() -> None:
    """The daemon in memory works in that reactor's turns."""
    with FakeDaemon(model="m", reactor=reactor) as daemon:
        client: Any = await daemon.endpoint().connect(Factory.forProtocol(Collector))
        client.transport.write(
            b'{"jsonrpc":"2.0","id":1,"method":"rkllm.run","params":[{"prompt_input":"a"}]}\n'
        )
        assert b"Hello world" in await client.line
        client.transport.loseConnection()
        await client.lost


def test_nothing_happens_in_memory_while_bytes_are_written() -> None:
    """An answer never comes before the write has returned; it comes with flush."""
    with FakeDaemon() as daemon:
        clients: list[Any] = []
        daemon.endpoint().connect(Factory.forProtocol(Collector)).addCallback(clients.append)
        clients[0].transport.write(b'{"jsonrpc":"2.0","id":1,"method":"server.ping"}\n')
        assert clients[0].data == b""
        daemon.flush()
        assert b"pong" in clients[0].data
        daemon.close()
        assert clients[0].lost.called


def test_a_client_that_does_not_read_is_dropped_in_memory_too() -> None:
    """The real limits hold: --unread-timeout."""
    big = "x" * 500_000
    with FakeDaemon({"big": big}, model="m", options=["--unread-timeout", "5"]) as daemon:
        clients: list[Any] = []
        daemon.endpoint().connect(Factory.forProtocol(Collector)).addCallback(clients.append)
        client = clients[0]
        client.transport.pauseProducing()
        for number in range(3):
            params = json.dumps(prompt("big")).encode()
            client.transport.write(
                b'{"jsonrpc":"2.0","id":%d,"method":"rkllm.run","params":%b}\n' % (number, params)
            )
        daemon.flush()
        daemon.advance(4.9)
        assert not client.lost.called
        daemon.advance(0.2)
        assert client.lost.called


def test_a_daemon_that_is_not_there_refuses() -> None:
    """A connection in memory is refused."""
    failed: list[Any] = []
    MemoryEndpoint(FakeDaemon()._clock, None).connect(Factory()).addErrback(failed.append)
    assert failed[0].check(Refused)


def test_a_process_prints_what_it_is_asked(tmp_path: Path) -> None:
    """SIGTERM ends the process, which removes its socket."""
    path = tmp_path / "fake.sock"
    with fake_process("--socket", str(path)) as (running, said):
        assert said == str(path)
        talk = MessageReader(SocketWire(said))
        talk.call("server.configure", {"floats": "base64"})
        talk.leave()
        assert running.stdout is not None
        assert json.loads(running.stdout.readline()) == {
            "method": "server.configure",
            "params": {"floats": "base64"},
            "client": 1,
        }
    assert not path.exists()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("{", "truncated"),
        ('{"answer": {}}', "answer"),
        ('{"answers": {"a": {"txt": "b"}}}', "txt"),
        ('{"answers": {"a": {"then": "explode"}}}', "explode"),
        ('{"matching": {"(": "a"}}', "unterminated"),
        ('{"answers": {"a": 1}}', "object"),
        ('{"faults": {"rkllm.init": {"code": 1}}}', "message"),
    ],
)
def test_a_wrong_script_is_refused_in_a_sentence(tmp_path: Path, script: str, said: str) -> None:
    """The error names the file and the mistake."""
    path = tmp_path / "script.json"
    path.write_text(script)
    with pytest.raises(StartupError, match=said) as raised:
        read_script(path)
    assert str(path) in str(raised.value)


def test_a_process_without_its_script_says_so(tmp_path: Path) -> None:
    """The process prints no traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "rkllm_twisted.testing", "--script", str(tmp_path / "none.json")],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert "none.json cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_signal_may_be_named() -> None:
    """A crash says what killed the runtime."""
    daemon = FakeDaemon({"a": Crash(signal.SIGABRT)}, model="m")
    with daemon.listening() as path, Client(path) as client:
        with pytest.raises(RuntimeCrashed, match="SIGABRT") as raised:
            text_of(client, "a")
        assert raised.value.data == {"signal": 6, "lines": []}
