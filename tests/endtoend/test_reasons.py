"""The reason for a failure reaches only the client that made the call."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from daemons import Daemon
from many_clients import child_of, run_params, status_of, wait_until

from rkllm_twisted.cpu import demo_model

Start = Callable[..., Daemon]
Script = Callable[[str], Path]

#: Contents of a wrong file -> a word of the sentence that names its kind.
WRONG_FILES = {
    b"": "empty",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n": "Git LFS pointer",
    b"<!DOCTYPE html><html><body>Not found</body></html>": "web page",
    b"Entry not found": "text",
    b'{"error": "Entry not found"}': "JSON",
    b"\x40\0\0\0\0\0\0\0" + b'{"__metadata__":{}}'.ljust(64): "safetensors",
    b"PK\x03\x04" + b"\0" * 60: "ZIP",
    b"GGUF\3\0\0\0": "cut short",
}


@pytest.mark.parametrize("isolation", ["process", "thread"])
def test_a_file_that_is_no_model_is_named_and_the_model_stays(
    start: Start, script: Script, tmp_path: Path, isolation: str
) -> None:
    """With --model-dir, the daemon opens the file, and the error is the same."""
    daemon = start(f"--isolation={isolation}", f"--model-dir={tmp_path}")
    daemon.load(script('run\ntoken "here"\nfinish\n'))
    with daemon.connect() as client:
        for content, word in WRONG_FILES.items():
            wrong = tmp_path / "model.rkllm"
            wrong.write_bytes(content)
            error = client.ask("rkllm.init", [{"model_path": str(wrong)}])["error"]
            assert error["code"] == -32602, error
            assert word in error["message"]
            assert error["data"]["parameter"] == "param.model_path"
        assert client.ask("rkllm.run", run_params())["result"]["text"] == "here"


def test_what_the_library_printed_is_in_the_error(start: Start, script: Script) -> None:
    """Message and data have the lines of the failing call only."""
    daemon = start()
    model = script('run\nprint stderr "E rkllm: secret of A\\n"\ntoken "x"\nfinish\nrun\nsegv\n')
    daemon.load(model)
    with daemon.connect() as first, daemon.connect() as other:
        result = first.ask("rkllm.run", run_params())["result"]
        assert result["_lines"] == ["E rkllm: secret of A"]
        error = other.ask("rkllm.init", [{"model_path": str(model), "max_context_len": 10**8}])
        message = error["error"]["message"]
        assert "max_context_len 100000000 is more than the model's limit of" in message
        assert "secret" not in str(error)
        assert error["error"]["data"]["lines"]


def test_a_crash_tells_its_reason_to_its_client_and_that_it_happened_to_all(
    start: Start, script: Script
) -> None:
    """The crashed call gets -32004 with its lines; later calls of all clients get -32001."""
    daemon = start()
    daemon.load(
        script(
            'run\nprint stderr "E rkllm: secret of A\\n"\nfinish\n'
            'run\nprint stderr "E rkllm: out of NPU memory\\n"\nsegv\n'
        )
    )
    with daemon.connect() as first, daemon.connect() as second:
        first.ask("rkllm.run", run_params())
        error = second.ask("rkllm.run", run_params())["error"]
        assert (error["code"], error["data"]["lines"]) == (-32004, ["E rkllm: out of NPU memory"])
        assert "out of NPU memory" in error["message"]
        error = first.ask("rkllm.run", run_params())["error"]
        assert (error["code"], error["data"]) == (-32001, {"problem": "was killed by SIGSEGV"})
        assert "was killed by SIGSEGV" in error["message"]


def test_lines_keep_their_level_in_the_log(start: Start, script: Script) -> None:
    """--log-level warn shows the runtime's errors and warnings."""
    daemon = start("--log-level=warn")
    daemon.load(
        script(
            'run\nprint stderr "E rkllm: error\\n"\nprint stdout "W rkllm: warning\\n"\n'
            'print stderr "I rkllm: information\\n"\ntoken "x"\nfinish\n'
        )
    )
    with daemon.connect() as client:
        client.ask("rkllm.run", run_params())
    wait_until(lambda: "W rkllm: warning" in daemon.log.read_text())
    log = daemon.log.read_text()
    assert "[rkllm.runtime#error] runtime: E rkllm: error" in log
    assert "information" not in log


