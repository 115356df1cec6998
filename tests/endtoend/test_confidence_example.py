"""Clients use examples/plugin-confidence, which pip has installed in its own environment."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import Daemon, RawClient, environment
from endtoend.test_guides import DOCS, blocks_of, messages_in, shows

from rkllm_twisted.cpu import demo_model

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin-confidence"
#: Replaces `pip install rkllm-twisted` there: the packages of this environment.
OTHERS = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"

#: A wrapper that replaces the Python in its arguments.
EXECUTE = "import os, sys; os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"


class Environment:
    """A virtual environment in which pip has installed the example."""

    def __init__(self, directory: Path) -> None:
        self.python = directory / "bin" / "python"
        venv.create(directory, with_pip=False)
        (site,) = directory.glob("lib/python*/site-packages")
        (site / "others.pth").write_text(OTHERS)
        source = shutil.copytree(EXAMPLE, directory / "source")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        self.run(*pip, "--no-deps", f"--target={site}", str(source))
        self.installed = site / "rkllm_confidence"

    def run(self, *command: str, cwd: Path | None = None) -> str:
        """Run a command and return its output."""
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=cwd)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Make the environment."""
    return Environment(tmp_path_factory.mktemp("scratch"))


@pytest.fixture(scope="module")
def daemon(scratch: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Start a daemon in that environment, with the bundled model."""
    wrapper = (str(scratch.python), "-c", EXECUTE)
    running = Daemon(tmp_path_factory.mktemp("daemon"), wrapper=wrapper)
    running.load(demo_model(), top_k=1)
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.log.read_text()


@pytest.fixture
def client(daemon: Daemon) -> Iterator[RawClient]:
    """Connect to the daemon."""
    with daemon.connect() as connection:
        yield connection


def test_it_is_installed_there_and_not_here(scratch: Environment) -> None:
    """pip has installed the plugin in the new environment only."""
    assert scratch.installed.is_dir()
    done = subprocess.run(
        [sys.executable, "-c", "import rkllm_confidence"], capture_output=True, cwd="/"
    )
    assert done.returncode != 0


def test_the_answer_is_that_of_a_run(client: RawClient) -> None:
    """The tokens are its text, and the confidence is their mean."""
    rated = client.ask("confidence.answer", {"prompt": "What is a list?"})["result"]
    client.ask("rkllm.clear_kv_cache", [0])
    run = client.ask("rkllm.run", [{"prompt_input": "What is a list?"}])["result"]
    assert rated["text"] == run["text"]
    assert "".join(token["text"] for token in rated["tokens"]) == run["text"]
    probabilities = [token["probability"] for token in rated["tokens"]]
    mean = math.exp(math.fsum(map(math.log, probabilities)) / len(probabilities))
    assert rated["confidence"] == pytest.approx(mean, abs=1e-3)


def test_a_probability_is_that_of_the_runs_own_logits(client: RawClient) -> None:
    """With top_k 1 the first token is the likeliest after the prompt."""
    rated = client.ask("confidence.answer", {"prompt": "Hello"})["result"]
    client.ask("rkllm.clear_kv_cache", [0])
    run = client.ask("rkllm.run", [{"prompt_input": "Hello"}, {"mode": "RKLLM_INFER_GET_LOGITS"}])
    row = run["result"]["logits"]["logits"][-1]
    likeliest = 1 / math.fsum(math.exp(one - max(row)) for one in row)
    assert rated["tokens"][0]["probability"] == pytest.approx(likeliest, abs=1e-3)


def test_a_conversation_does_not_get_into_it(client: RawClient) -> None:
    """The cache is empty when the prompt is read."""
    fresh = client.ask("confidence.answer", {"prompt": "Hello"})["result"]
    client.ask("rkllm.run", [{"prompt_input": "My name is Anna."}, {"keep_history": 1}])
    assert client.ask("confidence.answer", {"prompt": "Hello"})["result"] == fresh


def test_a_wrong_parameter_is_refused_by_name(client: RawClient) -> None:
    """The error names the parameter."""
    for params in ({}, {"prompt": 1}):
        error = client.ask("confidence.answer", params)["error"]
        assert (error["code"], error["data"]["parameter"]) == (-32602, "prompt")


def test_discovery_has_it(client: RawClient) -> None:
    """The document has the method's parameter, its meaning, the result, and the errors."""
    document = client.ask("rpc.discover")["result"]
    (method,) = [one for one in document["methods"] if one["name"] == "confidence.answer"]
    (prompt,) = method["params"]
    assert prompt["name"] == "prompt"
    assert "no earlier conversation" in prompt["description"]
    assert set(method["result"]["schema"]["properties"]) == {"text", "confidence", "tokens"}


def test_the_page_shows_what_it_answers(client: RawClient) -> None:
    """The messages are the last ones of docs/writing-methods.md."""
    *_, (_, text) = blocks_of(DOCS / "writing-methods.md")
    for arrow, message in messages_in(text):
        if arrow == "→":
            client.send(message)
        else:
            assert shows(message, client.line())


def test_its_own_tests_pass(scratch: Environment) -> None:
    """The tests use the installed packages."""
    command = [str(scratch.python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    assert "passed" in scratch.run(*command, cwd=scratch.python.parents[1] / "source")
