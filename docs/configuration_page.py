"""Renders docs/configuration.md: the table of the options as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from words import table

from rkllm_twisted.options import Setting

INTRODUCTION = """\
# Configuration

<!-- Made by docs/generate.py. Change the table in rkllm_twisted/options.py, not this page. -->

Every option of `twistd rkllm`, and the variable of the environment that stands for it. An option
goes before its variable, a variable before the default; an empty variable counts as none. Options
without a value are `yes` or `no` in the environment. An option that may be repeated takes all its
values from where it is found first: those of the environment do not add to those of the command
line.
"""


def render(settings: Mapping[str, Setting]) -> str:
    """Make the page."""
    rows = [_row(name, setting) for name, setting in settings.items()]
    lines = table(("option", "meaning", "environment", "default"), rows)
    return f"{INTRODUCTION}\n" + "\n".join(lines).rstrip("\n") + "\n"


def _row(name: str, setting: Setting) -> tuple[str, ...]:
    return (
        f"`--{name}`",
        setting.meaning,
        "".join(_variable(name, setting)),
        f"`{setting.default}`" if setting.default else setting.otherwise or "",
    )


def _variable(name: str, setting: Setting) -> Iterator[str]:
    yield f"`{setting.variable_of(name)}`"
    if setting.separator:
        yield f", separated by `{setting.separator}`"
