"""What is said in the conversations: short questions that each model answers, and then stops.

A conversation whose answer is cut off is read anew where there is no tokenizer (``docs/chat.md``),
so the answers have to end by themselves.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import attrs

Message = dict[str, str]
#: A question and an answer.
Exchange = tuple[str, str]

CAPITALS = {
    "Greece": "Athens", "Austria": "Vienna", "Poland": "Warsaw", "Hungary": "Budapest",
    "Ireland": "Dublin", "Norway": "Oslo", "Sweden": "Stockholm", "Finland": "Helsinki",
    "Japan": "Tokyo", "China": "Beijing", "India": "New Delhi", "Egypt": "Cairo",
    "Kenya": "Nairobi", "Cuba": "Havana", "Peru": "Lima", "Chile": "Santiago",
    "Canada": "Ottawa", "Russia": "Moscow", "Germany": "Berlin", "Romania": "Bucharest",
    "Bulgaria": "Sofia", "Turkey": "Ankara", "Iran": "Tehran", "Iraq": "Baghdad",
}  # fmt: skip
#: For the bundled model, which knows Python's documentation only.
TERMS = {
    "list": "A sequence.", "set": "A collection.", "module": "A file.", "class": "A template.",
    "generator": "A function.", "tuple": "A fixed list.", "method": "A function.",
    "package": "A module.", "decorator": "A function.", "dictionary": "An array.",
    "lambda": "A function.", "loader": "An object.", "finder": "An object.", "slice": "A part.",
    "mapping": "A container.", "sequence": "An iterable.", "function": "Some statements.",
    "coroutine": "A function.", "bytecode": "Compiled code.", "thread": "A flow.",
    "string": "A sequence.", "socket": "An interface.", "parameter": "A name.",
    "statement": "A line.",
}  # fmt: skip
PLACES: Sequence[Exchange] = tuple(
    (f"What is the capital of {country}?", f"The capital of {country} is {city}.")
    for country, city in CAPITALS.items()
)
PYTHON: Sequence[Exchange] = tuple((f"What is a {term}?", answer) for term, answer in TERMS.items())


@attrs.frozen
class Talk:
    """A conversation that two servers can be asked in the same words.

    :param exchanges: the questions, and answers for the turns that no server was asked.
    """

    exchanges: Sequence[Exchange]

    @classmethod
    def numbered(cls, number: int, exchanges: Sequence[Exchange]) -> Talk:
        """Return a conversation in an order of its own; the same for the same number."""
        return cls(random.Random(number).sample(exchanges, len(exchanges)))

    def until(self, turn: int, answered: Sequence[str] = ()) -> list[Message]:
        """Return the messages up to a turn's question.

        :param turn: counts from 1.
        :param answered: a server's own answers to the turns right before.
        """
        *earlier, (question, _) = self.exchanges[:turn]
        answers = [answer for _, answer in earlier]
        answers[len(answers) - len(answered) :] = answered
        messages = []
        for (asked, _), answer in zip(earlier, answers, strict=True):
            messages += [_message("user", asked), _message("assistant", answer)]
        return [*messages, _message("user", question)]

    def alone(self, turn: int) -> list[Message]:
        """Return a turn's question as a conversation of its own."""
        return self.until(turn)[-1:]


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}
