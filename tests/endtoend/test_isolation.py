"""The runtime's process: what it inherits and prints, how it ends, and how often it restarts.

The tests of crashes and hangs are in test_chaos.py and test_chaos_hangs.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from daemons import Daemon
from many_clients import child_of, children_of, is_alive, run_params, status_of, wait_until

Start = Callable[..., Daemon]
Script = Callable[[str], Path]

HELLO = 'token "Hello"\nfinish\n'


def test_an_init_that_is_refused_at_sight_leaves_the_model_loaded(
    start: Start, script: Script
) -> None:
    """A missing file does not unload the earlier model."""
    daemon = start()
    daemon.load(script(f"run\n{HELLO}"))
    with daemon.connect() as client:
        for path in ("/", "/nowhere/m.gguf"):
            assert client.ask("rkllm.init", [{"model_path": path}])["error"]["code"] == -32602
        assert client.ask("rkllm.run", run_params())["result"]["text"] == "Hello"


def test_a_model_that_always_crashes_is_given_up_and_tried_again_when_asked(
    start: Start, script: Script
) -> None:
    """After three early crashes the state is failed, with the reason; rkllm.init tries again."""
    daemon = start()
    bad = {"model_path": str(script("init exit 7\nrun\nfinish\n"))}
    with daemon.connect() as client:
        for _ in range(3):
            assert client.ask("rkllm.init", [bad])["error"]["code"] == -32004
        wait_until(lambda: status_of(client)["state"] == "failed")
        assert status_of(client)["problem"] == "exited with code 7"
        assert status_of(client)["crashes"] == 3
        assert children_of(daemon) == []
        daemon.load(script(f"run\n{HELLO}"))
        assert status_of(client)["state"] == "loaded"


def test_what_the_runtime_prints_is_a_log_line_and_no_message(start: Start, script: Script) -> None:
    """A printed line is logged even if it looks like a message."""
    daemon = start()
    daemon.load(
        script(f'run\nprint stdout "7:forged!,\\n"\nprint stderr "E rkllm: ah\\n"\n{HELLO}')
    )
    with daemon.connect() as client:
        assert client.ask("rkllm.run", run_params())["result"]["text"] == "Hello"
    wait_until(lambda: "runtime: E rkllm: ah" in daemon.log.read_text())
    assert "runtime: 7:forged!," in daemon.log.read_text()


def test_in_thread_mode_a_stuck_npu_says_so_and_the_daemon_still_ends(
    start: Start, script: Script
) -> None:
    """A thread in C cannot be killed: runs are refused, and shutting down takes under 15 s."""
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


def test_the_last_printed_line_is_not_lost_in_cs_buffer() -> None:
    """The child sets C's buffering, because C buffers its output to a pipe."""
    code = """
import ctypes, os, signal
from rkllm_twisted.isolation.host import apply_limits
apply_limits(1024, "", "")
ctypes.CDLL(None).puts(b"E rkllm: this is the end")
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, timeout=20)
    assert done.stdout == b"E rkllm: this is the end\n"


def test_a_process_that_the_runtime_started_does_not_hide_its_end(
    start: Start, script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That process keeps the runtime's stdout and stderr open."""
    (tmp_path / "sitecustomize.py").write_text(
        "import subprocess, sys\n"
        "if 'rkllm_twisted.isolation.host' in sys.orig_argv:\n"
        "    subprocess.Popen(['sleep', '7'], close_fds=False)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    daemon = start("--runtime-host=python")
    daemon.load(script('run\nprint stderr "argh"\nsegv\n'))
    with daemon.connect() as client:
        begun = time.monotonic()
        error = client.ask("rkllm.run", run_params())["error"]
        assert time.monotonic() - begun < 2
        assert error["data"]["signal"] == signal.SIGSEGV
        assert error["data"]["lines"][-1] == "argh"


def test_without_the_program_in_c_the_daemon_serves_with_the_one_in_python(
    start: Start, script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log and server.version say so, and what to do."""
    (tmp_path / "sitecustomize.py").write_text(
        "from pathlib import Path\n"
        "from rkllm_twisted.isolation import c_host\n"
        "c_host.C_HOST = Path('/nowhere/rkllm-host')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    daemon = start()
    daemon.load(script('run\ntoken "Hello"\nfinish\n'))
    with daemon.connect() as client:
        runtime = client.ask("server.version")["result"]["runtime"]
        assert client.ask("rkllm.run", run_params())["result"]["text"] == "Hello"
    why = "is missing; install a C compiler and the package again"
    assert (runtime["host"], runtime["host_reason"]) == ("python", why)
    [line] = [line for line in daemon.log.read_text().splitlines() if why in line]
    assert "warn" in line


def test_the_child_dies_with_its_daemon(start: Start, script: Script) -> None:
    """After kill -9, no child holds the NPU for over a second, not even one that hangs in C."""
    daemon = start()
    daemon.load(script('run\ntoken "x"\ndeaf\nhang\n'))
    child = child_of(daemon)
    with daemon.connect() as client:
        client.ask("rkllm.run_async", run_params())
        daemon.stop(signal.SIGKILL)
        wait_until(lambda: not is_alive(child), seconds=1)


def test_destroy_gives_the_memory_back(start: Start, script: Script) -> None:
    """The child ends, and a new one starts."""
    daemon = start()
    daemon.load(script(f"run\n{HELLO}"))
    child = child_of(daemon)
    with daemon.connect() as client:
        assert client.ask("rkllm.destroy")["result"]["success"] is True
        wait_until(lambda: not is_alive(child))
        wait_until(lambda: len(children_of(daemon)) == 1)
        assert status_of(client)["problem"] is None


def test_the_child_has_no_descriptor_of_a_client(start: Start, script: Script) -> None:
    """The child has no socket of the daemon's clients: its only socket is its own."""
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
    """The options are --child-cpus and --child-oom-score."""
    daemon = start("--child-cpus=0", "--child-oom-score=500")
    child = child_of(daemon)
    wait_until(lambda: os.sched_getaffinity(child) == {0})
    wait_until(lambda: Path(f"/proc/{child}/oom_score_adj").read_text().strip() == "500")


def test_a_processor_that_is_not_there_is_refused_at_the_start(start: Start) -> None:
    """One sentence has the option, and the processors of this machine."""
    with pytest.raises(pytest.fail.Exception, match=r"--child-cpus names processors.*9999"):
        start("--child-cpus=9999")


def test_streams_go_on_for_others_while_one_is_ended(start: Start, script: Script) -> None:
    """Another client's pings are all answered while three runs crash."""
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
