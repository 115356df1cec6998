"""Models by name, in the daemon and in the ``rkllm`` command."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from daemons import Daemon
from gguf_files import gguf_bytes
from rkllm_command import is_one_sentence, rkllm

from rkllm_twisted.abi.layouts import layout_of
from rkllm_twisted.abi.release import release_for
from rkllm_twisted.models.companions import SEVERAL, SINGLE
from rkllm_twisted.models.settings import KEYS, read_settings

Start = Callable[..., Daemon]
SCRIPT = '#!rkllm-script 1\nrun\ntoken "Hello"\nfinish\n'


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Make a directory with a model in a subdirectory and a web page in place of a model."""
    path = tmp_path / "models"
    (path / "hello").mkdir(parents=True)
    (path / "hello" / "hello.script").write_text(SCRIPT)
    (path / "hello" / "rkllm.toml").write_text('aliases = ["greeter"]\n')
    (path / "page.gguf").write_text("<!DOCTYPE html><title>404</title>")
    return path


@pytest.mark.parametrize("isolation", ["process", "thread"])
def test_a_daemon_lists_its_models_and_says_which_is_loaded(
    start: Start, models: Path, isolation: str
) -> None:
    daemon = start(f"--model-dir={models}", f"--isolation={isolation}")
    daemon.load(models / "hello" / "hello.script")
    with daemon.connect() as client:
        listing = client.ask("models.list")["result"]
    assert [(model["name"], model["loaded"]) for model in listing["models"]] == [
        ("hello", True),
        ("page", False),
    ]
    assert listing["problems"] == []
    assert "is a web page" in listing["models"][1]["problems"][0]


def test_a_model_is_shown_by_its_alias_with_its_digest_if_that_is_asked_for(
    start: Start, models: Path
) -> None:
    daemon = start(f"--model-dir={models}")
    with daemon.connect() as client:
        shown = client.ask("models.show", {"model": "greeter"})["result"]
        with_digest = client.ask("models.show", ["hello", True])["result"]
        listed = client.ask("models.list")["result"]["models"][0]
    assert (shown["name"], shown["digest"]) == ("hello", None)
    assert with_digest["digest"] == hashlib.sha256(SCRIPT.encode()).hexdigest()
    assert listed["digest"] == with_digest["digest"]


def test_the_path_that_is_shown_is_one_that_can_be_loaded(start: Start, models: Path) -> None:
    daemon = start(f"--model-dir={models}")
    with daemon.connect() as client:
        param = client.ask("models.show", {"model": "hello"})["result"]["param"]
        assert client.ask("rkllm.init", [param])["result"]["success"]


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "HELLO/..", "x" * 5000, "", "\n"])
def test_a_name_that_no_model_has_is_refused_whatever_it_is(
    start: Start, models: Path, name: str
) -> None:
    daemon = start(f"--model-dir={models}")
    with daemon.connect() as client:
        error = client.ask("models.show", {"model": name})["error"]
    assert error["code"] == -32602
    assert error["message"].startswith("There is no model ")
    assert error["data"]["parameter"] == "model"


def test_a_load_waits_for_the_run_under_way_and_says_so(start: Start, models: Path) -> None:
    (models / "endless").mkdir()
    (models / "endless" / "m.script").write_text(
        '#!rkllm-script 1\nrun\ntoken "on "\nhang until abort\n'
    )
    daemon = start(f"--model-dir={models}")
    with daemon.connect() as runner, daemon.connect() as loader:
        assert runner.ask("models.load", ["endless"])["result"]["model"] == "endless"
        run = {"jsonrpc": "2.0", "id": 1, "method": "rkllm.run_async"}
        runner.send({**run, "params": [{"prompt_input": "hi"}]})
        assert runner.line()["result"]["text"] == "on "
        load = {"model": "hello", "stream": True}
        loader.send({"jsonrpc": "2.0", "id": 2, "method": "models.load", "params": load})
        assert loader.line()["result"] == {"state": "waiting"}
        runner.send({"jsonrpc": "2.0", "method": "rkllm.abort"})
        assert loader.line()["result"] == {"state": "loading"}
        assert loader.line()["result"]["model"] == "hello"
        assert loader.ask("server.status", request_id=3)["result"]["model"] == "hello"


@pytest.mark.parametrize("isolation", ["process", "thread"])
def test_a_run_ends_at_an_end_token_that_the_runtime_does_not_know(
    start: Start, models: Path, isolation: str
) -> None:
    lines = ("run", 'token "Hi" 1', 'token "!" 2', 'token "</s>" 3', "hang until abort", "finish")
    (models / "endless.script").write_text("\n".join(("#!rkllm-script 1", *lines, "")))
    (models / "endless.rkllm.toml").write_text("end_tokens = [3]\n")
    daemon = start(f"--model-dir={models}", f"--isolation={isolation}")
    with daemon.connect() as client:
        client.ask("models.load", ["endless"])
        result = client.ask("rkllm.run", [{"prompt_input": "hi"}])["result"]
    assert (result["text"], result["_callback_state"]) == ("Hi!", 2)
    assert "_finish_reason" not in result


