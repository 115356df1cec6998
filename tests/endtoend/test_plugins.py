"""Installed third-party methods are found; broken ones do no harm."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from daemons import Daemon, environment, twistd
from rkllm_command import rkllm

from rkllm_twisted.blocking import Client
from rkllm_twisted.cpu import demo_model

DOC = Path(__file__).parents[2] / "docs" / "writing-methods.md"
#: A module without imports of other modules of the tests.
ENGINE = Path(__file__).parents[1] / "support" / "made_up_constraint.py"
#: An engine for answers in a form, which can be told from others by its letters.
CAPITALS = """
import attrs
from made_up_constraint import MadeUp

class Capitals(MadeUp):
    name = "capitals"
    def constrain(self, tokens, form):
        return super().constrain(tokens, attrs.evolve(form, text=form.text.upper()))

capitals = Capitals()
"""
CLASH = """
import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer
from rkllm_twisted.interfaces import IRPCMethod
from rkllm_twisted.values import NoParams

@implementer(IPlugin, IRPCMethod)
@attrs.frozen
class Other:
    name = "server.ping"
    summary = "Another ping."
    params = NoParams
    streams = False
    def call(self, call):
        return "gnip"

other_ping = Other()
"""


def code_blocks(language: str) -> list[str]:
    """Return the doc page's examples."""
    return re.findall(rf"^```{language}\n(.*?)^```$", DOC.read_text(), re.MULTILINE | re.DOTALL)


class Site:
    """A directory of installed packages that Python finds beside the others."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def add(self, name: str, text: str) -> None:
        """Write a file there."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Put the directory on the path of the test's daemons."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    return Site(tmp_path / "site")


@pytest.mark.parametrize("form", ["function", "class"])
def test_the_pages_package_adds_its_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """pip installs the example of docs/writing-methods.md unchanged, and a client calls it."""
    source = tmp_path / "greetings-source"
    function, drop_in, as_class, *_ = code_blocks("python")
    for name, text in {
        "greetings/hello.py": function if form == "function" else as_class,
        "twisted/plugins/greetings_methods.py": drop_in,
        "pyproject.toml": code_blocks("toml")[0],
    }.items():
        Site(source).add(name, text)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += [f"--target={tmp_path / 'installed'}", str(source)]
    subprocess.run(command, check=True, capture_output=True)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "installed"))
    daemon = Daemon(tmp_path)
    try:
        with daemon.connect() as client:
            answer = client.ask("greet.hello", {"name": "Anna"})
            assert answer["result"] == {"greeting": "Hello, Anna!"}
            refused = client.ask("greet.hello", {"name": 5})["error"]
            assert refused["code"] == -32602
            assert "name" in refused["message"]
        assert "greet.hello  " in rkllm("methods", daemon=daemon).stdout
        explained = rkllm("methods", "greet.hello", daemon=daemon).stdout
        assert "  name (string, optional): the name." in explained
        called = rkllm("call", "greet.hello", '{"name": "Bert"}', daemon=daemon)
        assert called.stdout == '{"greeting": "Hello, Bert!"}\n'
    finally:
        assert daemon.stop() == 0


def test_a_broken_plugin_is_logged_by_name_and_left_out(tmp_path: Path, site: Site) -> None:
    """The daemon starts and serves all other methods."""
    site.add("twisted/plugins/broken_methods.py", "import no_such_module_anywhere\n")
    daemon = Daemon(tmp_path)
    try:
        with daemon.connect() as client:
            assert client.ask("server.ping")["result"] == "pong"
    finally:
        assert daemon.stop() == 0
    log = daemon.log.read_text()
    assert "broken_methods" in log
    assert "no_such_module_anywhere" in log


def test_two_plugins_with_one_name_are_refused_naming_both(tmp_path: Path, site: Site) -> None:
    """The choice between them must not be arbitrary."""
    site.add("twisted/plugins/clashing_methods.py", CLASH)
    done = subprocess.run(
        [*twistd(), "--nodaemon", "--pidfile=", "rkllm", "--library=cpu", "--socket=s"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode != 0
    said = done.stderr.strip().splitlines()[-1]
    assert "server.ping" in said
    assert "clashing_methods" in said
    assert "rkllm_twisted.methods.ping" in said


def test_another_packages_engine_makes_the_answers_that_it_can(tmp_path: Path, site: Site) -> None:
    """The others are made by llguidance, as without it."""
    site.add("made_up_constraint.py", ENGINE.read_text())
    site.add("twisted/plugins/capitals_engine.py", CAPITALS)
    daemon = Daemon(tmp_path, library="cpu")
    try:
        with Client(daemon.path, timeout=60) as client:
            client.init(str(demo_model()), top_k=1, max_context_len=512)
            prompt, choices = "A list is", ["one", "an object"]
            answer = client.structured_text(prompt, choices=choices)
            assert answer.text in ("ONE", "AN OBJECT")
            assert answer.raw["guaranteed"] is True
            form = {"type": "choices", "choices": choices}
            chat = client.chat("What is a list?", response_format=form)
            assert chat.text in ("ONE", "AN OBJECT")
            assert client.structured_text(prompt, regex="[a-c]{3}").text.islower()
    finally:
        assert daemon.stop() == 0
