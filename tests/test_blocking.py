"""The blocking client's own parts: its start, its socket, Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from daemons import Daemon, environment

from rkllm_twisted.blocking import Client
from rkllm_twisted.client_core.unix_socket import without_interrupts
from rkllm_twisted.errors import NoDaemon
from rkllm_twisted.testing import Answer, FakeDaemon

Start = Callable[..., Daemon]
Script = Callable[[str], Path]

MODEL = 'run when "slow"\ndelay 5\nrepeat 2000 token "x"\nfinish\nrun\necho\n'
#: Sends Ctrl-C at many moments of a stream.
INTERRUPTED = """
import os, random, signal, sys, threading
from rkllm_twisted.blocking import Client

random.seed(1)
with Client(sys.argv[1]) as client:
    for number in range(100):
        interrupt = threading.Timer(
            random.uniform(0, 0.015), os.kill, (os.getpid(), signal.SIGINT)
        )
        try:
            interrupt.start()
            for chunk in client.run_async("slow"):
                pass
        except KeyboardInterrupt:
            said = client.run(f"still here {number}").text
            assert said == f"still here {number}", said
    assert client.status().queue_length == 0
print(number + 1)
"""
#: A call that would wait for ever.
INTERRUPTED_CALL = """
import sys
from rkllm_twisted.blocking import Client

with Client(sys.argv[1]) as client:
    print("waiting", flush=True)
    try:
        client.run("slow")
    except KeyboardInterrupt:
        print(client.run("still here").text)
"""
TIME_OF = """
import time
begun = time.process_time()
import {module}
print(time.process_time() - begun)
"""
LOADED = """
import sys
before = set(sys.modules)
from rkllm_twisted.blocking import Client
print(*sys.modules.keys() - before)
"""
#: Modules that are slower to import than the client itself, or that it does not need.
TOO_DEAR = {
    "asyncio",
    "attr",
    "attrs",
    "click",
    "ctypes",
    "dataclasses",
    "difflib",
    "importlib.metadata",
    "inspect",
    "json",
    "msgspec",
    "pathlib",
    "subprocess",
    "threading",
    "twisted",
    "typing_extensions",
    "zope",
}


@pytest.fixture
def daemon(start: Start, script: Script) -> Iterator[Daemon]:
    """A daemon with a model that echoes, or takes ten seconds."""
    daemon = start()
    daemon.load(script(MODEL), max_new_tokens=2000)
    return daemon


def python(code: str, *words: str, cache: Path | None = None) -> str:
    """Run a program; return its output.

    :param cache: for the modules' bytecode, which an installed package has.
    """
    env = {**environment(), "PYTHONPYCACHEPREFIX": str(cache)} if cache else environment()
    if cache:
        env.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_it_imports_neither_twisted_nor_what_is_dear() -> None:
    """Importing the client loads few modules, and none of these."""
    loaded = set(python(LOADED).split())
    assert "rkllm_twisted.blocking" in loaded
    assert not {name for name in loaded if name in TOO_DEAR or name.split(".")[0] in TOO_DEAR}
    assert len({name for name in loaded if name.startswith("rkllm_twisted")}) < 17
    assert len(loaded) < 60


def test_no_twisted_is_imported_later_either(daemon: Daemon) -> None:
    """A client's calls do not import zope.interface, either."""
    use = """
import sys
from rkllm_twisted.blocking import Client
with Client(sys.argv[1]) as client:
    assert client.run("a b").text and list(client.run_async("a")) and client.status().pid
    assert client.version().version
print(*{"twisted", "zope", "asyncio"} & set(sys.modules))
"""
    assert python(use, str(daemon.path)) == "\n"


def test_it_imports_faster_than_asyncio_does(tmp_path: Path) -> None:
    """The best of several imports counts, in processor time."""

    def seconds(module: str) -> float:
        code = TIME_OF.format(module=module)
        return min(float(python(code, cache=tmp_path)) for _ in range(7))

    ours, asyncios = seconds("rkllm_twisted.blocking"), seconds("asyncio")
    assert ours < asyncios, (ours, asyncios)


