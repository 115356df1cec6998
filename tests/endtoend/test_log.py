"""The log of a real daemon: its formats, its record of each client, and no prompts."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from daemons import MAX_WAIT_S, Daemon, environment, twistd
from many_clients import wait_until

Start = Callable[..., Daemon]
Script = Callable[[str], Path]
SECRET = "my-secret-question"
ANSWER = 'run\n  token "one"\n  token "two"\n  finish\n'


def use(daemon: Daemon, script: Script) -> None:
    """Load, run in every way, and make mistakes, with a secret prompt."""
    daemon.load(script(ANSWER))
    prompt = {"prompt_input": SECRET}
    with daemon.connect() as client:
        client.ask("rkllm.run", [prompt], 11)
        client.stream("rkllm.run_async", [prompt], 12)
        client.ask("rkllm.run", [{**prompt, "no_such_field": SECRET}], 13)
        client.ask("rkllm.run", [prompt, {"mode": SECRET}], 14)
        client.ask("rkllm.run", [{"input_type": 1, "prompt_input": SECRET}], 15)
        client.ask("server.ping", None, 16)
        client.send({"jsonrpc": "2.0", "method": "rkllm.run", "params": [{"prompt_input": 1}]})
        client.ask("rkllm.get_kv_cache_size", None, 17)
        client.socket.sendall(json.dumps({"prompt_input": SECRET}).encode() + b"\n")
        client.line()


def test_json_lines_say_who_did_what(start: Start, script: Script) -> None:
    """Each line has one object, from the first to the last."""
    daemon = start("--log-format=json")
    use(daemon, script)
    daemon.stop()
    events = [json.loads(line) for line in daemon.log.read_text().splitlines()]
    assert all({"time", "level", "logger", "message"} <= event.keys() for event in events)
    by_id = {event.get("id"): event for event in events if "method" in event}
    run = by_id[11]
    assert (run["method"], run["outcome"], run["tokens"]) == ("rkllm.run", "ok", 2)
    assert run["uid"] == os.getuid()
    assert 0 < run["duration"] < MAX_WAIT_S
    assert by_id[12]["tokens"] == 2
    assert (by_id[13]["outcome"], by_id[13]["code"]) == ("InvalidParams", -32602)
    assert by_id[None]["outcome"] == "InvalidParams"
    assert 16 not in by_id  # a ping
    [connected] = [e for e in events if e["message"].startswith(f"client {run['client']} conn")]
    assert (connected["pid"], connected["uid"]) == (os.getpid(), os.getuid())
    assert any(e["message"] == f"client {run['client']} left after 9 messages" for e in events)


@pytest.mark.parametrize("form", ["text", "json", "journald"])
@pytest.mark.parametrize("isolation", ["process", "thread"])
def test_no_prompt_is_in_the_log(start: Start, script: Script, form: str, isolation: str) -> None:
    """The log has none at level debug, in any format, even of invalid requests."""
    daemon = start(f"--log-format={form}", "--log-level=debug", f"--isolation={isolation}")
    use(daemon, script)
    daemon.stop()
    assert "server.ping" in daemon.log.read_text()
    assert SECRET not in daemon.log.read_text()


def test_prompts_are_in_the_log_where_that_is_asked_for(start: Start, script: Script) -> None:
    """The option is --log-prompts."""
    daemon = start("--log-prompts")
    use(daemon, script)
    assert f"prompt '{SECRET}'" in daemon.log.read_text()


def test_each_line_for_journald_has_its_level(start: Start, script: Script) -> None:
    """journalctl -p can select lines by level."""
    daemon = start("--log-format=journald")
    use(daemon, script)
    daemon.stop()
    lines = daemon.log.read_text().splitlines()
    assert all(re.match(r"<[2-7]>", line) for line in lines)
    assert any(line.startswith("<6>") and "rkllm.run, id 11: ok" in line for line in lines)


def test_a_quiet_daemon_says_nothing(start: Start, script: Script) -> None:
    """The level is error, and nothing goes wrong."""
    daemon = start("--log-level=error")
    use(daemon, script)
    daemon.stop()
    assert daemon.log.read_text() == ""


def test_a_full_disk_stops_nobody(tmp_path: Path, script: Script) -> None:
    """The daemon serves although it cannot write its log."""
    socket = tmp_path / "rkllm.sock"
    command = [*twistd(), "-n", "--pidfile=", "rkllm", "--library=cpu", f"--socket={socket}"]
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            command, stdout=full, stderr=full, cwd=tmp_path, env=environment()
        )
    try:
        daemon: Any = Daemon.__new__(Daemon)
        daemon.path, daemon.process, daemon.log = socket, process, tmp_path / "none"
        daemon._await_socket()
        daemon.load(script(ANSWER))
        with daemon.connect() as client:
            for number in range(100):
                answer = client.ask("rkllm.run", [{"prompt_input": "x"}], number)
                assert answer["result"]["text"] == "onetwo"
        process.send_signal(signal.SIGTERM)
        assert process.wait(MAX_WAIT_S) == 0
    finally:
        process.kill()
        process.wait()


def test_twistds_logfile_is_written_and_rotated(tmp_path: Path) -> None:
    """--logfile and SIGUSR1 work as in any twistd."""
    log, socket = tmp_path / "log", tmp_path / "rkllm.sock"
    options = ["-n", "--pidfile=", f"--logfile={log}"]
    process = subprocess.Popen(
        [*twistd(), *options, "rkllm", "--library=cpu", f"--socket={socket}", "--log-format=json"],
        cwd=tmp_path,
        env=environment(),
    )
    try:
        daemon: Any = Daemon.__new__(Daemon)
        daemon.path, daemon.process, daemon.log = socket, process, log
        daemon._await_socket()
        process.send_signal(signal.SIGUSR1)
        with daemon.connect() as client:
            client.ask("rkllm.get_kv_cache_size")
            assert process.poll() is None
            while not (tmp_path / "log.1").exists():
                client.ask("server.ping")
    finally:
        process.terminate()
        assert process.wait(MAX_WAIT_S) == 0
    for line in (*log.read_text().splitlines(), *(tmp_path / "log.1").read_text().splitlines()):
        json.loads(line)


def test_a_format_beside_twistds_own_is_refused(tmp_path: Path) -> None:
    """The daemon could not tell which of the two applies."""
    command = [*twistd(), "-n", "--syslog", "rkllm", "--library=cpu", "--log-format=json"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=30
    )
    assert done.returncode != 0
    assert "leave out either them or --log-format" in done.stdout + done.stderr


def test_a_log_that_nobody_reads_does_not_stop_the_daemon(tmp_path: Path) -> None:
    """The lines are dropped and counted; the log later has their number."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 16384)
    daemon = Daemon(tmp_path, stdout=writing)
    os.close(writing)
    try:
        with daemon.connect() as client:
            for number in range(200):
                client.ask("no.such.method." + "x" * 200, None, number)
            assert client.ask("server.ping", None, 7)["result"] == "pong"
            log = os.read(reading, 1 << 20)
            assert b"dropped" not in log
            client.ask("no.such.method")
            log = os.read(reading, 1 << 20)
        assert re.search(rb"#warn\] \d+ events of the log were dropped: its reader", log)
    finally:
        os.close(reading)
        assert daemon.stop() == 0


def test_sigusr1_without_a_logfile_is_ignored_and_said(start: Start) -> None:
    """By default, SIGUSR1 would end the process."""
    daemon = start()
    daemon.process.send_signal(signal.SIGUSR1)
    line = "SIGUSR1 is ignored: there is no --logfile to rotate"
    wait_until(lambda: line in daemon.log.read_text())
    with daemon.connect() as client:
        assert client.ask("server.ping")["result"] == "pong"
