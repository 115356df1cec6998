"""The runtime may die; the daemon may not. With the scripted engine's faults, on every layout."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from daemons import Daemon, RawClient

Start = Callable[..., Daemon]
Script = Callable[[str], Path]

ABIS = ["1.1.4", "1.2.0", "1.2.1", "1.3.0"]
#: How a run may take its process down -> what the error's data must say.
DEATHS = {
    "segv": {"signal": signal.SIGSEGV},
    "abort": {"signal": signal.SIGABRT},
    "exit 3": {"exit_code": 3},
    "exit 0": {"exit_code": 0},
}
HELLO = 'token "Hello"\nfinish\n'


def run_params(prompt: str = "hi") -> list[object]:
    """For rkllm.run, on every release."""
    return [{"prompt_input": prompt}]


def children_of(daemon: Daemon) -> list[int]:
    """The processes that the daemon has made."""
    task = Path(f"/proc/{daemon.process.pid}/task")
    return [int(p) for t in task.iterdir() for p in (t / "children").read_text().split()]


def wait_until(what: Callable[[], bool], seconds: float = 20) -> None:
    """Look again and again: the state of another process announces itself to nobody."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


def child_of(daemon: Daemon) -> int:
    """The process that holds the runtime. The daemon may listen a moment before it is there."""
    wait_until(lambda: len(children_of(daemon)) == 1)
    return children_of(daemon)[0]


