"""Renders a conversation with a model's own chat template, to a prompt in pieces.

Only the template itself can write a control token. A message that holds the same text is plain
text. To tell the two apart, each control token in the template's source is replaced by a private
character before rendering. The messages are not changed, so the template can trim, split and
compare them as usual. The template is then rendered without the replacement. If the two results
differ in anything else, the template is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from zope.interface import Attribute, Interface, implementer

from rkllm_twisted.chat.extras import ExtraMissingError
from rkllm_twisted.chat.segments import Mark, Pieces, merged
from rkllm_twisted.errors import InvalidParams

if TYPE_CHECKING:
    from rkllm_twisted.chat import sandbox


class ITemplate(Interface):
    """A template that can be rendered. It is not trusted, and it may loop for ever.

    :class:`ChatTemplate` renders in this process, where nothing can end the loop. A provider that
    renders in another process can end that process.
    """

    marks = Attribute("Sequence of str: the control tokens that it writes.")

    def render(
        messages: Sequence[Mapping[str, object]],
        *,
        now: datetime,
        tools: Sequence[Mapping[str, object]] = (),
        generate: bool = True,
        variables: Mapping[str, object] | None = None,
    ) -> Pieces:
        """Render a conversation. The call blocks.

        :param messages: the messages in the form that templates read: role, content, tool_calls …
        :param now: the local time, for templates that show the date.
        :param tools: the definitions of the tools.
        :param generate: True if the prompt is to end with the beginning of an answer.
        :param variables: further variables of the template, e.g. ``enable_thinking``.
        :raises InvalidParams: the template refuses the conversation, or fails.
        """


#: The first characters of ranges in Unicode's private use planes. A rendering takes its private
#: characters from a range that the messages do not use. A template that uses it is refused.
RANGES = tuple(range(0xF0000, 0xFF000, 0x1000)) + tuple(range(0x100000, 0x10F000, 0x1000))
RANGE_SIZE = 0x1000


def _sandbox() -> Any:
    try:
        from rkllm_twisted.chat import sandbox  # noqa: PLC0415 - the extra may be missing
    except ImportError as error:
        raise ExtraMissingError.of("jinja2", "render a chat template") from error
    return sandbox


@implementer(ITemplate)
class ChatTemplate:
    """A template that is rendered in this process.

    :param source: the Jinja source, as in ``chat_template.jinja`` or ``tokenizer_config.json``.
    :param marks: the texts of the model's control tokens.
    :param specials: variables that hold control tokens, e.g. ``{"bos_token": "<s>"}``.
    :raises InvalidParams: the template cannot be used.
    :raises ExtraMissingError: jinja2 is not installed.
    """

    def __init__(
        self, source: str, marks: Iterable[str], specials: Mapping[str, str] | None = None
    ) -> None:
        self.source = source
        self.specials = dict(specials or {})
        texts = (source, *self.specials.values())
        #: The control tokens that the template can write, the longest first.
        self.marks = sorted(
            {mark for mark in marks if any(mark in text for text in texts)}, key=len, reverse=True
        )
        self._programs: dict[int, sandbox.Program] = {}
        self._sandbox = _sandbox()
        self._plain = self._compiled(None)

    def render(
        self,
        messages: Sequence[Mapping[str, object]],
        *,
        now: datetime,
        tools: Sequence[Mapping[str, object]] = (),
        generate: bool = True,
        variables: Mapping[str, object] | None = None,
    ) -> Pieces:
        """Render a conversation; see :class:`ITemplate`."""
        given = {**(variables or {}), "messages": list(messages), "tools": list(tools) or None}
        given["add_generation_prompt"] = generate
        start = self._free_range(given)
        colours = {mark: chr(start + number) for number, mark in enumerate(self.marks)}
        painted = self._run(self._compiled(start), colours, given, now)
        plain = self._run(self._plain, {}, given, now)
        pieces = merged(_pieces(painted, {colour: mark for mark, colour in colours.items()}))
        if "".join(one if isinstance(one, str) else one.text for one in pieces) != plain:
            raise _unusable("it decides by control tokens that it has written itself")
        return pieces

    def _compiled(self, start: int | None) -> sandbox.Program:
        """Return the program that writes private characters instead of control tokens.

        :param start: the first private character; None for a program that writes none.
        """
        if start is None:
            return self._compile(lambda text: text)
        if start not in self._programs:
            if self._private(start).search(self.source):
                raise _unusable("it uses private characters")
            colours = {mark: chr(start + number) for number, mark in enumerate(self.marks)}
            self._programs[start] = self._compile(lambda text: _paint(text, colours))
        return self._programs[start]

    def _compile(self, repaint: sandbox.Repaint) -> sandbox.Program:
        try:
            program: sandbox.Program = self._sandbox.Program(self.source, repaint)
        except self._sandbox.BrokenTemplateError as error:
            raise _unusable(str(error)) from error
        return program

    def _run(
        self,
        program: sandbox.Program,
        colours: Mapping[str, str],
        given: Mapping[str, object],
        now: datetime,
    ) -> str:
        specials = {name: _paint(text, colours) for name, text in self.specials.items()}
        try:
            return program.run({**specials, **given}, now)
        except self._sandbox.RefusedError as error:
            raise InvalidParams(
                f"The model's chat template refuses the conversation: {error}.",
                {"parameter": "messages"},
            ) from error
        except self._sandbox.BrokenTemplateError as error:
            raise _unusable(str(error)) from error

    def _free_range(self, given: Mapping[str, object]) -> int:
        text = json.dumps(given, ensure_ascii=False, default=str)
        free = (start for start in RANGES if not self._private(start).search(text))
        found = next(free, None)
        if found is None:
            raise InvalidParams(
                "The messages use private characters of all of Unicode's ranges; leave some out.",
                {"parameter": "messages"},
            )
        return found

    @staticmethod
    def _private(start: int) -> re.Pattern[str]:
        return re.compile(f"[{chr(start)}-{chr(start + RANGE_SIZE - 1)}]")


def _paint(text: str, colours: Mapping[str, str]) -> str:
    if not colours:
        return text
    pattern = "|".join(map(re.escape, colours))  # the longest first
    return re.sub(pattern, lambda found: colours[found[0]], text)


def _pieces(painted: str, marks: Mapping[str, str]) -> Iterable[str | Mark]:
    if not marks:
        return (painted,)
    parts = re.split(f"([{''.join(marks)}])", painted)
    return (Mark(marks[part]) if part in marks else part for part in parts)


def _unusable(why: str) -> InvalidParams:
    return InvalidParams(
        f"The model's chat template cannot be used: {why}.", {"parameter": "model"}
    )
