"""Answers in a form without logits: an ordinary answer is checked, and asked for anew if wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import attrs

from rkllm_twisted.chat.answer import ChatAnswer
from rkllm_twisted.chat.events import Content, Event, ToolCallArguments, ToolCallBegin
from rkllm_twisted.chat.messages import Message, say
from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.inference.chat_turn import ChatTurn, TurnResult
from rkllm_twisted.inference.model_turns import TurnCalls
from rkllm_twisted.inference.structured_turn import StructuredResult
from rkllm_twisted.interfaces import ITurn
from rkllm_twisted.structured.check import FormCheck
from rkllm_twisted.structured.loop import StructuredAnswer

#: How often an answer is asked for.
MAX_ATTEMPTS = 3
#: Further attempts are less likely to be the same again.
_HEAT: Mapping[str, float] = {"top_k": 40, "temperature": 1.0}
#: What is shown of an answer that does not fit, in characters.
MAX_SHOWN = 500


@attrs.define
class CheckedTurns:
    """The turns of one answer.

    :param turn_of: makes the turn of an attempt, with what was said after the conversation so far.
    :param check: begins a check.
    :param can_heat: True if a run takes sampling parameters.
    :param on_events: called in the reactor thread, once, with the whole answer.
    :ivar result: the answer, once an attempt was good.
    """

    turn_of: Callable[[tuple[Message, ...]], ChatTurn]
    check: Callable[[], FormCheck]
    can_heat: bool
    on_events: Callable[[list[Event]], object] | None
    result: StructuredResult | None = None
    _said: tuple[Message, ...] = ()
    _runs: int = 0

    def attempts(self) -> Iterator[TurnCalls[StructuredResult | None]]:
        """Yield the turns.

        :raises RuntimeRefused: no answer fits.
        """
        while self._runs < MAX_ATTEMPTS and self.result is None:
            yield TurnCalls(self._attempt)
        if self.result is None:
            raise RuntimeRefused(
                f"The model did not keep to the form in {MAX_ATTEMPTS} attempts; make the form"
                " simpler, or say in the prompt what is wanted.",
                {
                    "function": "rkllm_run",
                    "status_code": 0,
                    "attempts": MAX_ATTEMPTS,
                    "text": self._said[0].text if self._said else "",
                },
            )

    def _attempt(self, turn: ITurn) -> StructuredResult | None:
        """Make one attempt. In the NPU thread."""
        self._runs += 1
        check = self.check()
        chat = self.turn_of(self._said)
        if self._runs > 1 and self.can_heat:
            given = chat.infer.get("sampling_params")
            heated = {**(given if isinstance(given, Mapping) else {}), **_HEAT}
            chat = attrs.evolve(chat, infer={**chat.infer, "sampling_params": heated})

        def watch(events: list[Event]) -> bool:
            for event in events:
                if isinstance(event, Content):
                    check.feed(event.text)
            return check.is_over

        made = attrs.evolve(chat, watched=watch).perform(turn)
        if made.answer.finish_reason == "cancelled":
            raise RuntimeRefused("The run was aborted; send the request again.", _RUN)
        if made.answer.tool_calls:
            return self._take(turn, self._call(made))
        is_cut = made.answer.finish_reason == "length" and not check.is_over
        if not check.fits and not is_cut:
            wrong = (made.answer.content or "")[:MAX_SHOWN]
            self._said = (say("assistant", wrong or "…"), say("user", _CORRECTION))
            return None
        return self._take(turn, self._whole(made, check, is_cut and not check.fits))

    def _take(self, turn: ITurn, result: StructuredResult) -> StructuredResult:
        """Take an answer as the one, and send it."""
        self.result = result
        if self.on_events is not None:
            turn.deliver(self.on_events, _events(result.answer))
        return result

    def _call(self, made: TurnResult) -> StructuredResult:
        """Return the result for an answer that is a call. Its arguments are the model's own."""
        made_of = StructuredAnswer([-1] * made.usage.completion_tokens, runs=self._runs)
        return StructuredResult(made.answer, made_of, made.plan, made.usage, guaranteed=False)

    def _whole(self, made: TurnResult, check: FormCheck, is_cut: bool) -> StructuredResult:
        reason = "length" if is_cut else "stop"
        tokens = [-1] * made.usage.completion_tokens
        return StructuredResult(
            ChatAnswer(check.text, made.answer.reasoning, (), reason),
            StructuredAnswer(tokens, text=check.text, reason=reason, runs=self._runs),
            made.plan,
            made.usage,
            guaranteed=False,
        )


def _events(answer: ChatAnswer) -> list[Event]:
    found: list[Event] = [Content(answer.content)] if answer.content else []
    for index, call in enumerate(answer.tool_calls):
        found.append(ToolCallBegin(index, call.id, call.name))
        found.append(ToolCallArguments(index, call.arguments))
    return found


_CORRECTION = "That does not have the form that was asked for. Answer again, with nothing else."
_RUN = {"function": "rkllm_run", "status_code": 0}