def test_prompts_are_not_printed_unless_that_is_asked_for(start: Start, script: Script) -> None:
    """The runtime prints them with RKLLM_LOG_LEVEL=2; the daemon lowers the level and warns."""
    daemon = start(wrapper=("env", "RKLLM_LOG_LEVEL=2"))
    warning = "RKLLM_LOG_LEVEL=2 makes the runtime print prompts"
    wait_until(lambda: warning in daemon.log.read_text())
    daemon.load(script("run\nfinish\n"))
    with daemon.connect() as client:
        client.ask("rkllm.run", run_params())
    time.sleep(0.2)
    assert "prefill" in daemon.log.read_text()  # level 1
    assert "cache holds" not in daemon.log.read_text()  # level 2


def test_the_limits_of_the_model_are_in_the_status(start: Start, script: Script) -> None:
    """A client can then recognise an answer that was cut off."""
    daemon = start()
    model = script("run\nfinish\n")
    with daemon.connect() as client:
        assert status_of(client)["max_context_len"] is None
        client.ask(
            "rkllm.init", [{"model_path": str(model), "max_context_len": 99, "max_new_tokens": 7}]
        )
        status = status_of(client)
        assert (status["max_context_len"], status["max_new_tokens"]) == (99, 7)
        assert status["lora_adapters"] == []
        client.ask("rkllm.destroy")
        assert status_of(client)["max_context_len"] is None


def test_a_run_that_does_not_fit_says_the_numbers(start: Start) -> None:
    """The error has the library's reason and the model's context length."""
    daemon = start()
    daemon.load(demo_model(), max_context_len=16)
    with daemon.connect() as client:
        error = client.ask("rkllm.run", run_params("word " * 100))["error"]
        assert error["code"] == -32000
        assert "loaded with room for 16 tokens" in error["message"]
        assert error["data"]["max_context_len"] == 16
        assert error["data"]["lines"]


def test_a_prompt_cache_that_was_not_saved_is_said_to_be_so(
    start: Start, script: Script, tmp_path: Path
) -> None:
    """The result and the log report it, and the old file stays."""
    daemon = start()
    daemon.load(script('run\ntoken "x"\nfinish\n'))
    cache = tmp_path / "old.cache"
    cache.write_text("old")
    save = {"save_prompt_cache": 1, "prompt_cache_path": str(cache)}
    with daemon.connect() as client:
        params = [*run_params(), {"prompt_cache_params": save}]
        limits = resource.prlimit(child_of(daemon), resource.RLIMIT_FSIZE)
        resource.prlimit(child_of(daemon), resource.RLIMIT_FSIZE, (0, limits[1]))  # a full disk
        result = client.ask("rkllm.run", params)["result"]
        assert (result["text"], result["_prompt_cache_saved"]) == ("x", False)
        assert f"{cache} was not saved" in str(result["_lines"])
        assert cache.read_text() == "old"
        resource.prlimit(child_of(daemon), resource.RLIMIT_FSIZE, limits)
        assert client.ask("rkllm.run", params)["result"]["_prompt_cache_saved"] is True
        assert cache.read_bytes().startswith(b"rkllm-cpu kv")
    wait_until(lambda: "was not saved" in daemon.log.read_text())


def test_in_thread_mode_the_daemon_says_once_where_the_librarys_lines_are(
    start: Start, script: Script
) -> None:
    """The library writes to the process's own streams, which the daemon must not take."""
    daemon = start("--isolation=thread")
    daemon.load(script('run\nprint stderr "W rkllm: odd\\n"\ntoken "x"\nfinish\n'))
    with daemon.connect() as client:
        assert "_lines" not in client.ask("rkllm.run", run_params())["result"]
    log = daemon.log.read_text()
    assert log.count("what it prints is on the process's stdout and stderr") == 1
    assert "runtime: W rkllm: odd" not in log


def test_a_template_that_the_embedded_runtime_does_not_apply_is_in_the_log(
    start: Start, tmp_path: Path
) -> None:
    """The bundled model has its own marks beside its template; without them prompts are bare."""
    bare = tmp_path / "bare.gguf"
    bare.write_bytes(demo_model().read_bytes().replace(b"rkllm.prompt_p", b"other.prompt_p"))
    daemon = start("--log-level=warn")
    daemon.load(demo_model())
    assert "chat template" not in daemon.log.read_text()
    daemon.load(bare)
    words = "#warn] runtime: W rkllm: the engine tiny does not apply the model's chat template"
    wait_until(lambda: words in daemon.log.read_text())
