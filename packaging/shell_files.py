"""Writes what a shell and man know of the commands: ``shell_files.py DIRECTORY``.

The pages are made of the commands' own help and of the services' tables of options, the completion
files by click. Needs rkllm_twisted and what it imports.
"""

from __future__ import annotations

import gzip
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from rkllm_twisted import __version__
from rkllm_twisted.cli import main as rkllm
from rkllm_twisted.cli.command_group import PROGRAM
from rkllm_twisted.daemon.options import Options
from rkllm_twisted.daemon.settings import Setting
from rkllm_twisted.daemon.table_options import TableOptions
from rkllm_twisted.fleet_service.board_options import BoardOptions
from rkllm_twisted.fleet_service.front_options import FrontOptions
from rkllm_twisted.http_service.assembly import Options as HTTPOptions

#: A shell -> where Debian's packages put its completion files.
COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/rkllm",
    "zsh": "usr/share/zsh/vendor-completions/_rkllm",
    "fish": "usr/share/fish/vendor_completions.d/rkllm.fish",
}
MAN = "usr/share/man/man1"
#: A service -> what it does, and its options.
SERVICES: Mapping[str, tuple[str, type[TableOptions]]] = {
    "rkllm": ("serve Rockchip's RKLLM runtime on a UNIX socket", Options),
    "rkllm-http": ("serve rkllm daemons over HTTP", HTTPOptions),
    "rkllm-board": ("give the runs of a fleet to an rkllm daemon", BoardOptions),
    "rkllm-fleet": ("serve the boards of a fleet on a UNIX socket", FrontOptions),
}
SEE = "/usr/share/doc/rkllm-twisted/docs has the documentation."


def roff(text: str) -> str:
    """Escape what has a meaning in roff, and write it in ASCII, which every roff reads."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    text = "".join(c if c.isascii() else f"\\[u{ord(c):04X}]" for c in text)
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def head(name: str, about: str) -> Iterator[str]:
    """The beginning of a page."""
    yield f'.TH {name.upper()} 1 "" "rkllm_twisted {__version__}"'
    yield ".SH NAME"
    yield f"{roff(name)} \\- {roff(about)}"


def entry(words: str, text: str) -> Iterator[str]:
    """One option or command, and what it does."""
    yield ".TP"
    yield f".B {roff(words)}"
    yield roff(text) or "\\&"


def command_page() -> str:
    """rkllm(1): the command, and each of its commands."""
    context = click.Context(rkllm, info_name=PROGRAM)
    lines = [*head(PROGRAM, "talk to the daemon that twistd rkllm runs"), ".SH SYNOPSIS"]
    lines += [roff(f"{PROGRAM} [--debug] COMMAND [OPTION]... [ARGUMENT]..."), ".SH COMMANDS"]
    for name in rkllm.list_commands(context):
        command = rkllm.get_command(context, name)
        assert command is not None
        lines += [f".SS {roff(name)}", *_command(command, click.Context(command, context, name))]
    services = ", ".join(f"twistd-{service}(1)" for service in SERVICES)
    return "\n".join([*lines, ".SH SEE ALSO", roff(f"{services}. {SEE}"), ""])


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f".B {roff(' '.join([PROGRAM, *filter(None, [context.info_name])]))}"
    yield roff(" ".join(command.collect_usage_pieces(context)))
    for paragraph in (command.help or "").replace("\f", "").split("\n\n"):
        yield ".PP"
        yield roff(" ".join(paragraph.split()))
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            yield from entry(*record)


def service_page(service: str, about: str, options: type[TableOptions]) -> str:
    """A page of a service that twistd runs, such as twistd-rkllm(1), and of its options."""
    lines = [*head(f"twistd-{service}", about)]
    lines += [".SH SYNOPSIS", roff(f"twistd -n {service} [OPTION]..."), ".SH DESCRIPTION"]
    lines += [roff(options.longdesc), ".PP", roff(_sources()), ".SH OPTIONS"]
    for name, setting in options.settings.items():
        lines += entry(*_option(name, setting))
    return "\n".join([*lines, ".SH SEE ALSO", roff(f"rkllm(1), twistd(1). {SEE}"), ""])


def _sources() -> str:
    return (
        "The value of an option is that of the command line, else that of the variable, else that"
        " of the key in the TOML file of --config, which is the option's name."
    )


def _option(name: str, setting: Setting) -> tuple[str, str]:
    _, short, *_, meaning = setting.parameter(name)
    letter = f"-{short}, " if short else ""
    value = "" if setting.is_flag else "=VALUE"
    variable = setting.variable_of(name)
    return f"{letter}--{name}{value}", f"{meaning} Variable: {variable}."


def main(directory: Path) -> None:
    """Write all files below a directory."""
    pages = {PROGRAM: command_page()}
    for service, (about, options) in SERVICES.items():
        pages[f"twistd-{service}"] = service_page(service, about, options)
    files = {
        f"{MAN}/{name}.1.gz": gzip.compress(text.encode(), mtime=0) for name, text in pages.items()
    }
    for shell, path in COMPLETIONS.items():
        completion = get_completion_class(shell)
        assert completion is not None, "click knows these shells"
        source = completion(rkllm, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE").source()
        files[path] = source.encode()
    for name, data in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
