"""Checks a text against a form while it comes, where its tokens could not be chosen. Pure."""

from __future__ import annotations

from rkllm_twisted.constraint_interfaces import IConstraint

_FENCE = "```"


class FormCheck:
    """The check of one answer.

    White space at the ends of the answer is left out if the form does not allow it, and so are the
    marks of a Markdown block, which models like to put around JSON.

    :param constraint: over tokens that are bytes, see :func:`.token_table.byte_table`.
    :param fenced: True if the answer may be a Markdown block.
    :ivar text: what was read of the answer.
    :ivar is_over: True if nothing that still comes can belong to it, or it does not fit.
    """

    def __init__(self, constraint: IConstraint, *, fenced: bool = False) -> None:
        self.text = ""
        self.is_over = False
        self._constraint = constraint
        self._fenced = fenced
        self._before = ""
        self._begun = not fenced

    @property
    def fits(self) -> bool:
        """True if the text so far is a whole answer in the form."""
        return bool(self._constraint.accepting) and bool(self.text)

    def feed(self, text: str) -> None:
        """Read a piece of the answer."""
        if not self._begun:
            self._before += text
            text = self._beginning()
        if text and not self.is_over:
            self._read(text)

    def _beginning(self) -> str:
        """Return the text behind white space and an opening fence; empty while that may come."""
        bare = self._before.lstrip()
        if self._fenced and (_FENCE.startswith(bare) or bare.startswith(_FENCE)):
            bare = bare.partition("\n")[2].lstrip()
        self._begun = bool(bare)
        return bare

    def _read(self, text: str) -> None:
        for letter in text:
            octets = [*letter.encode()]
            if self._constraint.consume(octets) < len(octets):
                if letter.isspace() and not self.text:
                    continue
                # White space, a fence or the model's own words after a whole answer do no harm.
                self.is_over = True
                return
            self.text += letter
            if self._constraint.stopped:
                self.is_over = True
                return
