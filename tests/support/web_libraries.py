"""Other people's libraries for HTTP APIs, and the service that they are tried with."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from daemons import Daemon, environment
from web_service import WebService

from rkllm_twisted.cpu import demo_model
from rkllm_twisted.testing import FakeDaemon

CLIENTS = Path(__file__).parents[1] / "interop" / "clients"
#: Seconds for the installation of libraries, and for a client program.
INSTALLING_S, CLIENT_S = 600, 120
#: No text, so that it may be a model.
WEIGHTS = bytes(range(256))
CALL = '```json\n{"name": "look", "arguments": {"place": "Köln"}}\n```'
ANSWERS = {
    "Grüße 😀": "Hi there, 你 😀",
    re.compile("sunny"): "It is sunny.",
    re.compile("weather"): CALL,
}


def installed(directory: Path, *requirements: str) -> Path:
    """Install Python libraries from the index into a directory of their own."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--prefer-binary", "--target"]
    done = subprocess.run(
        [*command, str(directory), *requirements],
        capture_output=True,
        text=True,
        timeout=INSTALLING_S,
    )
    if done.returncode != 0 and "CI" not in os.environ:
        pytest.skip("pip could not install the libraries: " + done.stderr.strip()[-300:])
    assert done.returncode == 0, done.stderr
    return directory


@attrs.frozen
class Served:
    """A service with models.

    :param address: ``http://127.0.0.1:PORT``.
    :param model: the model that clients are to ask.
    :param answer: the model's answer to the question.
    """

    address: str
    model: str
    question: str
    answer: str

    def seen_by(self, program: str, libraries: Path) -> Any:
        """Run a client program; return what it has printed.

        :param libraries: where its libraries are.
        """
        name = sys.executable if program.endswith(".py") else "node"
        paths = {"PYTHONPATH": str(libraries), "NODE_PATH": str(libraries), "NO_PROXY": "*"}
        done = subprocess.run(
            [name, str(CLIENTS / program), self.address, self.model, self.question],
            env={**environment(), **paths},
            capture_output=True,
            text=True,
            timeout=CLIENT_S,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout)


@contextmanager
def fake_served(directory: Path) -> Iterator[Served]:
    """Serve a fake daemon with two models: ``small``, and ``able``, which calls tools."""
    for name, settings in (("small", ""), ("able", 'capabilities = ["completion", "tools"]')):
        (directory / name).mkdir()
        (directory / name / f"{name}.rkllm").write_bytes(WEIGHTS)
        (directory / name / "rkllm.toml").write_text(settings)
    daemon = FakeDaemon(ANSWERS, options=["--model-dir", str(directory)])
    with daemon.listening() as socket:
        service = WebService(directory, Path(socket))
        try:
            yield Served(service.address.rstrip("/"), "small", "Grüße 😀", "Hi there, 你 😀")
        finally:
            service.stop()


@contextmanager
def engine_served(directory: Path) -> Iterator[Served]:
    """Serve the embedded engine with the bundled model, for chat and for embeddings."""
    for name, settings in (
        ("tiny", "[param]\ntop_k = 1"),
        ("vectors", 'kind = "embedding"\npooling = "mean"'),
    ):
        (directory / name).mkdir()
        shutil.copy(demo_model(), directory / name / f"{name}.gguf")
        (directory / name / "rkllm.toml").write_text(settings)
    daemon = Daemon(directory, f"--model-dir={directory}")
    try:
        service = WebService(directory, daemon.path)
        try:
            answer = "A function which returns a generator iterator."
            yield Served(service.address.rstrip("/"), "tiny", "What is a generator?", answer)
        finally:
            service.stop()
    finally:
        daemon.stop()
