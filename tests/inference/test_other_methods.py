"""Text, tokens, embeddings and scores over a runtime that says what it has read."""

from __future__ import annotations

import math
from array import array
from pathlib import Path
from typing import Any

import pytest
from chat_templates import CHATML
from echo_runtime import secrets_in
from gguf_files import gguf_bytes
from inference_rig import Rig, furnish, user
from vocabularies import vocabulary

from rkllm_twisted.errors import InvalidParams, RPCError
from rkllm_twisted.methods import (
    chat_render,
    embeddings_create,
    rerank_score,
    text_complete,
    tokens_count,
    tokens_decode,
    tokens_encode,
)
from rkllm_twisted.rpc.parameters import convert_params
from rkllm_twisted.testing import End

ONE, TWO = "zq1q", "zq2q"
PARTS = ("prefix", "suffix", "middle")
METHODS: Any = {
    module.Params.__module__.rpartition(".")[2].replace("_", ".", 1): module.Params
    for module in (
        chat_render,
        embeddings_create,
        rerank_score,
        text_complete,
        tokens_count,
        tokens_decode,
        tokens_encode,
    )
}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(furnish(tmp_path, "tokens"), "tokens")


def ask(rig: Rig, method: str, **params: Any) -> Any:
    """Make a request, with its parameters checked as the daemon does; return its result."""
    asked = rig.begin(method, convert_params(METHODS[method], params))
    rig.settle()
    if asked.error is not None:
        raise asked.error
    return {**asked.result, "pieces": asked.pieces}


def test_a_rendered_conversation_is_what_the_model_reads(rig: Rig) -> None:
    shown = ask(rig, "chat.render", messages=[user(ONE)])
    assert shown["text"].endswith(f"<|im_start|>user\n{ONE}<|im_end|>\n<|im_start|>assistant\n")
    rig.ask([user(ONE)])
    assert rig.runtime.read == shown["count"] == len(shown["tokens"])
    assert rig.runtime.text.startswith(shown["text"])


@pytest.mark.parametrize("tier", ["template", "runtime"])
def test_without_a_tokenizer_the_text_is_shown(tmp_path: Path, tier: str) -> None:
    shown = ask(Rig(furnish(tmp_path, tier)), "chat.render", messages=[user(ONE)])
    assert (shown["tier"], shown["tokens"]) == (tier, None)
    assert ONE in shown["text"]


def test_tokens_there_and_back(rig: Rig) -> None:
    encoded = ask(rig, "tokens.encode", text="What is a generator?")
    assert encoded["count"] == len(encoded["tokens"])
    assert ask(rig, "tokens.decode", tokens=encoded["tokens"])["text"] == "What is a generator?"
    assert ask(rig, "tokens.count", text="What is a generator?")["count"] == encoded["count"]


def test_control_tokens_are_letters_unless_asked_for(rig: Rig) -> None:
    assert ask(rig, "tokens.encode", text="<|im_end|>")["count"] > 1
    assert ask(rig, "tokens.encode", text="<|im_end|>", marks=True)["count"] == 1


def test_a_conversation_is_counted_as_it_is_rendered(rig: Rig) -> None:
    counted = ask(rig, "tokens.count", messages=[user(ONE)])
    assert counted["count"] == ask(rig, "chat.render", messages=[user(ONE)])["count"]
    assert counted["context"] == 4096


