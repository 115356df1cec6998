"""Finds tool calls in a model's text, while the model writes it.

After a possible mark, the text is held back. If the text turns out not to be a call, it becomes
content. Nothing is repaired. A call that cannot be parsed, or that names an unknown function,
becomes content.

A call is reported as soon as its arguments begin, so that a client sees them grow. If the call
breaks later, :class:`.events.ToolCallBroken` withdraws it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

import attrs

from rkllm_twisted.chat.call_reader import CallReader, NotACallError
from rkllm_twisted.chat.events import (
    Content,
    Event,
    ToolCallArguments,
    ToolCallBegin,
    ToolCallBroken,
)
from rkllm_twisted.chat.families import marks_in
from rkllm_twisted.chat.marks import Marks
from rkllm_twisted.chat.tool_formats import MAX_HEADER_CHARACTERS, ToolFormat


@attrs.frozen
class OpenCall:
    """A call that the model has begun, and whose arguments have not come.

    :param name: the function's name; None if only a mark has come that nothing but a call has.
    :param rest: what has to come before the arguments; without a name, before the name.
    :param past: what of that, or of anything else, has come.
    """

    name: str | None
    rest: str
    past: str


class ToolCallParser:
    """Splits the answer's text into content and calls.

    :param form: the form of the model's calls.
    :param names: the names of the request's functions.
    :param new_id: a function that makes a unique id, e.g. ``call_…``. Clients tell calls apart by
        their ids.
    :param calls: how many complete calls were found.
    """

    def __init__(self, form: ToolFormat, names: Collection[str], new_id: Callable[[], str]) -> None:
        self.calls = 0
        self._form = form
        self._names = names
        self._new_id = new_id
        self._opens = Marks(form.opens)
        self._closes = Marks(form.closes)
        self._step: Callable[[], Iterable[Event]] = self._text
        self._held = ""  # text that was not read yet
        self._opening = ""  # the mark of a possible call, and white space before the mark
        self._mark = ""  # the same without the white space
        self._raw = ""  # text that was read since the mark
        self._reader = CallReader(())
        self._is_headed = False  # the name stands before the object
        self._in_list = False
        self._index = 0
        self._begun = False  # ToolCallBegin was returned
        self._at_start = True

    def feed(self, text: str) -> Iterator[Event]:
        """Read a chunk of text. Yield the events that are certain."""
        self._held += text
        before = None
        while before != (self._step, self._held):
            before = (self._step, self._held)
            yield from self._step()

    def flush(self) -> Iterator[Event]:
        """Yield the text that was held back. Call this after the last chunk."""
        text = self._opening + self._raw + self._held
        if self._begun:
            yield ToolCallBroken(self._index, text)
        elif text.strip() or (text and not self.calls):
            yield Content(text)

    @property
    def open_call(self) -> OpenCall | None:
        """The call that has begun, as long as its arguments have not; None if there is none.

        A mark like a control token begins a call. Behind another, such as a fence, it is a call
        once a function is named.
        """
        reader, form = self._reader, self._form
        if self._step == self._object and reader.name is not None:
            is_named = not (self._begun or reader.begun or self._is_headed)
            rest = form.arguments.removeprefix('"')
            return OpenCall(reader.name, rest, reader.since_name + self._held) if is_named else None
        if self._step == self._text or not marks_in(self._mark):
            return None
        _, mark, rest = form.begin.partition(self._mark)
        return OpenCall(None, rest if mark else form.begin, self._raw + self._held)

    def _text(self) -> Iterable[Event]:
        """Look for the beginning of a call."""
        bare = self._held.lstrip()
        if self._at_start and self._form.bare and bare[:1] in ("{", ""):
            if bare:
                self._opening, self._held = self._held[: -len(bare)], bare
                self._begin()
            return ()
        found = self._opens.search(self._held)
        text = found.before.rstrip()
        space = found.before[len(text) :]
        self._at_start = self._at_start and not text and not found.mark
        if found.mark is None:
            self._held = space + found.rest
        else:
            self._opening, self._held = space + found.mark, found.rest
            self._mark = found.mark
            self._step = self._header
        return _content(text)

    def _header(self) -> Iterable[Event]:
        """After a mark, look for a list, or for an object that may have a name before it."""
        text = self._held.lstrip()
        if text.startswith("["):
            self._in_list = True
            self._look_past(len(self._held) - len(text) + 1)
            self._step = self._between
            return ()
        header, brace, _ = self._held.partition("{")
        if len(header) > MAX_HEADER_CHARACTERS or (
            text and not brace and self._form.header is None
        ):
            return self._not_a_call()
        return self._object_after(header) if brace else ()

    def _object_after(self, header: str) -> Iterable[Event]:
        match = self._form.header.fullmatch(header) if self._form.header else None
        name = match["name"] if match else None
        if (header.strip() and name is None) or (name is not None and name not in self._names):
            return self._not_a_call()
        self._look_past(len(header))
        self._begin(name)
        return ()

    def _look_past(self, length: int) -> None:
        self._raw += self._held[:length]
        self._held = self._held[length:]

    def _begin(self, named: str | None = None) -> None:
        """Prepare to read an object."""
        self._reader, self._is_headed = CallReader(self._names, named), named is not None
        self._step, self._at_start = self._object, False

    def _object(self) -> Iterator[Event]:
        """Read the call."""
        try:
            taken = self._reader.feed(self._held)
        except NotACallError:
            yield from self._news()
            yield from self._not_a_call()
            return
        self._look_past(taken)
        yield from self._news()
        if self._reader.done:
            self.calls += 1
            self._call_over()
            self._step = self._between if self._in_list else self._behind

    def _news(self) -> Iterator[Event]:
        reader = self._reader
        if reader.begun and not self._begun:
            self._begun = True
            yield ToolCallBegin(self._index, self._new_id(), reader.name or "")
        if text := reader.take():
            yield ToolCallArguments(self._index, text)

    def _call_over(self) -> None:
        self._index += 1
        self._begun = False
        self._opening = self._mark = self._raw = ""
        self._closes = Marks(self._form.closes)

    def _between(self) -> Iterable[Event]:
        """Inside a list, look for the next object or for the end of the list."""
        self._look_past(len(self._held) - len(self._held.lstrip(" \t\r\n,")))
        if self._held.startswith("{"):
            self._begin()
        elif self._held.startswith("]") and not self._opening:  # the list had a call
            self._held, self._raw, self._in_list = self._held[1:], "", False
            self._step = self._behind
        elif self._held:
            return self._not_a_call()
        return ()

    def _behind(self) -> Iterable[Event]:
        """Drop the marks that close a call. After them comes another call, or text."""
        self._held = self._held.lstrip()
        found = self._closes.search(self._held)
        if found.before:
            if self._form.bare and self._held.startswith("{"):
                self._begin()
            else:
                self._step = self._text
        elif found.mark is not None:  # each only once, because a fence may open the next call
            self._held = found.rest
            self._closes = Marks(mark for mark in self._closes.marks if mark != found.mark)
        return ()

    def _not_a_call(self) -> Iterable[Event]:
        """Return the mark as content, and read the text after the mark again."""
        self._step, self._in_list = self._text, False
        if self._begun:
            self._look_past(self._reader.position)
            broken = self._opening + self._raw
            event = ToolCallBroken(self._index, broken)
            self._call_over()
            return (event,)
        text = self._raw + self._held
        length = 0 if self._opening else 1
        given, self._held = self._opening + text[:length], text[length:]
        self._opening = self._mark = self._raw = ""
        return _content(given)


def _content(text: str) -> Iterable[Event]:
    return (Content(text),) if text else ()
