"""The daemon opens only files in its model directories, even while clients replace them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from daemons import MAX_WAIT_S, Daemon
from other_users import names_in

Start = Callable[..., Daemon]
#: How often each outcome of the race must occur.
OFTEN = 15


def script_saying(word: str) -> str:
    return f'#!rkllm-script 1\nrun\n  token "{word}"\n  finish\n'


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Make a directory with a model, and a model beside it."""
    (tmp_path / "outside").write_text(script_saying("secret"))
    path = tmp_path / "models"
    path.mkdir()
    (path / "good").write_text(script_saying("good"))
    return path


@contextmanager
def swapping(path: Path) -> Iterator[None]:
    """Replace a name in turn with a model and with a link to a file outside."""
    stop = threading.Event()

    def swap() -> None:
        new = path.with_name("new")
        while not stop.is_set():
            new.write_text(script_saying("good"))
            new.rename(path)
            stop.wait(0.001)  # as long as a load takes, so that both come often
            new.symlink_to("../outside")
            new.rename(path)
            stop.wait(0.001)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("isolation", ["process", "thread"])
def test_swapping_a_link_in_a_loop_gets_nobody_out(
    start: Start, models: Path, isolation: str
) -> None:
    """Each load opens the model inside or is refused; both occur often."""
    daemon = start(f"--model-dir={models}", f"--isolation={isolation}")
    seen = {"good": 0, "refused": 0}
    (models / "model").write_text(script_saying("good"))
    with swapping(models / "model"), daemon.connect() as client:
        deadline = time.monotonic() + MAX_WAIT_S
        while min(seen.values()) < OFTEN and time.monotonic() < deadline:
            answer = client.ask("rkllm.init", [{"model_path": str(models / "model")}])
            if "error" in answer:
                assert answer["error"]["code"] in (-32005, -32602)
                seen["refused"] += 1
            else:
                run = client.ask("rkllm.run", [{"prompt_input": "x"}])
                assert run["result"]["text"] == "good"
                seen["good"] += 1
    assert min(seen.values()) >= OFTEN, seen


def test_names_are_the_clients_own_everywhere(start: Start, models: Path) -> None:
    """The status and the log show the client's path; the log also has the path that C opens."""
    daemon = start(f"--model-dir={models}")
    daemon.load(models / "good")
    with daemon.connect() as client:
        assert client.ask("server.status")["result"]["model_path"] == str(models / "good")
    assert f"param.model_path: '{models / 'good'}' is opened as /proc/" in daemon.log.read_text()


@pytest.mark.parametrize("isolation", ["process", "thread"])
def test_every_file_parameter_is_bounded(start: Start, models: Path, isolation: str) -> None:
    """The limit holds for files to read and files to write; nothing is written outside."""
    daemon = start(f"--model-dir={models}", f"--isolation={isolation}")
    daemon.load(models / "good")
    outside = str(models.parent / "outside")
    new = str(models.parent / "new")
    saving = {"save_prompt_cache": 1, "prompt_cache_path": new}
    requests: list[tuple[str, Any, str]] = [
        ("rkllm.init", [{"model_path": outside}], "param.model_path"),
        (
            "rkllm.load_lora",
            [{"lora_adapter_path": outside, "lora_adapter_name": "x", "scale": 1}],
            "lora_adapter.lora_adapter_path",
        ),
        ("rkllm.load_prompt_cache", [outside], "prompt_cache_path"),
        (
            "rkllm.run",
            [{"prompt_input": "x"}, {"prompt_cache_params": saving}],
            "rkllm_infer_params.prompt_cache_params.prompt_cache_path",
        ),
    ]
    with daemon.connect() as client:
        for method, params, parameter in requests:
            error = client.ask(method, params)["error"]
            assert (error["code"], error["data"]) == (-32005, {"parameter": parameter})
            assert str(models) in error["message"]
        # The earlier model is still loaded.
        assert client.ask("rkllm.run", [{"prompt_input": "x"}])["result"]["text"] == "good"
    assert not Path(new).exists()
    assert names_in(models) == ["good"]
