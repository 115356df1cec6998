"""Answers in a form, and calls, without logits: an ordinary answer is checked.

It is asked for anew if it does not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import attrs

from rkllm_twisted.chat.answer import ChatAnswer
from rkllm_twisted.chat.events import (
    Content,
    Event,
    Reasoning,
    ToolCallArguments,
    ToolCallBegin,
    ToolCallBroken,
)
from rkllm_twisted.chat.messages import Message, say
from rkllm_twisted.errors import InvalidParams, RuntimeRefused
from rkllm_twisted.inference.chat_turn import ChatTurn, TurnResult
from rkllm_twisted.inference.model_turns import TurnCalls
from rkllm_twisted.inference.structured_turn import StructuredResult
from rkllm_twisted.interfaces import ITurn
from rkllm_twisted.structured.call_check import CallCheck
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
    :param check: begins a check of the answer's text; None if only a call will do.
    :param calls: checks the answer's calls; None if it cannot be one.
    :param can_heat: True if a run takes sampling parameters.
    :param on_events: called in the reactor thread, once, with the whole answer.
    :ivar result: the answer, once an attempt was good, or was cut or aborted.
    :ivar has_reasoned: True if the client has reasoning already, of an answer that went no further.
    """

    turn_of: Callable[[tuple[Message, ...]], ChatTurn]
    check: Callable[[], FormCheck] | None
    calls: CallCheck | None
    can_heat: bool
    on_events: Callable[[list[Event]], object] | None
    result: StructuredResult | None = None
    has_reasoned: bool = False
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
                _NO_CALL if self.check is None else _NO_FORM,
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
        check = None if self.check is None else self.check()
        chat = self._turn()
        has_begun = bool(chat.prompt.forced)

        def watch(events: list[Event]) -> bool:
            return any(self._is_over(event, check, has_begun) for event in events)

        made = attrs.evolve(chat, watched=watch).perform(turn)
        if has_begun and made.answer.tool_calls:  # what follows a call is the rest of no other
            made = attrs.evolve(made, answer=attrs.evolve(made.answer, content=None))
        result = self._judged(made, check)
        if result is None:
            wrong = _shown(made.answer)
            self._said = (
                say("assistant", wrong or "…"),
                say("user", _CALL_AGAIN if check is None else _ANSWER_AGAIN),
            )
            return None
        self.result = result
        if self.on_events is not None:
            turn.deliver(self.on_events, self._events(result.answer))
        return result

    def _turn(self) -> ChatTurn:
        """Return the turn of the next attempt."""
        try:
            chat = self.turn_of(self._said)
        except InvalidParams:
            if not self._said:
                raise
            chat = self.turn_of(())  # the context has no room for the answer that was wrong
        if self._runs == 1 or not self.can_heat:
            return chat
        given = chat.infer.get("sampling_params")
        heated = {**(given if isinstance(given, Mapping) else {}), **_HEAT}
        return attrs.evolve(chat, infer={**chat.infer, "sampling_params": heated})

    def _is_over(self, event: Event, check: FormCheck | None, has_begun: bool) -> bool:
        """Take in an event.

        :param has_begun: True if the prompt ends within a call, so that text is none.
        :returns: True if nothing that still comes can change the verdict.
        """
        if isinstance(event, ToolCallBegin) and self.calls is not None:
            return event.name not in self.calls.functions
        if check is None:
            return isinstance(event, ToolCallBroken) or (has_begun and isinstance(event, Content))
        if isinstance(event, Content):
            check.feed(event.text)
        return check.is_over

    def _judged(self, made: TurnResult, check: FormCheck | None) -> StructuredResult | None:
        """Return the result if the answer fits, or if it was cut or aborted; else None."""
        answer = made.answer
        if answer.finish_reason == "cancelled":
            text = answer.content if check is None else check.text
            return self._result(made, ChatAnswer(text, answer.reasoning, (), "cancelled"))
        if answer.tool_calls and self.calls is not None:
            fits = [self.calls.fits(call.name, call.arguments) for call in answer.tool_calls]
            return self._result(made, answer) if all(fits) else None
        is_cut = answer.finish_reason == "length"
        if check is None:
            return self._result(made, answer) if is_cut else None
        # A number that the limit has cut fits, too, and is another number.
        is_cut = is_cut and not check.is_over
        if not (check.fits or is_cut):
            return None
        reason = "length" if is_cut else "stop"
        return self._result(made, ChatAnswer(check.text, answer.reasoning, (), reason))

    def _result(self, made: TurnResult, answer: ChatAnswer) -> StructuredResult:
        tokens = [-1] * made.usage.completion_tokens
        text, reason = answer.content or "", answer.finish_reason
        structured = StructuredAnswer(tokens, text=text, reason=reason, runs=self._runs)
        return StructuredResult(
            answer, structured, made.plan, made.usage, guaranteed=False, changes=made.changes
        )

    def _events(self, answer: ChatAnswer) -> list[Event]:
        """Return the events of a whole answer."""
        found: list[Event] = []
        if answer.reasoning and not self.has_reasoned:
            found.append(Reasoning(answer.reasoning))
        if answer.content:
            found.append(Content(answer.content))
        for index, call in enumerate(answer.tool_calls):
            found.append(ToolCallBegin(index, call.id, call.name))
            found.append(ToolCallArguments(index, call.arguments))
        return found


def _shown(answer: ChatAnswer) -> str:
    """Return what the model is shown of an answer that does not fit."""
    calls = (f"{call.name} {call.arguments}" for call in answer.tool_calls)
    return "\n".join(filter(None, (answer.content, *calls)))[:MAX_SHOWN]


_ANSWER_AGAIN = "That does not have the form that was asked for. Answer again, with nothing else."
_CALL_AGAIN = (
    "That is no call of a function with arguments by its schema. Answer again, with such a call"
    " and nothing else."
)
_NO_FORM = (
    f"The model did not keep to the form in {MAX_ATTEMPTS} attempts; make the form simpler, or say"
    " in the prompt what is wanted."
)
_NO_CALL = (
    f"The model did not call a function as its schema says in {MAX_ATTEMPTS} attempts; make the"
    " schema simpler, or say in the prompt what is wanted."
)