@pytest.mark.parametrize(
    ("method", "params", "what"),
    [
        ("tokens.count", {}, "text"),
        ("tokens.count", {"text": "a", "messages": []}, "text"),
        ("tokens.decode", {"tokens": [1, 10**9]}, "tokens[1]"),
        ("text.complete", {"prompt": [-1]}, "prompt[0]"),
        ("text.complete", {"prompt": ""}, "prompt"),
        ("text.complete", {"prompt": [1], "suffix": "x"}, "suffix"),
        ("text.complete", {"prompt": "a", "suffix": "x"}, "suffix"),
        ("text.complete", {"prompt": "a " * 5000}, "prompt"),
        ("embeddings.create", {"input": []}, "input"),
        ("embeddings.create", {"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ("embeddings.create", {"input": "a", "pooling": "max"}, "pooling"),
        ("embeddings.create", {"input": "a " * 5000}, "input"),
        ("rerank.score", {"query": "a", "documents": []}, "documents"),
        ("rerank.score", {"query": "a", "documents": ["a"], "top_n": 0}, "top_n"),
        ("rerank.score", {"query": "a", "documents": ["a"]}, "model"),
    ],
)
def test_a_wrong_parameter_is_named(rig: Rig, method: str, params: Any, what: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        ask(rig, method, **params)
    assert caught.value.data is not None
    assert caught.value.data["parameter"] == what
    assert str(caught.value).endswith(".")
    assert "rkllm_run" not in rig.runtime.performed


def test_without_a_tokenizer_an_error_says_what_to_do(tmp_path: Path) -> None:
    rig = Rig(furnish(tmp_path, "runtime"))
    for method, params in (
        ("tokens.encode", {"text": "a"}),
        ("tokens.count", {"messages": [user("a")]}),
        ("text.complete", {"prompt": "a"}),
    ):
        with pytest.raises(InvalidParams, match=r"put the model's tokenizer\.json beside m"):
            ask(rig, method, **params)


def test_a_text_is_continued_without_a_template(rig: Rig) -> None:
    done = ask(rig, "text.complete", prompt=f"Once {ONE}")
    assert done["text"] == f"saw {ONE}"
    assert "<|im_start|>" not in rig.runtime.text
    assert (done["finish_reason"], done["model"]) == ("stop", "m")


@pytest.mark.parametrize("by", ["settings", "ids in the file"])
def test_a_gap_is_filled_with_the_models_own_marks(tmp_path: Path, by: str) -> None:
    """Marks in the texts stay letters."""
    path = furnish(tmp_path, "tokens")
    marks = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
    if by == "settings":
        lines = [f"{key} = '{mark}'" for key, mark in zip(PARTS, marks, strict=True)]
        (path.parent / "rkllm.toml").write_text("\n".join(["[infill]", *lines, ""]))
    else:
        control = vocabulary("byte_level").control
        keys = (f"tokenizer.ggml.{part}_token_id" for part in PARTS)
        ids = dict(zip(keys, (control[mark] for mark in marks), strict=True))
        path.unlink()
        path = path.with_suffix(".gguf")
        path.write_bytes(gguf_bytes({"general.architecture": "llama", **ids}))
    rig = Rig(path, "tokens")
    ask(rig, "text.complete", prompt=f"{ONE}<|im_end|>", suffix=TWO)
    assert rig.runtime.text.startswith(f"{marks[0]}{ONE}<|im_end|>{marks[1]}{TWO}{marks[2]}saw")
    assert rig.runtime.cache.count(vocabulary("byte_level").control["<|endoftext|>"]) == 1
    assert rig.runtime.cache.count(vocabulary("byte_level").control["<|im_start|>"]) == 1


def test_a_text_that_goes_on_reads_what_is_new(rig: Rig) -> None:
    first = ask(rig, "text.complete", prompt=f"Once {ONE} ", stop="q")
    again = ask(rig, "text.complete", prompt=f"Once {ONE} {first['text']} {TWO}")
    assert secrets_in(again["text"]) == {ONE, TWO}


def test_a_text_is_streamed_in_pieces(rig: Rig) -> None:
    done = ask(rig, "text.complete", prompt=ONE, stream=True)
    assert "".join(piece["text"] for piece in done["pieces"]) == done["text"]


def test_a_text_may_be_tokens(rig: Rig) -> None:
    tokens = list(vocabulary("byte_level").encode_text(ONE))
    assert ask(rig, "text.complete", prompt=tokens)["text"] == f"saw {ONE}"


def test_an_embedding_has_length_one_and_depends_on_its_own_text_only(rig: Rig) -> None:
    rig.ask([user(TWO)])
    both = ask(rig, "embeddings.create", input=[ONE, TWO, ONE])
    rows = array("f", both["embeddings"].data)
    width = both["width"]
    first, second, third = (list(rows[at * width : (at + 1) * width]) for at in range(3))
    assert first == third != second
    assert math.isclose(math.hypot(*first), 1.0, rel_tol=1e-6)
    assert both["usage"]["prompt_tokens"] > 0
    assert rig.ask([user(TWO)]).text == f"saw {TWO}"


@pytest.mark.parametrize(
    ("beside", "given", "tier"),
    [
        ("tokens", "a", "tokens"),
        ("template", "a", "runtime"),
        ("runtime", ["a", "b"], "runtime"),
        ("runtime", [1, 2], "tokens"),
    ],
)
def test_an_embedding_says_whether_the_text_was_read_inside_a_template(
    tmp_path: Path, beside: str, given: Any, tier: str
) -> None:
    rig = Rig(furnish(tmp_path, beside), beside)
    assert ask(rig, "embeddings.create", input=given)["tier"] == tier
    assert (rig.runtime.read == 3) is (tier == "runtime")  # "<user> a <end>"


def test_embeddings_are_cut_and_written_as_asked(rig: Rig) -> None:
    cut = ask(rig, "embeddings.create", input=ONE, dimensions=2, encoding_format="base64")
    assert cut["width"] == 2
    assert len(cut["embeddings"][0]) == 12
    with pytest.raises(InvalidParams, match="dimensions"):
        ask(rig, "embeddings.create", input=ONE, dimensions=99)


def test_many_texts_are_several_turns(rig: Rig) -> None:
    asked = rig.begin(
        "embeddings.create", convert_params(METHODS["embeddings.create"], {"input": ["a"] * 20})
    )
    other = rig.start([user(ONE)], "other client")
    rig.thread.step()
    rig.thread.step()
    assert other.is_over
    assert not asked.is_over
    rig.settle()
    assert asked.result["embeddings"].shape == (20, 4)


@pytest.mark.parametrize("kind", ["embedding", "rerank"])
def test_documents_are_ranked(tmp_path: Path, kind: str) -> None:
    rig = Rig(furnish(tmp_path, "tokens", template=CHATML, kind=kind), "tokens")
    query = f"Which has {ONE}?"
    documents = [f"It has {TWO}.", {"text": query}, "Neither."]
    scored = ask(rig, "rerank.score", query=query, documents=documents, top_n=2)
    assert len(scored["results"]) == 2
    assert scored["results"][0]["score"] >= scored["results"][1]["score"]
    if kind == "embedding":
        assert scored["results"][0]["index"] == 1
    shown = ask(rig, "rerank.score", query="q", documents=["d"], return_documents=True)
    assert shown["results"][0]["document"] == "d"


LIBRARIES = {
    "keeps what it is to keep": bool,
    "keeps none": lambda _: False,
    "keeps all": lambda _: True,
}


@pytest.mark.parametrize("keeps", LIBRARIES.values(), ids=LIBRARIES)
def test_a_documents_score_does_not_depend_on_the_others(tmp_path: Path, keeps: Any) -> None:
    """Whatever the library keeps of a run for logits, each document is read as if it were alone."""
    rig = Rig(furnish(tmp_path, "tokens", kind="rerank"), "tokens")
    rig.runtime.keeps_array_runs = keeps
    documents = [f"zq{number}q" * number for number in range(1, 11)] + ["same", "same"]
    alone = [
        ask(rig, "rerank.score", query="q", documents=[one])["results"][0]["score"]
        for one in documents
    ]
    together = ask(rig, "rerank.score", query="q", documents=documents)["results"]
    assert {one["index"]: one["score"] for one in together} == dict(enumerate(alone))


def test_the_question_is_read_once_for_the_documents_of_a_turn(tmp_path: Path) -> None:
    rig = Rig(furnish(tmp_path, "tokens", kind="rerank"), "tokens")
    documents = [f"The document {number}" for number in range(8)]
    result = ask(rig, "rerank.score", query="A long question?", documents=documents)
    _, question, *others = rig.runtime.reads  # the first run checks the tokenizer
    assert len(others) == 8
    assert question > 100
    assert max(others) < 50
    assert sum(others) + 8 * question == result["usage"]["total_tokens"]


def test_without_a_size_of_the_cache_every_prompt_is_read_whole(tmp_path: Path) -> None:
    rig = Rig(furnish(tmp_path, "tokens", kind="rerank"), "tokens", release="1.2.0")
    result = ask(rig, "rerank.score", query="q", documents=["a", "b"])
    assert sum(rig.runtime.reads[1:]) == result["usage"]["total_tokens"]


FOREIGN: Any = {
    "embeddings.create": {"input": "a"},
    "rerank.score": {"query": "q", "documents": ["d"]},
}


@pytest.mark.parametrize("method", FOREIGN)
@pytest.mark.parametrize("kind", ["embedding", "rerank"])
def test_a_tokenizer_of_another_model_is_refused_before_its_tokens_are_read(
    tmp_path: Path, kind: str, method: str
) -> None:
    path = furnish(tmp_path, "tokens", kind=kind)
    rig = Rig(path, "runtime")  # the runtime's ids are numbers of words
    for _ in range(2):
        with pytest.raises(RPCError, match="another model's; put the model's own there: token 0"):
            ask(rig, method, **FOREIGN[method])
    assert set(rig.runtime.reads) == {3}  # "<user> The <end>"


def test_a_tokenizer_is_checked_once_for_each_load(tmp_path: Path) -> None:
    path = furnish(tmp_path, "tokens", kind="rerank")
    rig = Rig(path, "tokens", release="1.2.0")
    for expected in (2, 3):
        ask(rig, "rerank.score", query="q", documents=["d"])
        assert len(rig.runtime.reads) == expected
    rig.load(path)
    ask(rig, "rerank.score", query="q", documents=["d"])
    assert len(rig.runtime.reads) == 5


def test_logits_of_another_width_make_no_score(tmp_path: Path) -> None:
    rig = Rig(furnish(tmp_path, "tokens", kind="rerank"), "tokens")
    rig.runtime.columns = 10
    with pytest.raises(RPCError, match=r"another model's.*: the tokenizer has 407 tokens"):
        ask(rig, "rerank.score", query="q", documents=["d"])


def test_a_model_that_cannot_generate_has_embeddings(rig: Rig) -> None:
    rig.runtime.then = End.ERROR
    assert ask(rig, "embeddings.create", input=ONE)["width"] == 4


@pytest.mark.parametrize("is_checked", [False, True])
def test_an_aborted_run_makes_no_embedding(tmp_path: Path, is_checked: bool) -> None:
    """What has come may be a part of it."""
    rig = Rig(furnish(tmp_path, "tokens"), "tokens", paced=True)
    if is_checked:
        ask(rig, "embeddings.create", input=TWO)
    params = convert_params(METHODS["embeddings.create"], {"input": [ONE]})
    asked = rig.begin("embeddings.create", params)
    rig.thread.go()
    rig.npu.abort()
    rig.settle()
    assert isinstance(asked.error, RPCError)
    assert str(asked.error) == "The run was aborted; send the request again."


def test_a_model_without_hidden_states_is_an_error(rig: Rig) -> None:
    rig.runtime.is_mute = True
    with pytest.raises(RPCError, match="no hidden states"):
        ask(rig, "embeddings.create", input=ONE)
