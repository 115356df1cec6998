"""The trail's assumptions about a runtime's cache hold on the embedded runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import pytest
from chat_templates import TEMPLATES
from vocabularies import vocabulary

from rkllm_twisted.chat.compose import compose
from rkllm_twisted.chat.families import named
from rkllm_twisted.chat.family_table import FAMILIES
from rkllm_twisted.chat.messages import Conversation, Message, ToolCall, say
from rkllm_twisted.chat.model import ChatModel, Tier, chat_model
from rkllm_twisted.chat.parsing import Reading
from rkllm_twisted.chat.plan import CLEAR, CLEAR_BUT_SYSTEM, Plan, plan
from rkllm_twisted.chat.prompts import ChatRequest, Prompt, TokenContent
from rkllm_twisted.chat.trail import CacheKey, Outcome, Trail, after_answer, cache_size
from rkllm_twisted.cpu import demo_model
from rkllm_twisted.runtime.runtime import Runtime, open_runtime

ANSWER = say("assistant", "")


class Numbers:
    """A vocabulary in which each token's text is its number."""

    def encode(self, pieces: Sequence[str], *, first: bool = True) -> tuple[int, ...]:
        return tuple(map(int, "".join(pieces).split()))

    def pieces(self, tokens: Sequence[int], before: Sequence[int] = ()) -> tuple[str, ...]:
        return tuple(f"{token} " for token in tokens)


