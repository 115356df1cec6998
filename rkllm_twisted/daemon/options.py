"""The options of ``twistd rkllm``: from the command line, the environment, a file and the table."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from twisted.python import usage

from rkllm_twisted import __version__
from rkllm_twisted.cpu import CPU
from rkllm_twisted.daemon.help_text import help_text
from rkllm_twisted.daemon.option_table import SETTINGS
from rkllm_twisted.daemon.settings import Setting, collected, collecting, read_file


class Options(usage.Options):
    """The options, parsed: values by name."""

    synopsis = "[options]"
    longdesc = (
        "Serves Rockchip's RKLLM runtime (librkllmrt.so) as JSON-RPC 2.0 on a UNIX socket. On a"
        " machine without an NPU, --library cpu runs the embedded runtime on the processor."
    )
    optParameters: ClassVar[list[list[Any]]] = [
        setting.parameter(name)
        for name, setting in SETTINGS.items()
        if not setting.is_flag and not setting.separator
    ]
    optFlags: ClassVar[list[list[Any]]] = [
        setting.parameter(name) for name, setting in SETTINGS.items() if setting.is_flag
    ]

    def __init__(self) -> None:
        super().__init__()
        #: The source of each value that is not a default.
        self.sources: dict[str, str] = {}
        self._file: Mapping[str, Sequence[str]] = {}

    def postOptions(self) -> None:
        """Make all values, from the command line, the environment, the file and the defaults.

        :raises usage.UsageError: values are wrong; a line for each.
        """
        self._fill_in("config")
        problems: list[str] = []
        if self["config"] is not None:
            self._file = read_file(self["config"], SETTINGS, problems)
        for name in SETTINGS:
            if name != "config":
                with collected(problems):
                    self._fill_in(name)
        if not problems and self["max-unparsed"] < self["max-message"]:
            problems.append(
                "--max-unparsed must not be less than --max-message: no message of that size could"
                " be received."
            )
        if not problems and self["model-param"] and self["model"] is None:
            problems.append("--model-param needs --model.")
        if self["library"] in (None, CPU):
            problems += [
                f"--{name} needs --library llama."
                for name in ("llama-devices", "llama-gpu-layers")
                if self.sources.get(name) == f"--{name}"
            ]
        if problems:
            raise usage.UsageError("\n".join(problems))

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"rkllm_twisted {__version__}")
        sys.exit()

    def getUsage(self, width: int | None = None) -> str:
        """Make the text of ``--help``, without the line of :attr:`synopsis`."""
        columns = width or shutil.get_terminal_size().columns
        return help_text(SETTINGS, self.longdesc, columns)

    def _fill_in(self, name: str) -> None:
        setting = SETTINGS[name]
        for source, texts in self._given(name, setting):
            if texts is not None:
                self.sources[name] = source
                self[name] = setting.value(source, texts)
                return
        self[name] = setting.value("", [] if setting.default is None else [setting.default])

    def _given(self, name: str, setting: Setting) -> Iterator[tuple[str, Sequence[str] | None]]:
        """Yield the sources of a setting, by precedence, each with its texts if it has any."""
        yield f"--{name}", setting.from_command_line(self.get(name))
        variable = setting.variable_of(name)
        yield variable, setting.from_environment(os.environ.get(variable))
        yield f"{name} in {self.get('config')}", self._file.get(name)


for _name, _setting in SETTINGS.items():
    if _setting.separator:
        setattr(Options, f"opt_{_name.replace('-', '_')}", collecting(_name, _setting))
