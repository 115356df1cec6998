"""chat.complete over a runtime that says what it has read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from chat_templates import CHATML
from echo_runtime import secrets_in
from gguf_files import gguf_bytes
from inference_rig import TIERS, Asked, Rig, furnish, user
from twisted.internet.defer import CancelledError

from rkllm_twisted.chat.extras import ExtraMissingError
from rkllm_twisted.errors import (
    InternalError,
    InvalidParams,
    NoModel,
    RPCError,
    TimedOut,
)
from rkllm_twisted.testing import End

ONE, TWO, THREE = "zq1q", "zq2q", "zq3q"


@pytest.fixture(params=TIERS)
def tier(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def rig(tier: str, tmp_path: Path) -> Rig:
    return Rig(furnish(tmp_path, tier), tier)


def test_an_answer_says_how_it_was_made(rig: Rig, tier: str) -> None:
    result = rig.ask([user(ONE)]).result
    assert result["message"] == {"role": "assistant", "content": f"saw {ONE}"}
    assert (result["model"], result["tier"]) == ("m", tier)
    assert (result["finish_reason"], result["flattened"]) == ("stop", False)


def test_a_conversation_that_goes_on_reads_its_new_message_only(rig: Rig) -> None:
    first = rig.ask([user(ONE)])
    read_first = rig.runtime.read
    second = rig.ask([user(ONE), first.result["message"], user(TWO)])
    assert secrets_in(second.text) == {ONE, TWO}
    assert second.result["usage"]["cached_tokens"] > 0
    assert rig.runtime.read <= read_first


def test_two_conversations_do_not_read_each_other(rig: Rig) -> None:
    first, other = rig.ask([user(ONE)]), rig.ask([user(TWO)])
    again = rig.ask([user(ONE), first.result["message"], user(THREE)])
    assert secrets_in(other.text) == {TWO}
    assert secrets_in(again.text) == {ONE, THREE}
    assert again.result["usage"]["cached_tokens"] == 0


def test_what_the_runtime_need_not_read_again_counts_as_cached(rig: Rig) -> None:
    """After a clear, it may still have the beginning of the prompt."""
    rig.ask([user(ONE)])
    before = rig.ask([user(TWO)]).result["usage"]
    rig.runtime.at_hand = 2
    usage = rig.ask([user(ONE)]).result["usage"]
    assert usage["cached_tokens"] == before["cached_tokens"] + 2
    assert usage["prompt_tokens"] == before["prompt_tokens"]


@pytest.mark.parametrize("history", ["shared", "connection"])
def test_a_clients_own_run_does_not_read_a_conversation(
    tier: str, tmp_path: Path, history: str
) -> None:
    rig = Rig(furnish(tmp_path, tier), tier, history=history)
    rig.ask([user(ONE), {"role": "assistant", "content": "Yes."}, user(ONE)])
    own = rig.run(TWO, keep_history=1)
    rig.settle()
    assert secrets_in(own.text) == {TWO}


def test_a_conversation_does_not_read_a_clients_own_run(rig: Rig) -> None:
    first = rig.ask([user(ONE)])
    rig.run(TWO, keep_history=1)
    again = rig.ask([user(ONE), first.result["message"], user(THREE)])
    assert secrets_in(again.text) == {ONE, THREE}


def test_a_stream_has_the_same_text_in_pieces(rig: Rig) -> None:
    asked = rig.ask([user(f"{ONE} {TWO}")], stream=True)
    assert "".join(piece["content"] for piece in asked.pieces) == asked.text
    assert len(asked.pieces) > 1


def test_without_stream_there_are_no_pieces(rig: Rig) -> None:
    assert rig.ask([user(ONE)]).pieces == []


def test_a_stop_text_ends_the_run_and_is_not_shown(rig: Rig) -> None:
    asked = rig.ask([user(f"{ONE} {TWO} {THREE}")], stop=TWO)
    assert asked.text == f"saw {ONE} "
    assert asked.result["finish_reason"] == "stop"


def test_a_conversation_goes_on_after_an_answer_that_was_cut(rig: Rig) -> None:
    first = rig.ask([user(f"{ONE} {TWO}")], stop=TWO)
    second = rig.ask([user(f"{ONE} {TWO}"), first.result["message"], user(THREE)])
    assert secrets_in(second.text) == {ONE, TWO, THREE}


def test_asking_again_does_not_read_the_earlier_answer(rig: Rig) -> None:
    rig.ask([user(ONE)])
    assert rig.ask([user(ONE)]).text == f"saw {ONE}"


def served(rig: Rig, **requests: dict[str, Any]) -> tuple[list[str], dict[str, int]]:
    """Make requests at once; return the order of their answers, and the tokens that were cached."""
    order: list[str] = []
    asked = {name: rig.start(**params) for name, params in requests.items()}
    for name, one in asked.items():
        one.done.addCallback(lambda _, name=name: order.append(name))
    rig.settle()
    return order, {n: one.result["usage"]["cached_tokens"] for n, one in asked.items()}


def test_waiting_requests_that_go_on_are_served_before_other_conversations(rig: Rig) -> None:
    a, b = ([user(one), rig.ask([user(one)]).result["message"]] for one in (ONE, TWO))
    order, cached = served(
        rig,
        a1={"messages": a[:1]},
        b1={"messages": b[:1]},
        a2={"messages": [*a, user(THREE)]},
        b2={"messages": [*b, user(THREE)]},
    )
    assert order == ["a1", "a2", "b1", "b2"]
    assert cached["a2"] > cached["b1"]
    assert cached["b2"] > cached["b1"]


def test_waiting_requests_of_a_named_conversation_are_served_together(rig: Rig) -> None:
    names = {"a1": "a", "b1": "b", "a2": "a", "b2": "b"}
    order, _ = served(
        rig, **{key: {"messages": [user(key)], "conversation": of} for key, of in names.items()}
    )
    assert order == ["a1", "a2", "b1", "b2"]


def test_a_request_of_another_name_does_not_go_on(rig: Rig) -> None:
    known = [user(ONE), rig.ask([user(ONE)]).result["message"], user(THREE)]
    order, _ = served(
        rig,
        a1={"messages": [user(ONE)], "conversation": "a"},
        b1={"messages": [user(TWO)]},
        other={"messages": known, "conversation": "b"},
    )
    assert order == ["a1", "b1", "other"]


def test_no_request_passes_a_clients_own_run(rig: Rig) -> None:
    order: list[str] = []
    for what in ("a1", "own", "a2"):
        asked = (
            rig.run(ONE) if what == "own" else rig.start([user(ONE)], conversation="a", client="c")
        )
        asked.done.addCallback(lambda _, what=what: order.append(what))
    rig.settle()
    assert order == ["a1", "own", "a2"]


def test_a_cancelled_request_leaves_nothing_to_the_next(tier: str, tmp_path: Path) -> None:
    rig = Rig(furnish(tmp_path, tier), tier, paced=True)
    asked = rig.start([user(ONE)], stream=True)
    while not asked.pieces:
        rig.thread.go()
        while rig.thread.calls:
            rig.thread.deliver()
    asked.done.cancel()
    assert isinstance(asked.error, CancelledError)
    assert rig.ask([user(TWO)]).text == f"saw {TWO}"


def test_after_an_abort_the_whole_conversation_is_read_again(tier: str, tmp_path: Path) -> None:
    """What an abort leaves in the cache is not known, even if the size of the cache fits."""
    rig = Rig(furnish(tmp_path, tier), tier, paced=True)
    asked = rig.start([user(f"{ONE} {TWO}")], stream=True)
    while not asked.pieces:
        rig.thread.go()
        while rig.thread.calls:
            rig.thread.deliver()
    rig.npu.abort()
    rig.settle()
    assert asked.result["finish_reason"] == "cancelled"
    again = rig.ask([user(f"{ONE} {TWO}"), asked.result["message"], user(THREE)])
    assert secrets_in(again.text) == {ONE, TWO, THREE}
    assert again.result["usage"]["cached_tokens"] == 0


def test_a_cancelled_request_that_waits_never_runs(rig: Rig) -> None:
    first, waiting = rig.start([user(ONE)]), rig.start([user(TWO)])
    waiting.done.cancel()
    rig.settle()
    assert first.text == f"saw {ONE}"
    assert rig.runtime.performed.count("rkllm_run") == 1


def test_releases_without_a_history_read_the_whole_conversation(tier: str, tmp_path: Path) -> None:
    rig = Rig(furnish(tmp_path, tier), tier, release="1.1.4")
    first = rig.ask([user(ONE)])
    second = rig.ask([user(ONE), first.result["message"], user(TWO)])
    assert secrets_in(second.text) == {ONE, TWO}


@pytest.mark.parametrize("release", ["1.1.4", "1.2.1"])
def test_the_daemon_counts_the_tokens_if_the_release_cannot(tmp_path: Path, release: str) -> None:
    rig = Rig(furnish(tmp_path, "runtime"), release=release)
    asked = rig.ask([user(f"{ONE} {TWO} {THREE}")], max_new_tokens=2)
    assert asked.text == f"saw {ONE} "
    assert asked.result["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("has_directory", "remedy"),
    [
        (True, "give the name of one as model, or load one with rkllm.init."),
        (False, "load one with rkllm.init."),
    ],
)
def test_if_no_model_is_loaded_the_error_says_what_to_do(
    tmp_path: Path, has_directory: bool, remedy: str
) -> None:
    directories = (str(tmp_path),) if has_directory else ()
    rig = Rig(furnish(tmp_path, "runtime"), directories=directories)
    rig.npu.call("rkllm_destroy", None)
    rig.settle()
    error = rig.ask([user(ONE)]).error
    assert isinstance(error, NoModel)
    assert str(error) == f"No model is loaded; {remedy}"


def test_a_request_waits_for_a_model_that_is_being_loaded(tier: str, tmp_path: Path) -> None:
    model = furnish(tmp_path, tier)
    rig = Rig(model, tier)
    rig.npu.call("rkllm_destroy", None)
    rig.settle()
    rig.npu.call("rkllm_init", [{"model_path": str(model)}])
    asked = rig.start([user(ONE)])
    rig.settle()
    assert asked.text == f"saw {ONE}"


def test_a_request_is_prepared_anew_if_another_model_was_loaded_meanwhile(tmp_path: Path) -> None:
    rig = Rig(furnish(tmp_path, "tokens", "first"), "runtime")
    asked = rig.start([user(ONE)])  # waits for no turn: none is taken
    rig.npu.call("rkllm_init", [{"model_path": str(furnish(tmp_path, "runtime", "other"))}])
    waiting = rig.start([user(TWO)])
    rig.settle()
    assert waiting.result["model"] == "other"
    assert asked.is_over


def test_a_request_is_prepared_anew_if_the_model_was_loaded_with_less_room_meanwhile(
    tmp_path: Path,
) -> None:
    path = furnish(tmp_path, "tokens")
    rig = Rig(path, "tokens")
    rig.npu.call("rkllm_init", [{"model_path": str(path), "max_context_len": 64}])
    asked = rig.start([user("word " * 100)])
    rig.settle()
    assert isinstance(asked.error, InvalidParams)
    assert (asked.error.data or {})["context"] == 64
    assert "rkllm_run" not in rig.runtime.performed


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
    ({"messages": [user("x"), {"role": "assistant", "content": "y"}]}, "messages[1].role"),
    ({"stop": [""]}, "stop[0]"),
    ({"response_format": {"type": "poem"}}, "response_format"),
    ({"lora": "none"}, "lora"),
    ({"max_new_tokens": 0}, "max_new_tokens"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"sampling": {"temprature": 1}}, "rkllm_infer_params.sampling_params.temprature"),
]


@pytest.mark.parametrize(("params", "place"), WRONG)
def test_a_wrong_parameter_is_named(tmp_path: Path, params: dict[str, Any], place: str) -> None:
    rig = Rig(furnish(tmp_path, "runtime"))
    error = rig.ask(**{"messages": [user("x")], **params}).error
    assert isinstance(error, InvalidParams)
    assert error.data is not None
    assert error.data["parameter"] == place
    assert rig.runtime.performed.count("rkllm_run") == 0


def test_too_long_a_conversation_is_refused_before_the_npu(tmp_path: Path) -> None:
    rig = Rig(furnish(tmp_path, "tokens"), "tokens", context=64)
    error = rig.ask([user("word " * 200)]).error
    assert isinstance(error, InvalidParams)
    assert error.data is not None
    assert error.data["reason"] == "context_length"
    assert "rkllm_run" not in rig.runtime.performed


def test_too_long_a_conversation_for_the_slots_is_refused(tmp_path: Path) -> None:
    rig = Rig(furnish(tmp_path, "template"), "template", context=64)
    error = rig.ask([user("word " * 200), {"role": "assistant", "content": "x"}, user(ONE)]).error
    assert isinstance(error, InvalidParams)
    assert "The conversation has" in str(error)
    assert rig.ask([user(TWO)]).text == f"saw {TWO}"


@pytest.mark.parametrize("size", [10_000_000])
def test_a_message_of_megabytes_is_refused_quickly(tmp_path: Path, size: int) -> None:
    rig = Rig(furnish(tmp_path, "tokens"), "tokens")
    assert isinstance(rig.ask([user("x" * size)]).error, InvalidParams)


def test_a_conversation_of_2000_turns_loses_its_oldest_turns_if_that_is_allowed(
    tmp_path: Path,
) -> None:
    rig = Rig(furnish(tmp_path, "tokens"), "tokens", context=512)
    turns = [user(f"zq{number}q") for number in range(2000)]
    talk = [one for turn in turns for one in (turn, {"role": "assistant", "content": "Yes."})][:-1]
    assert isinstance(rig.ask(talk).error, InvalidParams)
    asked = rig.ask(talk, truncate=True, max_new_tokens=8)
    assert asked.result["dropped_messages"] > 3000
    assert "zq1999q" in rig.runtime.text


def test_a_tokenizer_of_another_model_is_noticed(tmp_path: Path) -> None:
    rig = Rig(furnish(tmp_path, "tokens"), "runtime")  # the runtime's ids are numbers of words
    error = rig.ask([user(ONE)]).error
    assert isinstance(error, RPCError)
    assert "another model's" in str(error)


def test_a_run_that_ends_in_an_error_is_an_error(rig: Rig) -> None:
    rig.runtime.then = End.ERROR
    error = rig.ask([user(ONE)]).error
    assert isinstance(error, RPCError)
    assert error.code == -32000
    assert rig.ask([user(TWO)]).text == f"saw {TWO}"


def _without_jinja(*_: Any) -> Any:
    raise ExtraMissingError.of("jinja2", "render a chat template")


def test_without_the_extra_an_error_says_what_to_install(tmp_path: Path) -> None:
    rig = Rig(furnish(tmp_path, "template"), open_template=_without_jinja)
    error = rig.ask([user(ONE)]).error
    assert isinstance(error, InternalError)
    assert "pip install 'rkllm-twisted[chat]'" in str(error)


def test_without_the_extra_the_runtime_reads_the_template_in_the_models_file(
    tmp_path: Path,
) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(
        gguf_bytes({"general.architecture": "llama", "tokenizer.chat_template": CHATML})
    )
    rig = Rig(model, open_template=_without_jinja)
    assert rig.ask([user(ONE)]).result["tier"] == "runtime"


def test_a_template_that_loops_is_refused_and_not_tried_again(tmp_path: Path) -> None:
    tried: list[object] = []

    def looping(*_: Any) -> Any:
        tried.append(None)
        raise TimedOut("The model's chat template does not come to an end.")

    rig = Rig(furnish(tmp_path, "template"), open_template=looping)
    for _ in range(2):
        assert isinstance(rig.ask([user(ONE)]).error, TimedOut)
    assert len(tried) == 1


def test_a_cancelled_answer_is_forgotten_where_the_cache_has_no_size(tmp_path: Path) -> None:
    """Release 1.2.0 cannot tell its size, so nothing else shows that the answer was cut."""
    rig = Rig(furnish(tmp_path, "runtime"), release="1.2.0", paced=True)
    asked = rig.start([user(f"{ONE} {TWO}")], stream=True)
    while not asked.pieces:
        rig.thread.go()
        while rig.thread.calls:
            rig.thread.deliver()
    asked.done.cancel()
    rig.settle()
    assert rig.inference._turns.watch.known.trail is None


def test_a_folder_that_vanished_is_named_with_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    rig = Rig(furnish(folder, "template"))
    shutil.rmtree(folder)
    for _ in range(2):
        error = rig.ask([user(ONE)]).error
        assert isinstance(error, InvalidParams)
        assert f"{folder / 'm'}, is gone" in str(error)
        assert "load the model again" in str(error)


def _continued(rig: Rig, **params: Any) -> tuple[Asked, int]:
    """Ask twice in one conversation; return the second answer and how much its last run read."""
    first = rig.ask([user(ONE)])
    talk = [user(ONE), first.result["message"], user(TWO)]
    return rig.ask(talk, **params), rig.runtime.read


def test_a_runtime_that_reads_a_token_more_is_never_gone_on_with(tmp_path: Path) -> None:
    """The size of the cache alone could not tell it from an end token."""
    rig = Rig(furnish(tmp_path, "tokens"), "tokens")
    rig.runtime.extra = lambda _: 1
    for _ in range(2):
        asked, _read = _continued(rig)
        assert secrets_in(asked.text) == {ONE, TWO}
        assert asked.result["usage"]["cached_tokens"] == 0


def test_an_answer_after_more_than_was_given_is_made_again(tmp_path: Path) -> None:
    """The cache held something, and the runtime put a token before what was new."""
    rig = Rig(furnish(tmp_path, "tokens"), "tokens")
    rig.runtime.extra = int
    asked, read = _continued(rig)
    assert secrets_in(asked.text) == {ONE, TWO}
    assert (read, rig.runtime.text.count(ONE)) == (asked.result["usage"]["prompt_tokens"], 3)
    assert len(rig.runtime.reads) == 3
    _continued(rig)
    assert len(rig.runtime.reads) == 5


def test_a_streamed_answer_after_more_than_was_given_is_refused_once(tmp_path: Path) -> None:
    rig = Rig(furnish(tmp_path, "tokens"), "tokens")
    rig.runtime.extra = int
    assert "send the request again" in str(_continued(rig, stream=True)[0].error)
    assert secrets_in(_continued(rig, stream=True)[0].text) == {ONE, TWO}


def test_after_another_load_conversations_are_gone_on_with_again(tmp_path: Path) -> None:
    path = furnish(tmp_path, "tokens")
    rig = Rig(path, "tokens")
    rig.runtime.extra = lambda _: 1
    _continued(rig)
    rig.runtime.extra = lambda _: 0
    rig.load(path)
    assert _continued(rig)[0].result["usage"]["cached_tokens"] > 0