def test_two_streams_may_be_read_in_turns(daemon: Daemon) -> None:
    """Each gets its own results, whichever is read."""
    with Client(daemon.path) as client:
        one, other = client.run_async("a b c"), client.run_async("d e f")
        assert [(a.text.strip(), b.text.strip()) for a, b in zip(one, other, strict=True)] == [
            ("a", "d"),
            ("b", "e"),
            ("c", "f"),
            ("", ""),
        ]


def test_ctrl_c_in_a_stream_leaves_the_connection_usable(daemon: Daemon) -> None:
    """Ctrl-C comes at a hundred moments; no byte is lost or sent twice."""
    assert python(INTERRUPTED, str(daemon.path)) == "100\n"


def test_ctrl_c_in_a_call_leaves_the_connection_usable(daemon: Daemon) -> None:
    """The run is cancelled: the next has its turn before ten seconds have passed."""
    command = [sys.executable, "-c", INTERRUPTED_CALL, str(daemon.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"waiting\n"
        with Client(daemon.path) as observer:
            while not observer.is_running():
                pass  # until the call has arrived
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == b"still here\n"


def test_ctrl_c_while_bytes_are_taken_in_loses_none(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A megabyte comes in several reads; losing one of them would corrupt the message."""
    with Client(daemon.path) as client:
        feed = client._connection.feed

        def interrupted(data: bytes) -> object:
            signal.raise_signal(signal.SIGINT)
            return feed(data)

        monkeypatch.setattr(client._connection, "feed", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.run("x" * 2**20)
        monkeypatch.undo()
        assert client.run("still here").text == "still here"


def test_ctrl_c_is_held_back_and_not_lost() -> None:
    """KeyboardInterrupt is raised at the end of the block, however the block ends."""
    seen = []

    def interrupted() -> None:
        with without_interrupts():
            signal.raise_signal(signal.SIGINT)
            seen.append("went on")
        seen.append("never")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert seen == ["went on"]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_program_that_ignores_ctrl_c_still_does() -> None:
    """The program's signal handler does not change."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with without_interrupts():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_each_thread_may_have_a_client(daemon: Daemon) -> None:
    """The client works outside of the main thread."""
    said: list[str] = []

    def ask(number: int) -> None:
        with Client(daemon.path) as client:
            said.extend(client.run(f"{number}").text for _ in range(5))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == sorted(str(number) for number in range(4) for _ in range(5))


def test_a_socket_may_be_named_by_the_environment(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable applies if the program names no socket; an endpoint's description works."""
    monkeypatch.setenv("RKLLM_UDS_PATH", str(daemon.path))
    with Client() as client:
        client.ping()
    with Client(f"unix:{daemon.path}") as client:
        client.ping()


def test_a_client_that_cannot_connect_leaves_no_descriptor(tmp_path: Path) -> None:
    """Repeated attempts leave no descriptor, either."""

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    for _ in range(5):
        with pytest.raises(NoDaemon):
            Client(tmp_path / "none")
    assert descriptors() == before


def test_results_that_are_never_read_warn() -> None:
    """The request was never sent, which may surprise the program."""
    with FakeDaemon(model="m").listening() as path, Client(path) as client:
        with pytest.warns(RuntimeWarning, match=r"rkllm.run_async were never read"):
            client.run_async("Hi")
        for _ in client.run_async("Hi"):
            break


def test_a_second_thread_is_refused() -> None:
    """A second thread would take messages of the first."""
    errors: list[BaseException] = []
    daemon = FakeDaemon({"long": Answer("word ", endless=True, delay=0.01)}, model="m")
    with daemon.listening() as path, Client(path) as client:

        def second() -> None:
            try:
                client.ping()
            except RuntimeError as error:
                errors.append(error)

        feed = client._connection.feed

        def feed_and_share(data: bytes) -> Any:  # the first thread is in a call now
            if not errors:
                thread = threading.Thread(target=second)
                thread.start()
                thread.join()
            return feed(data)

        client._connection.feed = feed_and_share  # type: ignore[method-assign]
        assert next(iter(client.run_async("long"))).text == "word"
    assert [str(error) for error in errors] == [
        "This client is in use by another thread; make one Client for each thread."
    ]


def test_a_client_may_wander_between_threads() -> None:
    """Two threads may use it one after the other."""
    with FakeDaemon().listening() as path, Client(path) as client:
        thread = threading.Thread(target=client.ping)
        thread.start()
        thread.join()
        client.ping()
