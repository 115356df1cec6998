"""docs/methods.md is up to date, and a daemon answers as its examples show."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from daemons import Daemon, RawClient
from documented_answers import fits

from rkllm_twisted.abi.release import releases
from rkllm_twisted.cpu import demo_model
from rkllm_twisted.description.describe import describe
from rkllm_twisted.description.examples import table
from rkllm_twisted.description.model import Description
from rkllm_twisted.rpc.registry import find_methods
from twisted.plugins import rkllm_methods

Start = Callable[..., Daemon]
DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = table()
#: The directory of the examples' files.
MODELS = "/models/"
ADAPTER = "tiny-pydocs-lora.gguf"
OWN_PLUGINS = [getattr(rkllm_methods, name) for name in rkllm_methods.__all__]
#: The daemon's own methods, whatever else is installed.
METHODS = find_methods(OWN_PLUGINS, releases())

SCENES = [
    pytest.param(scene, release, id=f"{number}-{release}")
    for number, scene in enumerate(EXAMPLES["scenes"])
    for release in scene["releases"]
]
STEPS = [step for scene in EXAMPLES["scenes"] for step in scene["steps"]]


def furnish(directory: Path) -> None:
    """Put the examples' files into a directory."""
    for name, lines in EXAMPLES["models"].items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text("".join(f"{line}\n" for line in lines))
    # A link that leads elsewhere is not followed, and the tokenizer is in the file.
    shutil.copyfile(demo_model(), directory / "tiny.gguf")
    (directory / "tiny-lora.gguf").symlink_to(demo_model().with_name(ADAPTER))


class Stage:
    """A client in a directory that stands for /models."""

    def __init__(self, client: RawClient, directory: Path) -> None:
        self._client = client
        self._directory = directory

    def play(self, step: Mapping[str, Any]) -> None:
        """Send a step's message and compare the answers."""
        message = json.dumps(step["send"]).replace(MODELS, f"{self._directory}/")
        self._client.send(json.loads(message))
        for number, documented in enumerate(step["receive"]):
            real = json.loads(
                json.dumps(self._client.line()).replace(f"{self._directory}/", MODELS)
            )
            assert fits(documented, real), f"documented: {documented}\nreal:       {real}"
            if number == 0 and "touch" in step:
                (self._directory / step["touch"]).touch()


@pytest.mark.parametrize(("scene", "release"), SCENES)
def test_a_daemon_answers_as_the_examples_say(
    start: Start, tmp_path: Path, scene: Mapping[str, Any], release: str
) -> None:
    """The messages share one connection; no further message comes at the end."""
    furnish(tmp_path)
    options = [option.replace(MODELS, f"{tmp_path}/") for option in scene.get("options", ())]
    daemon = start(f"--abi={release}", *options)
    with daemon.connect() as client:
        stage = Stage(client, tmp_path)
        for step in scene["steps"]:
            stage.play(step)
        assert client.ask("server.ping", request_id="last") == {
            "jsonrpc": "2.0",
            "id": "last",
            "result": "pong",
        }


@pytest.fixture(scope="module")
def described() -> Description:
    """Describe the methods on all releases."""
    return describe(METHODS, list(releases().values()))


def test_every_method_has_an_example_that_succeeds(described: Description) -> None:
    """At least one example has a result. A function of a later release may do without."""
    succeeded = {
        step["send"]["method"]
        for step in STEPS
        if "shows" in step and any("result" in answer for answer in step["receive"])
    }
    needed = {m.name for m in described.methods if not m.releases or "1.3.0" in m.releases}
    assert needed <= succeeded


def test_the_functions_are_shown_on_the_two_newest_layouts() -> None:
    """1.2.1 and 1.3.0 each show every function that they have."""
    for release in ("1.2.1", "1.3.0"):
        shown = {
            step["shows"]
            for scene in EXAMPLES["scenes"]
            if release in scene["releases"]
            for step in scene["steps"]
            if "shows" in step
        }
        methods = find_methods(OWN_PLUGINS, {release: releases()[release]})
        assert {name for name in methods if name.startswith("rkllm.")} <= shown


def test_the_errors_of_the_examples_are_among_those_described(described: Description) -> None:
    """The called method lists the error."""
    codes = {m.name: {error.code for error in m.errors} for m in described.methods}
    for step in STEPS:
        for answer in step["receive"]:
            if "error" in answer and answer["id"] == step["send"].get("id"):
                assert answer["error"]["code"] in codes[step["send"]["method"]]


#: Members that a result has in some cases only.
SOMETIMES = {"results", "_lines", "_prompt_cache_saved", "_finish_reason"}


def test_the_results_of_the_examples_have_the_members_described(described: Description) -> None:
    """No member is missing, except optional ones, and none is extra."""
    for step in STEPS:
        method = next((m for m in described.methods if m.name == step["send"]["method"]), None)
        for answer in step["receive"]:
            if method is None or "result" not in answer or answer["id"] != step["send"]["id"]:
                continue
            names = {item.name for item in method.result.items}
            if method.result.structure:
                fields = described.structures[method.result.structure].fields
                found = set(answer["result"])
                assert found <= names | {field.name for field in fields}
                assert names - SOMETIMES <= found
            elif names:
                assert names - method.result.sometimes <= set(answer["result"]) <= names


def test_a_function_that_is_missing_and_a_field_that_is_missing_are_shown() -> None:
    """A client of several releases meets both errors."""
    shown = [a["error"]["code"] for s in STEPS if s.get("shows") == "errors" for a in s["receive"]]
    assert {-32006, -32602} <= set(shown)


def test_every_method_has_a_heading() -> None:
    """New groups get headings, too."""
    text = (DOCS / "methods.md").read_text()
    assert not [name for name in METHODS if f"\n### {name}\n" not in text]


def test_the_generated_pages_are_current() -> None:
    """``docs/generate.py --check`` compares them."""
    done = subprocess.run(
        [sys.executable, DOCS / "generate.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("documented", "real"),
    [
        ("<ms>", 0.25),
        ("<pid>", 7),
        ("<release>", "1.3.0"),
        ({"a": ["<s>", None]}, {"a": [1, None]}),
        ("<nothing>", "<nothing>"),
    ],
)
def test_placeholders_stand_for_their_kind(documented: Any, real: Any) -> None:
    """Placeholders work at any depth; other strings are literal."""
    assert fits(documented, real)


@pytest.mark.parametrize(
    ("documented", "real"),
    [
        ("<ms>", "0.25"),
        ("<ms>", -1.0),
        ("<pid>", True),
        ("<pid>", 7.5),
        ("<release>", "newest"),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1}, {}),
        ([1], [1, 1]),
        (1, True),
        (0, 0.0),
        (None, 0),
    ],
)
def test_anything_else_is_not_what_was_documented(documented: Any, real: Any) -> None:
    """Values of another kind, and missing or extra members, do not match."""
    assert not fits(documented, real)
