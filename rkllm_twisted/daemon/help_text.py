"""The text of ``twistd rkllm --help``: the options in the order of their table."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping

from rkllm_twisted.daemon.settings import Setting

#: The options that twisted.python.usage adds.
ADDED: Mapping[str, str] = {
    "version": "Print the version and exit.",
    "help": "Display this help and exit.",
}


def help_text(settings: Mapping[str, Setting], about: str, width: int) -> str:
    """Make the text.

    The options keep the order of their table, since some texts refer to the option before them;
    Twisted would sort the options by name.

    :param about: the description of the daemon.
    :param width: the columns of the terminal.
    """
    rows = [*_rows(settings), *((f"      --{name}", text) for name, text in ADDED.items())]
    column = max(len(option) for option, _ in rows) + 2
    lines = ["Options:"]
    for option, meaning in rows:
        indent = " " * column
        wrapped = textwrap.wrap(meaning, max(width - column, 20)) or [""]
        lines.append(f"{option:<{column}}{wrapped[0]}")
        lines += [indent + line for line in wrapped[1:]]
    return "\n".join([*lines, "", *textwrap.wrap(about, width), ""])


def _rows(settings: Mapping[str, Setting]) -> Iterator[tuple[str, str]]:
    for name, setting in settings.items():
        _, short, *_, meaning = setting.parameter(name)
        letter = f"-{short}, " if short else "    "
        yield f"  {letter}--{name}{'' if setting.is_flag else '='}", meaning
