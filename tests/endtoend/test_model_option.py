"""``--model`` loads a model before the first client needs it, and again after a crash."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from daemons import Daemon, environment, twistd
from many_clients import wait_until

Start = Callable[..., Daemon]
Script = Callable[[str], Path]


def test_the_first_client_waits_for_the_load(start: Start, script: Script) -> None:
    """A run during the load is answered after it."""
    model = script('init delay 500\nrun\ntoken "Hello"\nfinish\n')
    daemon = start(f"--model={model}", "--model-param=max_context_len=512")
    with daemon.connect() as client:
        answer = client.ask("rkllm.run", [{"prompt_input": "hi"}])
        assert answer["result"]["text"] == "Hello"
        assert client.ask("server.status")["result"]["model_path"] == str(model)


def test_a_crash_loads_the_model_again(start: Start, script: Script) -> None:
    """No client needs to load it."""
    model = script("run\nsegv\n")
    daemon = start(f"--model={model}")
    with daemon.connect() as client:
        assert client.ask("rkllm.run", [{"prompt_input": "hi"}])["error"]["code"] == -32004
        wait_until(lambda: client.ask("server.status")["result"]["state"] == "loaded")


def test_a_name_is_looked_up_in_the_directories(start: Start, script: Script) -> None:
    """The name is that of a file in --model-dir, and the status has it."""
    model = script('run\ntoken "Hello"\nfinish\n')
    daemon = start("--model=model", f"--model-dir={model.parent}")
    with daemon.connect() as client:
        assert client.ask("rkllm.run", [{"prompt_input": "hi"}])["result"]["text"] == "Hello"
        assert client.ask("server.status")["result"]["model"] == "model"


def test_an_idle_model_is_unloaded_after_the_time_of_keep_alive(
    start: Start, script: Script
) -> None:
    """The daemon does so by itself."""
    daemon = start(f"--model={script('run')}", "--keep-alive=0.1")
    with daemon.connect() as client:
        wait_until(lambda: client.ask("server.status")["result"]["state"] == "empty")
        assert client.ask("server.status")["result"]["loads"] == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model=/nowhere.rkllm"], "--model /nowhere.rkllm: there is no such file."),
        (["--model={file}", "--model-param=no_such=1"], "no_such"),
        (["--model={file}", "--model-param=max_context_len"], "--model-param must be NAME=VALUE"),
        (["--model-param=a=1"], "--model-param needs --model."),
        (["--model=nothing", "--model-dir={directory}"], "There is no model 'nothing'"),
    ],
)
def test_a_model_that_cannot_be_is_refused_at_the_start(
    tmp_path: Path, script: Script, options: list[str], said: str
) -> None:
    """The error is one sentence, and the daemon does not listen."""
    file = script("run\nfinish\n")
    words = [option.format(file=file, directory=tmp_path) for option in options]
    common = ["-n", "--pidfile=", "rkllm", "--library=cpu", f"--socket={tmp_path}/s"]
    done = subprocess.run(
        [*twistd(), *common, *words],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert said in line
