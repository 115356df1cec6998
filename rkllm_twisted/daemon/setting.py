"""One option of the daemon: what it is called where, and how its value is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
from twisted.python import usage

from rkllm_twisted.daemon.coercions import NUMBERS, switch


@attrs.frozen
class Setting:
    """One option.

    :param default: as a person would write it; None: none, or found out later.
    :param meaning: for ``--help``.
    :param variable: of the environment, where it is not ``RKLLM_`` and the option's name; an option
        that is given goes before it.
    :param parse: makes the value; its docstring's first line says what it must be.
    :param otherwise: what applies where there is no default, in words.
    :param short: the option's letter.
    :param separator: of an option that may be given several times: what stands between its values
        in the environment.
    :param in_file: may it stand in the file of ``--config``?
    """

    default: str | None
    meaning: str
    variable: str | None = None
    parse: Callable[[str], object] = str
    otherwise: str | None = None
    short: str | None = None
    separator: str | None = None
    in_file: bool = True

    @property
    def is_flag(self) -> bool:
        """Is it an option without a value, which is either given or not?"""
        return self.parse is switch

    @property
    def is_number(self) -> bool:
        """May its value be written as a number in TOML?"""
        return self.parse in NUMBERS

    def parameter(self, name: str) -> list[Any]:
        """The option in the form of :attr:`usage.Options.optParameters`, or optFlags."""
        if self.is_flag:
            return [name, self.short, self.meaning]
        default = " or ".join(
            filter(None, (self.variable and f"${self.variable}", self.default or self.otherwise))
        )
        note = f" [default: {default}]" if default else ""
        return [name, self.short, None, self.meaning + note]

    def variable_of(self, name: str) -> str:
        """The variable of the environment that stands for it."""
        return self.variable or "RKLLM_" + name.upper().replace("-", "_")

    def from_command_line(self, given: object) -> list[str] | None:
        """What stands for the value there; None: it is not given."""
        if self.is_flag:
            return ["yes"] if given else None
        if isinstance(given, list):
            return given or None
        return None if given is None else [str(given)]

    def from_environment(self, text: str | None) -> list[str] | None:
        """The same of a variable; an empty one is none."""
        if not text:
            return None
        return list(filter(None, text.split(self.separator))) if self.separator else [text]

    def value(self, source: str, texts: Sequence[str]) -> object:
        """The value that texts stand for; a tuple of values where there may be several.

        :param source: where they came from, for the error.
        :raises usage.UsageError: one is not usable.
        """
        if source and not texts:
            raise usage.UsageError(f"{source} names nothing; leave it out if that is meant.")
        values = tuple(self._parsed(source, text) for text in texts)
        return values if self.separator else (values or (None,))[-1]

    def _parsed(self, source: str, text: str) -> object:
        try:
            return self.parse(text)
        except ValueError:
            wanted = (self.parse.__doc__ or "").splitlines()[0].rstrip(".")
            wanted = wanted[:1].lower() + wanted[1:]
            raise usage.UsageError(f"{source} must be {wanted}, not {text!r}.") from None
