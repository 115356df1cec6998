"""Text, tokens, embeddings and scores of the real daemon and of the fake one, in one contract."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from daemons import Daemon
from vocabularies import tokenizer, vocabulary

from rkllm_twisted.blocking import Client
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.testing import FakeDaemon

ANSWER = " upon a time"
KINDS = ("chat", "embedding", "rerank")


def script() -> str:
    """A script that answers with the tokens of the tokenizer."""
    own = vocabulary("byte_level")
    ids = own.encode_text(ANSWER)
    tokens = [f"token {json.dumps(own.decode([one]))} {one}" for one in ids]
    arrays = ["run mode hidden", "hidden 3 4", f"run mode logits\nlogits 3 {own.size}"]
    return "\n".join(["#!rkllm-script 1", *arrays, "run", *tokens, ""])


def furnish(root: Path, ending: str) -> Path:
    """Make a model of each kind."""
    for kind in KINDS:
        folder = root / kind
        folder.mkdir(parents=True)
        model = script().encode() if ending == "script" else bytes(range(256))
        (folder / f"m.{ending}").write_bytes(model)
        (folder / "rkllm.toml").write_text(f'kind = "{kind}"\n')
        (folder / "tokenizer.json").write_text(tokenizer("byte_level").to_str())
    return root


@contextmanager
def real(root: Path) -> Iterator[Path | str]:
    daemon = Daemon(root, f"--model-dir={furnish(root / 'models', 'script')}")
    with daemon.connect():
        yield daemon.path
    daemon.stop(signal.SIGTERM)


@contextmanager
def fake(root: Path) -> Iterator[Path | str]:
    models = furnish(root / "models", "rkllm")
    fake_daemon = FakeDaemon(default=ANSWER, options=["--model-dir", str(models)])
    with fake_daemon.listening() as path:
        yield path


@pytest.fixture(scope="module", params=[real, fake])
def client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    serve: Callable[[Path], Any] = request.param
    with serve(tmp_path_factory.mktemp("daemon")) as path, Client(path) as client:
        yield client


def test_a_text_is_continued_whole_or_in_pieces(client: Client) -> None:
    done = client.complete_text("Once", model="chat")
    assert (done.text, done.finish_reason, done.model) == (ANSWER, "stop", "chat")
    assert done.usage.completion_tokens >= 3
    params = {"prompt": "Once", "model": "chat", "stream": True}
    *pieces, last = client.stream("text.complete", params)
    assert "".join(piece["text"] for piece in pieces) == last["text"] == ANSWER


def test_a_text_ends_before_a_stop_text(client: Client) -> None:
    assert client.complete_text("Once", model="chat", stop=" time").text == " upon a"


def test_an_answer_keeps_to_a_form(client: Client) -> None:
    """On both, whether tokens can be chosen or not."""
    done = client.structured_text("Once", choices=[ANSWER, " in May"], model="chat")
    assert done.text in (ANSWER, " in May")
    assert done.finish_reason == "stop"
    with pytest.raises(InvalidParams, match="exactly one of"):
        client.structured_text("Once", model="chat")


def test_tokens_are_the_text_again(client: Client) -> None:
    tokens = client.encode_tokens("one two one", model="chat")
    assert client.decode_tokens(tokens, model="chat") == "one two one"
    assert client.count_tokens("one two one", model="chat") == len(tokens)
    assert client.complete_text(tokens, model="chat").text == ANSWER


def test_a_token_that_the_model_lacks_is_named(client: Client) -> None:
    with pytest.raises(InvalidParams, match=r"^tokens\[0\]: the model has no token 1000000\.$"):
        client.decode_tokens([10**6], model="chat")


def test_a_conversation_is_rendered(client: Client) -> None:
    rendered = client.render_chat("Hi", model="chat")
    assert (rendered.text, rendered.tier, rendered.tokens) == ("Hi", "runtime", None)


def test_embeddings_have_length_one(client: Client) -> None:
    made = client.create_embeddings(["a", "b c", "a"], model="embedding")
    width = made.width
    rows = [[*row] for row in made.embeddings]
    assert [len(row) for row in rows] == [width] * 3
    assert all(math.isclose(math.hypot(*row), 1, rel_tol=1e-5) for row in rows)
    assert rows[0] == rows[2]
    assert made.tier == "tokens"
    assert client.create_embeddings("a", model="embedding", dimensions=2).width == 2


@pytest.mark.parametrize("kind", ["embedding", "rerank"])
def test_documents_are_scored_the_best_first(client: Client, kind: str) -> None:
    documents = ["a tree", "a list", "nothing"]
    scores = client.score_documents("a list", documents, model=kind, return_documents=True)
    assert sorted(score.index for score in scores) == [0, 1, 2]
    assert [one.score for one in scores] == sorted((one.score for one in scores), reverse=True)
    assert all(one.document == documents[one.index] for one in scores)
    assert len(client.score_documents("a list", documents, model=kind, top_n=1)) == 1


REFUSED: dict[str, Callable[[Client], object]] = {
    "chat is of kind chat": lambda client: client.score_documents("a", ["b"], model="chat"),
    "suffix: no marks": lambda client: client.complete_text("a", suffix="b", model="chat"),
    "dimensions": lambda client: client.create_embeddings("a", dimensions=99, model="embedding"),
    "prompt: is empty": lambda client: client.complete_text("", model="chat"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_it_is_refused(client: Client, why: str) -> None:
    with pytest.raises(InvalidParams, match=why):
        REFUSED[why](client)