def is_alive(pid: int) -> bool:
    """Does a process run? One that waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def status_of(client: RawClient) -> Any:
    """What server.status says."""
    return client.ask("server.status")["result"]


@pytest.mark.parametrize("abi", ABIS)
@pytest.mark.parametrize("death", DEATHS)
def test_a_crash_costs_its_call_and_no_more(
    start: Start, script: Script, abi: str, death: str
) -> None:
    """-32004 with the cause and the last words, at once; the connection stays, init works again."""
    daemon = start(f"--abi={abi}")
    last_words = 'print stderr "this is the end"'
    model = script(f'run when "die"\ntoken "x"\n{last_words}\n{death}\nrun\n{HELLO}')
    daemon.load(model)
    with daemon.connect() as client:
        begun = time.monotonic()
        error = client.ask("rkllm.run", run_params("die"))["error"]
        assert time.monotonic() - begun < 2, "on a busy machine; the figure is in docs/limits.md"
        assert error["code"] == -32004
        assert DEATHS[death].items() <= error["data"].items()
        assert "this is the end" in error["data"]["lines"]
        assert client.ask("rkllm.run", run_params())["error"]["code"] == -32001
        status = status_of(client)
        assert (status["state"], status["model_path"]) == ("empty", None)
        assert status["problem"]
        daemon.load(model)
        assert client.ask("rkllm.run", run_params())["result"]["text"] == "Hello"


def test_a_crash_in_init_is_told_to_who_asked(start: Start, script: Script) -> None:
    """And another model can be loaded."""
    daemon = start()
    with daemon.connect() as client:
        bad = {"model_path": str(script("init segv\nrun\nfinish\n"))}
        assert client.ask("rkllm.init", [bad])["error"]["code"] == -32004
        daemon.load(script(f"run\n{HELLO}"))
        assert client.ask("rkllm.run", run_params())["result"]["text"] == "Hello"


def test_an_init_that_is_refused_at_sight_leaves_the_model_loaded(
    start: Start, script: Script
) -> None:
    """A missing file costs nobody the model that was there."""
    daemon = start()
    daemon.load(script(f"run\n{HELLO}"))
    with daemon.connect() as client:
        for path in ("/", "/nowhere/m.gguf"):
            assert client.ask("rkllm.init", [{"model_path": path}])["error"]["code"] == -32602
        assert client.ask("rkllm.run", run_params())["result"]["text"] == "Hello"


def test_a_model_that_always_crashes_is_given_up_and_tried_again_when_asked(
    start: Start, script: Script
) -> None:
    """Three young deaths in a row: failed, with the reason; rkllm.init tries once more."""
    daemon = start()
    bad = {"model_path": str(script("init exit 7\nrun\nfinish\n"))}
    with daemon.connect() as client:
        for _ in range(3):
            assert client.ask("rkllm.init", [bad])["error"]["code"] == -32004
        wait_until(lambda: status_of(client)["state"] == "failed")
        assert status_of(client)["problem"] == "exited with code 7"
        assert children_of(daemon) == []
        daemon.load(script(f"run\n{HELLO}"))
        assert status_of(client)["state"] == "loaded"


def test_each_of_twenty_clients_is_answered_exactly_once_when_it_crashes(
    start: Start, script: Script
) -> None:
    """The one under way with -32004, those that wait with -32001; nobody is cut off."""
    daemon = start()
    daemon.load(
        script('run\ntoken "x"\nwait "gate"\nsegv\n'.replace("gate", str(daemon.path) + ".gate"))
    )
    clients = [daemon.connect() for _ in range(20)]
    for client in clients:
        client.send({"jsonrpc": "2.0", "id": 1, "method": "rkllm.run", "params": run_params()})
    with daemon.connect() as observer:
        wait_until(lambda: status_of(observer)["queue_length"] == 19)
    Path(str(daemon.path) + ".gate").touch()
    codes = sorted(client.line()["error"]["code"] for client in clients)
    assert codes == [-32004] + [-32001] * 19
    for client in clients:
        assert client.ask("server.ping", None, "still here")["id"] == "still here"
        client.socket.close()


def test_many_crashes_in_a_row_leave_nothing_behind(start: Start, script: Script) -> None:
    """Memory, descriptors and processes are as they were."""
    daemon = start()
    model = script("run\nsegv\n")

    def crash() -> None:
        daemon.load(model)
        with daemon.connect() as client:
            assert client.ask("rkllm.run", run_params())["error"]["code"] == -32004

    def state() -> tuple[int, int]:
        wait_until(lambda: len(children_of(daemon)) == 1)
        proc = Path(f"/proc/{daemon.process.pid}")
        memory = (proc / "status").read_text().partition("VmRSS:")[2].split()[0]
        return len(list((proc / "fd").iterdir())), int(memory)

    for _ in range(10):
        crash()
    descriptors, memory = state()
    for _ in range(30):
        crash()
    after, grown = state()
    assert after <= descriptors + 1
    assert grown - memory < 1024


def test_what_the_runtime_prints_is_a_log_line_and_no_message(start: Start, script: Script) -> None:
    """Even if it looks like one."""
    daemon = start()
    daemon.load(
        script(f'run\nprint stdout "7:forged!,\\n"\nprint stderr "E rkllm: ah\\n"\n{HELLO}')
    )
    with daemon.connect() as client:
        assert client.ask("rkllm.run", run_params())["result"]["text"] == "Hello"
    wait_until(lambda: "runtime: E rkllm: ah" in daemon.log.read_text())
    assert "runtime: 7:forged!," in daemon.log.read_text()


def test_an_init_that_hangs_is_ended(start: Start, script: Script) -> None:
    """-32003 after the timeout; the child is killed; the daemon serves on."""
    daemon = start("--init-timeout=0.5")
    with daemon.connect() as client, daemon.connect() as other:
        hanging = {"model_path": str(script("init hang\nrun\nfinish\n"))}
        child = child_of(daemon)
        error = client.ask("rkllm.init", [hanging])["error"]
        assert error["code"] == -32003
        assert "--init-timeout" in error["message"]
        assert other.ask("server.ping")["result"] == "pong"
        wait_until(lambda: not is_alive(child))
    daemon.load(script(f"run\n{HELLO}"))


@pytest.mark.parametrize(
    ("option", "before"), [("--first-token-timeout", ""), ("--token-timeout", 'token "x"\n')]
)
def test_a_run_that_stops_giving_tokens_is_ended(
    start: Start, script: Script, option: str, before: str
) -> None:
    """Aborted where that helps, killed where it does not."""
    daemon = start(f"{option}=0.3")
    daemon.load(script(f'run when "deaf"\n{before}deaf\nhang\nrun\n{before}hang until abort\n'))
    child = child_of(daemon)
    with daemon.connect() as client:
        error = client.ask("rkllm.run", run_params())["error"]
        assert error["code"] == -32003
        assert option in error["message"]
        wait_until(lambda: status_of(client)["state"] == "loaded")
        assert children_of(daemon) == [child], "an abort was enough"
        assert client.ask("rkllm.run", run_params("deaf"))["error"]["code"] == -32003
        wait_until(lambda: status_of(client)["state"] == "empty")
        assert not is_alive(child)


def test_in_thread_mode_a_stuck_npu_says_so_and_the_daemon_still_ends(
    start: Start, script: Script
) -> None:
    """A thread in C cannot be ended: work is refused, and shutting down takes under 15 s."""
    daemon = start("--isolation=thread", "--token-timeout=0.2")
    daemon.load(script('run\ntoken "x"\ndeaf\nhang\n'))
    with daemon.connect() as client:
        assert client.ask("rkllm.run", run_params())["error"]["code"] == -32003
        wait_until(lambda: status_of(client)["state"] == "stuck")
        refused = client.ask("rkllm.run", run_params())["error"]
        assert refused["code"] == -32003
        assert "stuck" in refused["message"]
        assert client.ask("server.ping")["result"] == "pong"
    begun = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - begun < 15


def test_a_hung_runtime_does_not_keep_the_daemon_from_ending(start: Start, script: Script) -> None:
    """Under 15 s, always; no process is left."""
    daemon = start()
    daemon.load(script('run\ntoken "x"\ndeaf\nhang\n'))
    child = child_of(daemon)
    with daemon.connect() as client:
        client.ask("rkllm.run_async", run_params())
        begun = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - begun < 15
    wait_until(lambda: not is_alive(child))


def test_a_stopped_child_is_noticed(start: Start, script: Script) -> None:
    """SIGSTOP ends no process, but its heartbeat."""
    daemon = start()
    daemon.load(script(f"run\n{HELLO}"))
    child = child_of(daemon)
    os.kill(child, signal.SIGSTOP)
    with daemon.connect() as client:
        error = client.ask("rkllm.run", run_params())["error"]
        assert error["code"] == -32004
        assert "stopped answering" in error["message"]
    wait_until(lambda: not is_alive(child))


def test_the_child_dies_with_its_daemon(start: Start, script: Script) -> None:
    """kill -9: no orphan holds the NPU for more than a second, not even one that hangs in C."""
    daemon = start()
    daemon.load(script('run\ntoken "x"\ndeaf\nhang\n'))
    child = child_of(daemon)
    with daemon.connect() as client:
        client.ask("rkllm.run_async", run_params())
        daemon.stop(signal.SIGKILL)
        wait_until(lambda: not is_alive(child), seconds=1)


def test_destroy_gives_the_memory_back(start: Start, script: Script) -> None:
    """The child that held the model ends, and a fresh one stands by."""
    daemon = start()
    daemon.load(script(f"run\n{HELLO}"))
    child = child_of(daemon)
    with daemon.connect() as client:
        assert client.ask("rkllm.destroy")["result"]["success"] is True
        wait_until(lambda: not is_alive(child))
        wait_until(lambda: len(children_of(daemon)) == 1)
        assert status_of(client)["problem"] is None


def test_the_child_has_no_descriptor_of_a_client(start: Start, script: Script) -> None:
    """Neither the listening socket nor a connection: only its own five and what it opened."""
    daemon = start()
    with daemon.connect() as client:
        client.ask("server.ping")
        daemon.load(script(f"run\n{HELLO}"))
        child = child_of(daemon)
        links = [str(fd.readlink()) for fd in Path(f"/proc/{child}/fd").iterdir()]
        sockets = [link for link in links if link.startswith("socket:")]
        assert len(sockets) == 1, links
        limits = Path(f"/proc/{child}/limits").read_text()
    (files,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
    soft, hard = files.split()[3:5]
    assert soft == hard or int(soft) >= 102400


def test_the_child_runs_where_it_is_told(start: Start) -> None:
    """--child-cpus and --child-oom-score."""
    daemon = start("--child-cpus=0", "--child-oom-score=500")
    child = child_of(daemon)
    wait_until(lambda: os.sched_getaffinity(child) == {0})
    wait_until(lambda: Path(f"/proc/{child}/oom_score_adj").read_text().strip() == "500")


def test_streams_go_on_for_others_while_one_is_ended(start: Start, script: Script) -> None:
    """A crash between two clients' runs is nobody else's loss: the next load serves both."""
    daemon = start()
    model = script(f'run when "die"\nsegv\nrun\n{HELLO}')
    answers: list[Any] = []

    def ask_often() -> None:
        with daemon.connect() as client:
            answers.extend(client.ask("server.ping")["result"] for _ in range(200))

    asking = threading.Thread(target=ask_often)
    asking.start()
    for _ in range(3):
        daemon.load(model)
        with daemon.connect() as client:
            assert client.ask("rkllm.run", run_params("die"))["error"]["code"] == -32004
    asking.join()
    assert answers == ["pong"] * 200