def test_the_command_loads_a_model_by_its_name(start: Start, models: Path) -> None:
    daemon = start(f"--model-dir={models}")
    done = rkllm("init", "greeter", "-p", "max_context_len=256", daemon=daemon)
    assert re.fullmatch(r"Loaded greeter in \d+\.\d s\.\n", done.stdout)
    assert f"hello ({models}/hello/hello.script)" in rkllm("status", daemon=daemon).stdout
    assert rkllm("run", "--model=greeter", "hi", daemon=daemon).stdout == "Hello\n"
    status = json.loads(rkllm("status", "--json", daemon=daemon).stdout)
    assert (status["max_context_len"], status["loads"]) == (256, 1)
    assert rkllm("run", "--model=greeter", "--reload", "hi", daemon=daemon).stdout == "Hello\n"
    assert json.loads(rkllm("status", "--json", daemon=daemon).stdout)["loads"] == 2


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("helo", "There is no model 'helo'; perhaps hello is meant."),
        ("page", "is a web page"),
        ("nothing.gguf", "nothing.gguf is no file here, and no name of a model"),
    ],
)
def test_the_command_says_what_is_wrong_with_a_name(
    start: Start, models: Path, word: str, said: str
) -> None:
    done = rkllm("init", word, daemon=start(f"--model-dir={models}"))
    assert done.returncode == 1
    assert is_one_sentence(done.stderr)
    assert said in done.stderr


def test_a_client_that_leaves_amid_a_digest_holds_up_nobody(
    start: Start, models: Path, tmp_path: Path
) -> None:
    with (models / "large.gguf").open("wb") as file:
        file.write(gguf_bytes())
        file.truncate(1 << 40)  # a sparse file: reading it would take many minutes
    daemon = start(f"--model-dir={models}")
    with daemon.connect() as client:
        client.send({"jsonrpc": "2.0", "id": 1, "method": "models.show", "params": ["large", True]})
        assert client.ask("server.ping", request_id=2)["result"] == "pong"
        client.send({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": 1}})
        assert client.line()["error"]["code"] == -32800
        client.send({"jsonrpc": "2.0", "id": 3, "method": "models.show", "params": ["large", True]})
        client.ask("server.ping", request_id=4)
    assert daemon.stop() == 0


def test_the_command_lists_models_with_what_is_wrong(start: Start, models: Path) -> None:
    daemon = start(f"--model-dir={models}")
    done = rkllm("models", daemon=daemon)
    assert (done.returncode, done.stderr) == (0, "")
    heading, hello, page, problem = done.stdout.splitlines()
    assert heading.split() == ["NAME", "KIND", "CONTEXT", "SIZE", "MODIFIED"]
    assert hello.split()[:4] == ["hello", "chat", f"{len(SCRIPT)}", "B"]
    assert page.endswith("cannot be loaded")
    assert problem.startswith(f"page: {models}/page.gguf is a web page")


def test_the_command_shows_one_model(start: Start, models: Path) -> None:
    daemon = start(f"--model-dir={models}")
    rows = dict(
        line.split(maxsplit=1)
        for line in rkllm("models", "greeter", "--digest", daemon=daemon).stdout.splitlines()
    )
    assert rows["name"] == "hello"
    assert rows["digest"] == hashlib.sha256(SCRIPT.encode()).hexdigest()
    assert rows["files"] == f"settings: {models}/hello/rkllm.toml"
    assert "template" not in rows


def test_the_command_prints_json_for_programs(start: Start, models: Path) -> None:
    daemon = start(f"--model-dir={models}")
    listing = json.loads(rkllm("models", "--json", daemon=daemon).stdout)
    shown = json.loads(rkllm("models", "hello", "--json", daemon=daemon).stdout)
    assert listing["models"][0].items() <= shown.items()


def test_the_command_says_which_name_may_be_meant(start: Start, models: Path) -> None:
    done = rkllm("models", "helo", daemon=start(f"--model-dir={models}"))
    assert done.returncode == 1
    assert is_one_sentence(done.stderr)
    assert "perhaps hello is meant" in done.stderr


def test_the_command_says_why_there_are_no_models(start: Start) -> None:
    done = rkllm("models", daemon=start())
    assert (done.returncode, done.stdout) == (
        0,
        "No --model-dir is given: models have no names, rkllm.init takes their paths.\n",
    )


def test_a_digest_needs_a_name(start: Start) -> None:
    done = rkllm("models", "--digest", daemon=start())
    assert done.returncode == 2
    assert "--digest needs the NAME of a model" in done.stderr


def test_the_pages_settings_are_right_and_have_every_key() -> None:
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    (example,) = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    settings = read_settings("page", example.encode(), layout_of(release_for("1.3.0")))
    given = {name for name, value in attrs.asdict(settings, recurse=False).items() if value}
    assert given | {"base_domain_id"} == set(KEYS)


def test_the_pages_files_are_those_that_are_looked_for() -> None:
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    section = page.partition("## Files beside a model")[2].partition("##")[0]
    files = re.findall(r"`([^`]+)`", "".join(re.findall(r"^\| (.*?) \|", section, re.MULTILINE)))
    assert set(files) == {*SINGLE, *SEVERAL}
