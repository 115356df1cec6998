"""One option of the daemon: its names, its sources, and the making of its value.

A value comes from the command line, else from the environment, else from the file of ``--config``
(TOML, with the options' names as keys), else it is the default.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
from twisted.python import usage

from rkllm_twisted.daemon.coercions import NUMBERS, switch


@attrs.frozen
class Setting:
    """One option.

    :param default: the text that a user would write for it; None if there is no default, or if the
        daemon finds it later.
    :param meaning: the text for ``--help``.
    :param variable: the variable of the environment, if it is not ``RKLLM_`` and the option's name.
    :param parse: makes the value of a text; raises ValueError if the text is wrong. Its
        ``coerceDoc`` says what the text must be.
    :param otherwise: in words, the behaviour without a default.
    :param short: the option's letter.
    :param separator: for an option that may be repeated: the text between its values in the
        environment.
    :param in_file: True if it may stand in the file of ``--config``.
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
        """True if the option takes no value on the command line."""
        return self.parse is switch

    @property
    def is_number(self) -> bool:
        """True if its value may be written as a number in TOML."""
        return self.parse in NUMBERS

    def parameter(self, name: str) -> list[Any]:
        """Return the option as an entry of :attr:`usage.Options.optParameters`, or of optFlags."""
        if self.is_flag:
            return [name, self.short, self.meaning]
        default = " or ".join(
            filter(None, (self.variable and f"${self.variable}", self.default or self.otherwise))
        )
        note = f" [default: {default}]" if default else ""
        return [name, self.short, None, self.meaning + note]

    def variable_of(self, name: str) -> str:
        """Return the environment variable of the option."""
        return self.variable or "RKLLM_" + name.upper().replace("-", "_")

    def from_command_line(self, given: object) -> list[str] | None:
        """Return the texts of its values on the command line; None if it is not given."""
        if self.is_flag:
            return ["yes"] if given else None
        if isinstance(given, list):
            return given or None
        return None if given is None else [str(given)]

    def from_environment(self, text: str | None) -> list[str] | None:
        """Return the texts of its values in a variable; None if the variable is empty or unset."""
        if not text:
            return None
        return list(filter(None, text.split(self.separator))) if self.separator else [text]

    def value(self, source: str, texts: Sequence[str]) -> object:
        """Make the value of its texts; a tuple if the option may be repeated.

        :param source: the source of the texts, for the error.
        :raises usage.UsageError: a text is wrong.
        """
        if source and not texts:
            raise usage.UsageError(f"{source} names nothing; leave it out if that is meant.")
        values = tuple(self._parsed(source, text) for text in texts)
        return values if self.separator else (values or (None,))[-1]

    def _parsed(self, source: str, text: str) -> object:
        try:
            return self.parse(text)
        except ValueError:
            wanted = getattr(self.parse, "coerceDoc", "another text")
            raise usage.UsageError(f"{source} must be {wanted}, not {text!r}.") from None


@contextmanager
def collected(problems: list[str]) -> Iterator[None]:
    """Collect the text of a UsageError, so that all mistakes are reported."""
    try:
        yield
    except usage.UsageError as error:
        problems.append(str(error))


def read_file(
    path: str, settings: Mapping[str, Setting], problems: list[str]
) -> Mapping[str, Sequence[str]]:
    """Read the file of ``--config``.

    :param settings: all settings, by name.
    :param problems: a sentence is added for each mistake in the file.
    :returns: for each setting in the file, the texts that would stand for it on a command line.
    :raises usage.UsageError: the file cannot be read, or is not TOML.
    """
    if sys.version_info >= (3, 11):
        import tomllib  # noqa: PLC0415 - for a file only
    else:
        import tomli as tomllib  # noqa: PLC0415 - as above
    try:
        values = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise usage.UsageError(f"--config: {path}: {error.strerror}.") from None
    except ValueError as error:  # of TOML as of UTF-8
        raise usage.UsageError(f"{path} is not TOML: {error}.") from None
    texts: dict[str, Sequence[str]] = {}
    for name, value in values.items():
        if name not in settings or not settings[name].in_file:
            problems.append(_unknown(path, name, settings))
            continue
        with collected(problems):
            texts[name] = list(_texts(f"{name} in {path}", settings[name], value))
    return texts


def _unknown(path: str, name: str, settings: Mapping[str, Setting]) -> str:
    if name in settings:
        return f"{path}: {name} is for the command line only."
    known = [other for other, setting in settings.items() if setting.in_file]
    close = difflib.get_close_matches(name.lower().replace("_", "-"), known, 1)
    hint = f"; perhaps {close[0]} is meant" if close else "; docs/configuration.md has all"
    return f"{path}: there is no setting {name!r}{hint}."


def _texts(source: str, setting: Setting, value: object) -> Iterator[str]:
    if setting.is_flag:
        if not isinstance(value, bool):
            raise usage.UsageError(f"{source} must be true or false, not {value!r}.")
        yield "yes" if value else "no"
    elif setting.separator and isinstance(value, list):
        for item in value:
            yield _text(source, setting, item)
    else:
        yield _text(source, setting, value)


def _text(source: str, setting: Setting, value: object) -> str:
    if isinstance(value, str):
        return value
    # Texts of digits such as 0660 are another number in TOML, so only a setting that is a number
    # may be written as one.
    if setting.is_number and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    wanted = "a number, or text in quotes" if setting.is_number else "text in quotes"
    raise usage.UsageError(f"{source} must be {wanted}, not {value!r}.")


def collecting(name: str, setting: Setting) -> Callable[[Any, str], None]:
    """Make the method ``opt_…`` of an option that may be repeated; its docstring is the help."""

    def take(self: Any, value: str) -> None:
        self.setdefault(name, []).append(value)

    take.__doc__ = setting.meaning
    return take
