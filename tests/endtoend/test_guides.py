"""A daemon answers the guides' messages as the guides show, in their order."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from daemons import Daemon, RawClient, environment
from endtoend.test_methods_page import MODELS, furnish

from rkllm_twisted.cli import main
from rkllm_twisted.daemon.options import Options

Start = Callable[..., Daemon]
DOCS = Path(__file__).parents[2] / "docs"
GUIDES = DOCS / "guides"
#: Stands for further members or elements.
MORE = "…"


def blocks_of(page: Path) -> Iterator[tuple[str, str]]:
    """Return language and text of each block, in the page's order."""
    found = re.finditer(r"^```([\w-]*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return ((block[1], block[2]) for block in found)


def messages_in(text: str) -> Iterator[tuple[str, Any]]:
    """Yield the messages of a block: an arrow, and the JSON after it, on one line or several."""
    for message in re.split(r"\n(?=[→←])", text.rstrip()):
        arrow, shown = message[0], message[1:]
        whole = shown.replace(f", {MORE}}}", f', "{MORE}": 0}}').replace(
            f", {MORE}]", f', "{MORE}"]'
        )
        yield arrow, json.loads(whole)


def shows(shown: Any, real: Any) -> bool:
    """Compare an answer with the page; numbers with a fraction may differ by 0.002."""
    if isinstance(shown, dict):
        open_ended = MORE in shown
        return (
            isinstance(real, dict)
            and (open_ended or list(shown) == list(real))
            and all(shows(shown[name], real.get(name)) for name in shown if name != MORE)
        )
    if isinstance(shown, list):
        if shown[-1:] == [MORE]:
            shown, real = shown[:-1], real[: len(shown) - 1]
        return len(shown) == len(real) and all(map(shows, shown, real))
    if isinstance(shown, float):
        return math.isclose(shown, real, abs_tol=0.002)
    return type(shown) is type(real) and bool(shown == real)


class Reader:
    """Carry out a page's steps, in a directory that stands for /models."""

    def __init__(self, daemon: Daemon, client: RawClient, directory: Path) -> None:
        self._daemon = daemon
        self._client = client
        self._directory = directory
        self._printed = ""
        self.kinds = {
            "": self._converse,
            "python": self._run_python,
            "sh": self._run_shell,
            "text": self._compare,
            "rkllm-script": self._write,
        }

    def _placed(self, text: str) -> str:
        return text.replace(MODELS, f"{self._directory}/")

    def _converse(self, text: str) -> None:
        for arrow, message in messages_in(text):
            if arrow == "→":
                self._client.send(json.loads(self._placed(json.dumps(message))))
            else:
                answer = self._client.line()
                assert shows(message, answer), f"shown: {message}\nreal:  {answer}"

    def _run_python(self, text: str) -> None:
        self._run(sys.executable, "-W", "error", "-c", self._placed(text))

    def _run_shell(self, text: str) -> None:
        self._run("bash", "-eo", "pipefail", "-c", text)

    def _run(self, *command: str) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            command,
            env={**environment(), "PATH": path, "RKLLM_UDS_PATH": str(self._daemon.path)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        self._printed = done.stdout

    def _compare(self, text: str) -> None:
        assert self._printed == text

    def _write(self, text: str) -> None:
        name = re.search(rf"^# {MODELS}(\S+)$", text, re.MULTILINE)
        assert name is not None, "a script names its file in a comment"
        (self._directory / name[1]).write_text(text)


@pytest.mark.parametrize("page", sorted(GUIDES.glob("*.md")), ids=lambda page: page.stem)
def test_a_guide_tells_the_truth(start: Start, tmp_path: Path, page: Path) -> None:
    """The blocks share one connection; programs open their own."""
    furnish(tmp_path)
    daemon = start()
    with daemon.connect() as client:
        reader = Reader(daemon, client, tmp_path)
        for language, text in blocks_of(page):
            reader.kinds[language](text)
        assert client.ask("server.ping", request_id="last")["result"] == "pong"


@pytest.mark.parametrize(
    ("shown", "real"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1, MORE: 0}, {"b": 1}),
        ([1, MORE], [2, 3]),
        ([1, 2], [1]),
        (0.25, 0.5),
        ("1", 1),
    ],
)
def test_a_page_that_shows_something_else_is_noticed(shown: Any, real: Any) -> None:
    """The comparison can fail."""
    assert not shows(shown, real)


def test_the_first_steps_on_a_laptop_lead_there(start: Start, tmp_path: Path) -> None:
    """The commands to install and start are the README's, and have their own tests."""
    install, serve, *steps = blocks_of(DOCS / "first-steps-laptop.md")
    assert "make demo\n" in install[1]
    assert serve[1] == "twistd -n rkllm --library cpu\n"
    daemon = start()
    with daemon.connect() as client:
        reader = Reader(daemon, client, tmp_path)
        for language, text in steps:
            reader.kinds[language](text)


def commands_of(page: Path, word: str) -> Iterator[list[str]]:
    """Return the arguments of a page's commands that begin with one word."""
    lines = (
        line for language, text in blocks_of(page) if language == "sh" for line in text.split("\n")
    )
    return (shlex.split(line)[1:] for line in lines if line.startswith(f"{word} "))


def test_the_first_steps_on_a_board_are_commands_that_there_are() -> None:
    """The test has no board, so the commands' own parsers check the words."""
    page = DOCS / "first-steps-board.md"
    said = list(commands_of(page, "rkllm"))
    assert len(said) > 2
    for name, *words in said:
        command = main.get_command(click.Context(main), name)
        assert command is not None, name
        command.make_context(name, words)
    for _, name, *words in commands_of(page, "twistd"):
        assert name == "rkllm"
        Options().parseOptions(words)
    units = {path.name for path in (DOCS.parent / "etc").iterdir()}
    assert set(re.findall(r"rkllm\.(?:service|socket)\b", page.read_text())) <= {*units}
