"""Options that a table describes: from the command line, the environment, a file and the table."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from twisted.python import usage

import rkllm_twisted
from rkllm_twisted.daemon.help_text import help_text
from rkllm_twisted.daemon.settings import Setting, collected, collecting, read_file


class TableOptions(usage.Options):
    """The options of a service, parsed: values by name.

    :cvar settings: the table; one of them is ``config``.
    """

    settings: ClassVar[Mapping[str, Setting]] = {}
    longdesc: ClassVar[str] = ""
    optParameters: ClassVar[list[list[Any]]] = []
    optFlags: ClassVar[list[list[Any]]] = []
    synopsis = "[options]"

    def __init_subclass__(cls) -> None:
        """Make what twisted.python.usage reads of the table."""
        super().__init_subclass__()
        if "settings" not in vars(cls):
            return
        cls.optParameters = [
            setting.parameter(name)
            for name, setting in cls.settings.items()
            if not setting.is_flag and not setting.separator
        ]
        cls.optFlags = [
            setting.parameter(name) for name, setting in cls.settings.items() if setting.is_flag
        ]
        for name, setting in cls.settings.items():
            if setting.separator:
                take = collecting(name, setting)
                for known_as in (name.replace("-", "_"), *(setting.short or "")):
                    setattr(cls, f"opt_{known_as}", take)

    def __init__(self) -> None:
        super().__init__()
        #: The source of each value that is not a default.
        self.sources: dict[str, str] = {}
        #: The variables of the environment.
        self.environ: Mapping[str, str] = os.environ
        self._file: Mapping[str, Sequence[str]] = {}

    def check(self) -> list[str]:
        """Return what is wrong about the values together, a sentence each."""
        return []

    def check_sources(self) -> list[str]:
        """Return what is wrong about the options that are given, a sentence each."""
        return []

    def postOptions(self) -> None:
        """Make all values, from the command line, the environment, the file and the defaults.

        :raises usage.UsageError: values are wrong; a line for each.
        """
        self._fill_in("config")
        problems: list[str] = []
        if self["config"] is not None:
            self._file = read_file(self["config"], self.settings, problems)
        for name in self.settings:
            if name != "config":
                with collected(problems):
                    self._fill_in(name)
        if not problems:
            problems += self.check()
        problems += self.check_sources()
        if problems:
            raise usage.UsageError("\n".join(problems))

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"rkllm_twisted {rkllm_twisted.__version__}")
        sys.exit()

    def getUsage(self, width: int | None = None) -> str:
        """Make the text of ``--help``, without the line of :attr:`synopsis`."""
        columns = width or shutil.get_terminal_size().columns
        return help_text(self.settings, self.longdesc, columns)

    def _fill_in(self, name: str) -> None:
        setting = self.settings[name]
        for source, texts in self._given(name, setting):
            if texts is not None:
                self.sources[name] = source
                self[name] = setting.value(source, texts)
                return
        default = [] if setting.default is None else [setting.default]
        self[name] = setting.value("", default)

    def _given(self, name: str, setting: Setting) -> Iterator[tuple[str, Sequence[str] | None]]:
        """Yield the sources of a setting, by precedence, each with its texts if it has any."""
        yield f"--{name}", setting.from_command_line(self.get(name))
        variable = setting.variable_of(name)
        yield variable, setting.from_environment(self.environ.get(variable))
        yield f"{name} in {self.get('config')}", self._file.get(name)