class Board:
    """The embedded runtime with its model."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.model = ChatModel("tiny", 512, vocabulary=Numbers())
        self.call(
            "rkllm_init", {"model_path": str(demo_model()), "top_k": 1, "max_context_len": 512}
        )

    def call(self, function: str, *params: object, on_results: Any = None) -> Mapping[str, Any]:
        return self._runtime.perform(self._runtime.prepare(function, list(params)), on_results)

    def run(self, run_input: Mapping[str, Any], limit: int) -> tuple[tuple[int, ...], int]:
        """Run; return the generated tokens and the number of tokens read."""
        results: list[Mapping[str, Any]] = []
        options = {"keep_history": 1, "max_new_tokens": limit}
        self.call("rkllm_run", run_input, options, on_results=results.extend)
        tokens = tuple(one["token_id"] for one in results if one["_callback_state"] == 0)
        return tokens, results[-1]["perf"]["prefill_tokens"]

    def answer(
        self, planned: Plan, *, ended: bool = False
    ) -> tuple[tuple[int, ...], int, Trail | None]:
        """Run a plan; return the tokens, the number read, and the known cache afterwards."""
        for one in planned.calls:
            self.call(one.function, *one.params)
        tokens, read = self.run(planned.run_input, 6)
        outcome = Outcome(ANSWER, ended=ended, tokens=tokens, size=self.size)
        return tokens, read, after_answer(planned.trail, outcome, self.model.vocabulary)

    @property
    def size(self) -> int | None:
        return cache_size(self.call("rkllm_get_kv_cache_size"))


@pytest.fixture
def board() -> Iterator[Board]:
    runtime = open_runtime("cpu", "1.3.0")
    yield Board(runtime)
    runtime.close()


def prompt(*tokens: int) -> Prompt:
    return Prompt(TokenContent(("".join(f"{one} " for one in tokens),), tokens), Reading())


def test_a_conversation_in_pieces_is_the_conversation_as_a_whole(board: Board) -> None:
    """Each turn reads only its own tokens, and the answer is the same."""
    first, _, trail = board.answer(plan(board.model, prompt(1, 50, 60, 70), None))
    assert trail is not None
    assert trail.tokens == (1, 50, 60, 70, *first)
    whole = (1, 50, 60, 70, *first, 80, 90)
    on = plan(board.model, prompt(*whole), trail)
    assert (on.continued, on.calls) == (True, ())
    second, read, trail = board.answer(on)
    assert read == 2
    anew = plan(board.model, prompt(*whole), None)
    assert anew.calls == (CLEAR,)
    assert board.answer(anew)[0] == second
    assert trail is not None


def test_the_end_token_is_in_the_cache_and_no_callback_brings_it(board: Board) -> None:
    """After an answer that ended by itself, the cache therefore has one token more."""
    board.call("rkllm_clear_kv_cache", 0)
    run_input = {"role": "user", "prompt_input": "What is a generator?"}
    tokens, read = board.run(run_input, 100)
    before = Trail(CacheKey("tiny", None, Tier.TOKENS), (0,) * read)
    ended = Outcome(ANSWER, ended=True, tokens=tokens, size=board.size)
    trail = after_answer(before, ended, board.model.vocabulary)
    assert trail is not None
    assert trail.ended
    assert len(trail.tokens) == board.size


def test_asking_again_in_tier_b_reads_the_newest_message_only(board: Board) -> None:
    """The earlier conversation stays in the system slot, and the answer is the same."""
    model = chat_model("tiny", 512, family=named("chatml", FAMILIES))
    talk = (say("user", "What is a list?"), say("assistant", "A type."), say("user", "And a set?"))
    asked = compose(model, ChatRequest(talk), datetime(2026, 1, 2))
    first, read, trail = board.answer(plan(model, asked, None), ended=True)
    size = board.size
    again = plan(model, asked, trail)
    assert again.calls == (CLEAR_BUT_SYSTEM,)
    second, read_again, _ = board.answer(again)
    assert (second, board.size) == (first, size)
    assert 0 < read_again < read


NOW = datetime(2026, 1, 2)
LIST, SET, MAP = (say("user", f"What is a {what}?") for what in ("list", "set", "map"))
#: The most tokens of a question and of the marks around it, in these tests.
QUESTION = 48


def turn(
    board: Board, model: ChatModel, talk: Conversation, trail: Trail | None = None
) -> tuple[Plan, int, Trail | None]:
    """Answer a conversation; return the plan, how many tokens were read, and the trail."""
    made = plan(model, compose(model, ChatRequest(talk), NOW), trail)
    _, read, known = board.answer(made)
    return made, read, known


def in_slots() -> ChatModel:
    return chat_model("tiny", 512, family=named("chatml", FAMILIES))


@pytest.mark.parametrize("template", ["qwen3", "deepseek"])
def test_reasoning_that_a_template_drops_is_all_that_is_read_again(
    board: Board, template: str
) -> None:
    """The trail is no beginning of the prompt, but most of what it holds is."""
    text, _ = TEMPLATES[template]
    model = chat_model("tiny", 512, template=text, vocabulary=vocabulary("byte_level"))
    thought = say("assistant", "<think>\nHm, well.\n</think>\n\nA type.")
    talk = [LIST, thought, SET, thought, SET, thought, MAP]
    first = len(compose(model, ChatRequest(tuple(talk)), NOW).content.tokens)
    _, whole, trail = turn(board, model, tuple(talk))
    assert whole == first
    made, read, _ = turn(board, model, (*talk, thought, LIST), trail)
    assert (made.continued, made.calls) == (False, (CLEAR,))
    whole = len(compose(model, ChatRequest((*talk, thought, LIST)), NOW).content.tokens)
    assert read < whole - first + QUESTION
    assert 0 < made.shared <= whole - read


def test_asking_again_reads_the_question_after_a_turn_that_went_on(board: Board) -> None:
    model = in_slots()
    _, _, trail = turn(board, model, (LIST,))
    answer = say("assistant", "A type.")
    turn(board, model, (LIST, answer, SET), trail)
    again, read, _ = turn(board, model, (LIST, answer, SET))
    assert (again.continued, again.calls[0]) == (False, CLEAR)
    assert read < QUESTION


def test_another_question_in_an_earlier_turn_reads_from_there_on(board: Board) -> None:
    model, answer = in_slots(), say("assistant", "A type of many things.")
    _, whole, _ = turn(board, model, (LIST, answer, SET, answer, MAP))
    _, read, _ = turn(board, model, (LIST, answer, SET, answer, LIST))
    assert read < QUESTION < whole


def test_a_tools_result_in_tier_b_reads_what_is_new(board: Board) -> None:
    model = in_slots()
    call = Message("assistant", tool_calls=(ToolCall("1", "look_up", '{"word": "list"}'),))
    _, whole, trail = turn(board, model, (LIST, call))
    made, read, _ = turn(board, model, (LIST, call, say("tool", "A type.")), trail)
    assert not made.continued
    assert read < whole


def test_an_answer_that_was_cut_off_in_tier_b_is_not_read_again(board: Board) -> None:
    """Without a tokenizer it is not known what the cache holds; the runtime compares."""
    model = chat_model("tiny", 512, family=named("chatml", FAMILIES))
    made = plan(model, compose(model, ChatRequest((LIST,)), NOW), None)
    for one in made.calls:
        board.call(one.function, *one.params)
    results: list[Mapping[str, Any]] = []
    options = {"keep_history": 1, "max_new_tokens": 8}
    board.call("rkllm_run", made.run_input, options, on_results=results.extend)
    cut = say("assistant", "".join(one["text"] for one in results if one["_callback_state"] == 0))
    outcome = Outcome(cut, ended=False, size=board.size)
    assert after_answer(made.trail, outcome, None) is None
    _, read, _ = turn(board, model, (LIST, cut, SET))
    assert read < QUESTION
