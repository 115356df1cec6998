"""Clients use examples/plugin-embeddings, which pip has installed in its own environment."""

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

from rkllm_twisted.blocking import Client
from rkllm_twisted.cpu import demo_model

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin-embeddings"
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
        self.installed = site / "rkllm_embeddings"

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


def cosine(one: list[float], other: list[float]) -> float:
    """Return the cosine similarity of two unit vectors."""
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


def test_it_is_installed_there_and_not_here(scratch: Environment) -> None:
    """pip has installed the plugin in the new environment only."""
    assert scratch.installed.is_dir()
    done = subprocess.run(
        [sys.executable, "-c", "import rkllm_embeddings"], capture_output=True, cwd="/"
    )
    assert done.returncode != 0


def test_texts_become_vectors_of_length_1(client: RawClient) -> None:
    """The same text gives the same vector; a question on the same topic is nearer than another."""
    texts = ["What is a list?", "What is a list?", "What is the list?", "Hello"]
    answer = client.ask("vectors.create", {"texts": texts})["result"]
    assert answer["width"] == 192
    one, same, near, far = answer["embeddings"]
    assert len(one) == 192
    assert math.hypot(*one) == pytest.approx(1, abs=1e-5)
    assert one == same
    assert cosine(one, near) > cosine(one, far)
    assert answer["num_tokens"][0] == answer["num_tokens"][1] > answer["num_tokens"][3]


def test_it_is_the_mean_of_the_runs_own_hidden_states(client: RawClient) -> None:
    """The hidden states are those of rkllm.run."""
    answer = client.ask("vectors.create", {"texts": ["Hello"], "normalise": False})["result"]
    run = client.ask(
        "rkllm.run", [{"prompt_input": "Hello"}, {"mode": "RKLLM_INFER_GET_LAST_HIDDEN_LAYER"}]
    )
    rows = run["result"]["last_hidden_layer"]["hidden_states"]
    expected = [math.fsum(column) / len(rows) for column in zip(*rows, strict=True)]
    assert answer["embeddings"][0] == pytest.approx(expected, abs=1e-4)


def test_a_conversation_does_not_get_into_it(client: RawClient) -> None:
    """The cache is empty when a text is read."""
    fresh = client.ask("vectors.create", {"texts": ["Hello"]})["result"]
    client.ask("rkllm.run", [{"prompt_input": "My name is Anna."}, {"keep_history": 1}])
    assert client.ask("vectors.create", {"texts": ["Hello"]})["result"] == fresh


def test_floats_come_as_the_connection_wants_them(daemon: Daemon) -> None:
    """The connection's setting gives base64, with a shape."""
    with Client(daemon.path) as client:
        client.configure(floats="base64")
        (vector,) = client.call("vectors.create", {"texts": ["Hello"]})["embeddings"]
    assert (vector["dtype"], vector["shape"]) == ("<f4", [192])


def test_wrong_parameters_are_refused_by_name(client: RawClient) -> None:
    """The error names the parameter."""
    for params in ({"texts": []}, {"texts": ["a"], "pooling": "max"}, {}):
        error = client.ask("vectors.create", params)["error"]
        assert error["code"] == -32602
        assert error["data"]["parameter"] == ("pooling" if "pooling" in params else "texts")


def test_discovery_has_it(client: RawClient) -> None:
    """The document has the method's parameters, their meaning, and the result."""
    document = client.ask("rpc.discover")["result"]
    (method,) = [one for one in document["methods"] if one["name"] == "vectors.create"]
    pooling = method["params"][1]
    assert [param["name"] for param in method["params"]] == ["texts", "pooling", "normalise"]
    assert pooling["schema"] == {"enum": ["last", "mean"], "default": "mean"}
    assert "the mean of all" in pooling["description"]
    assert set(method["result"]["schema"]["properties"]) == {"embeddings", "width", "num_tokens"}


def test_the_page_shows_what_it_answers(client: RawClient) -> None:
    """The messages are the last ones of docs/writing-methods.md."""
    *_, (_, text) = blocks_of(DOCS / "writing-methods.md")
    (_, request), (_, answer) = messages_in(text)
    client.send(request)
    assert shows(answer, client.line())


def test_its_own_tests_pass(scratch: Environment) -> None:
    """The tests use the installed packages."""
    command = [str(scratch.python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    assert "passed" in scratch.run(*command, cwd=scratch.python.parents[1] / "source")
