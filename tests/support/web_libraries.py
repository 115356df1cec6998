"""Other people's libraries for HTTP APIs, and the service that they are tried with."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from daemons import Daemon, environment
from web_service import WebService

from rkllm_twisted.cpu import demo_model
from rkllm_twisted.testing import Answer, FakeDaemon
from rkllm_twisted.testing.answers import End

CLIENTS = Path(__file__).parents[1] / "interop" / "clients"
#: Seconds for the installation of libraries, and for a client program.
INSTALLING_S, CLIENT_S = 600, 120
#: No text, so that it may be a model.
WEIGHTS = bytes(range(256))
KEY = "s3cret-of-anna"
#: What the client programs ask.
ASKED = {
    "question": "Grüße 😀",
    "generator": "What is a generator?",
    "weather": "How is the weather?",
    "failing": "Fail.",
    "endless": "Count.",
    "many": [f"Say {number}." for number in range(20)],
}
ANSWER = "Hi there, 你 😀"
ENGINES_ANSWER = "A function which returns a generator iterator."
CALL = '```json\n{"name": "look", "arguments": {"place": "Köln"}}\n```'
ANSWERS = {
    "Grüße 😀": ANSWER,
    re.compile("sunny"): "It is sunny.",
    re.compile("weather"): CALL,
    "Fail.": Answer("So far", then=End.ERROR),
    "Count.": Answer("on and ", endless=True),
    re.compile("^Say"): lambda prompt: prompt.replace("Say", "Said"),
}
SAID = [text.replace("Say", "Said") for text in ASKED["many"]]


def installed(directory: Path, *requirements: str) -> Path:
    """Install Python libraries from the index into a directory of their own."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--prefer-binary"]
    # Python compiles a module when a program imports it, and programs import few of these.
    command += ["--no-compile", "--disable-pip-version-check", "--target", str(directory)]
    done = subprocess.run(
        [*command, *requirements], capture_output=True, text=True, timeout=INSTALLING_S
    )
    if done.returncode != 0 and "CI" not in os.environ:
        pytest.skip("pip could not install the libraries: " + done.stderr.strip()[-300:])
    assert done.returncode == 0, done.stderr
    return directory


@attrs.frozen
class Served:
    """A service with the models ``small``, ``able``, ``tiny-pydocs-q8_0`` and ``vectors``.

    :param address: ``http://127.0.0.1:PORT``; it needs the key.
    :param open_address: of another service for the same daemons, which needs none.
    """

    address: str
    open_address: str

    def seen_by(self, program: str, libraries: Path | None) -> Any:
        """Run a client program; return what it has printed.

        :param libraries: where its libraries are.
        """
        asked = {**ASKED, "address": self.address, "key": KEY}
        return printed(program, [json.dumps(asked)], libraries)


def printed(program: str, arguments: Sequence[str], libraries: Path | None) -> Any:
    """Run a client program; return the JSON that it has printed."""
    name = sys.executable if program.endswith(".py") else "node"
    done = subprocess.run(
        [name, str(CLIENTS / program), *arguments],
        env=client_environment(libraries),
        capture_output=True,
        text=True,
        timeout=CLIENT_S,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def client_environment(libraries: Path | None) -> dict[str, str]:
    """Return the environment of a client that is to find its libraries, and no proxy."""
    paths = {} if libraries is None else dict.fromkeys(("PYTHONPATH", "NODE_PATH"), str(libraries))
    further = {
        "NO_PROXY": "*",
        "PYTHONDONTWRITEBYTECODE": "",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it fetches a list at each start
    }
    return {**environment(), **paths, **further}


@contextlib.contextmanager
def served(directory: Path) -> Iterator[Served]:
    """Serve a fake daemon and the embedded engine, for clients with a key."""
    fake, engine = directory / "fake", directory / "engine"
    for folder in (fake, engine):
        folder.mkdir()
    for name, settings in (("small", ""), ("able", 'capabilities = ["completion", "tools"]')):
        write_model(fake, name, ".rkllm", settings).write_bytes(WEIGHTS)
    for name, settings in (
        ("tiny-pydocs-q8_0", "[param]\ntop_k = 1"),
        ("vectors", 'kind = "embedding"\npooling = "mean"'),
    ):
        shutil.copy(demo_model(), write_model(engine, name, ".gguf", settings))
    keys = directory / "keys"
    keys.write_text(f"{KEY}\n")
    keys.chmod(0o600)
    with FakeDaemon(ANSWERS, options=["--model-dir", str(fake)]).listening() as socket:
        daemon = Daemon(directory, f"--model-dir={engine}")
        with contextlib.ExitStack() as running:
            running.callback(daemon.stop)
            addresses = []
            for name, options in (("keyed", [f"--api-key-file={keys}"]), ("open", [])):
                (directory / name).mkdir()
                daemons = f"--daemon={daemon.path}"
                service = WebService(directory / name, Path(socket), daemons, *options)
                running.callback(service.stop)
                addresses.append(service.address.rstrip("/"))
            yield Served(*addresses)


def write_model(folder: Path, name: str, suffix: str, settings: str) -> Path:
    """Make a model's folder with its settings; return where its file is to be."""
    (folder / name).mkdir()
    (folder / name / "rkllm.toml").write_text(settings)
    return folder / name / f"{name}{suffix}"
