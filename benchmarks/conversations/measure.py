"""Take conversations to a turn, and measure how soon that turn's answer begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median

import attrs

from benchmarks.conversations.texts import Exchange, Message, Talk
from benchmarks.suite.ratios import Spread


@attrs.frozen
class Answer:
    """One answer.

    :param text: what is sent back with the next question.
    :param first: seconds until its first text.
    :param prompt: tokens of the prompt.
    :param read: of these, those that were read; the others were in the cache.
    :param written: tokens of the answer.
    """

    text: str
    first: float
    prompt: int
    read: int
    written: int


Ask = Callable[[Sequence[Message]], Answer]


@attrs.frozen
class Contender:
    """A server that answers the questions of the benchmark.

    :param before: what is done before each question.
    :param lead: how many turns it answers before the measured one; those before are only told.
    :param most: with how many alternating conversations it is still measured.
    """

    name: str
    ask: Ask
    before: Callable[[], object] = lambda: None
    lead: int = 1
    most: int = 8


@attrs.frozen
class Case:
    """A number of conversations whose turns alternate, and the turn that is measured."""

    conversations: int
    turn: int

    @property
    def title(self) -> str:
        """The case in words."""
        several = f"{self.conversations} in turns" if self.conversations > 1 else "1 conversation"
        return f"{several}, turn {self.turn}"


def turns(
    contenders: Sequence[Contender], talks: Sequence[Talk], turn: int, first: int = 0
) -> dict[str, list[Answer]]:
    """Ask the conversations in turns, each up to a turn; return the answers to the last.

    All contenders are asked a question before the next, so that a busy moment meets them all.

    :param first: which contender is asked first; it changes with each question.
    :returns: contender -> its answers.
    """
    given: dict[str, list[list[Answer]]] = {each.name: [[] for _ in talks] for each in contenders}
    for number in range(max(1, turn - max(each.lead for each in contenders)), turn + 1):
        for at, talk in enumerate(talks):
            for contender in (*contenders[first:], *contenders[:first]):
                if number >= turn - contender.lead:
                    answers = given[contender.name][at]
                    contender.before()
                    known = [answer.text for answer in answers]
                    answers.append(contender.ask(talk.until(number, known)))
            first = (first + 1) % len(contenders)
    return {name: [answers[-1] for answers in each] for name, each in given.items()}


@attrs.frozen
class Result:
    """The measured turns of one case.

    :param answers: contender -> its answers, to the same conversations in the same order.
    :param alone: of one conversation: the most tokens that its questions have in a new one.
    """

    case: Case
    answers: Mapping[str, Sequence[Answer]]
    alone: int = 0

    def first(self, name: str) -> Spread:
        """Return a contender's seconds to the first text."""
        return Spread.of([answer.first for answer in self.answers[name]])

    def read(self, name: str) -> float:
        """Return how many tokens a contender read."""
        return median(answer.read for answer in self.answers[name])

    def times(self, ours: str, other: str) -> Spread:
        """Return how many times the other's time to the first text ours is, turn by turn."""
        pairs = zip(self.answers[ours], self.answers[other], strict=True)
        return Spread.of([mine.first / theirs.first for mine, theirs in pairs])


def measure(
    contenders: Sequence[Contender], case: Case, exchanges: Sequence[Exchange], rounds: int
) -> Result:
    """Measure the contenders; each round has new conversations, the same for all."""
    contenders = [each for each in contenders if case.conversations <= each.most]
    found: dict[str, list[Answer]] = {contender.name: [] for contender in contenders}
    alone = 0
    for number in range(rounds):
        start = 1000 * case.turn + 100 * case.conversations + 8 * number
        talks = [Talk.numbered(start + each, exchanges) for each in range(case.conversations)]
        for name, answers in turns(contenders, talks, case.turn, number % len(contenders)).items():
            found[name] += answers
        if case.conversations == 1:
            alone = max(alone, contenders[0].ask(talks[0].alone(case.turn)).prompt)
    return Result(case, found, alone)
