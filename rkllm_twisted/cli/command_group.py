"""The group of all commands: it imports a command by name, and turns errors into exit codes."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

PROGRAM = "rkllm"
_DEBUG = "rkllm.debug"


def debug_option(command: Any) -> Any:
    """Add ``--debug``, which may stand before or after a command's name."""
    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_set_debug,
        help="Print the traceback of an error.",
    )(command)


def _set_debug(context: click.Context, _: click.Parameter, value: bool) -> None:
    context.meta[_DEBUG] = value or context.meta.get(_DEBUG, False)


def show_version(context: click.Context, _: click.Parameter, value: bool) -> None:
    """Print the version and exit."""
    if value and not context.resilient_parsing:
        from rkllm_twisted import __version__  # noqa: PLC0415 - reading the metadata takes a while

        click.echo(f"{PROGRAM}, version {__version__}")
        context.exit()


class Commands(click.Group):
    """Commands whose modules are imported when they are used.

    :param summaries: command -> what it does.
    """

    def __init__(self, *args: Any, summaries: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._summaries = summaries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(self._summaries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command, and return the command."""
        if cmd_name not in self._summaries:
            from rkllm_twisted.abi.familiar_names import command_hint  # noqa: PLC0415 - an error

            hint = command_hint(cmd_name)
            if hint is not None and not ctx.resilient_parsing:
                raise click.UsageError(f"There is no command {cmd_name!r}; {hint}")
            return None
        command: click.Command = import_module(
            f"{__package__}.{cmd_name.replace('-', '_')}"
        ).command
        if command.help is None:  # python -OO has dropped its docstring
            command.help = self._summaries[cmd_name]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the summaries from the table, without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._summaries.items()))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line, and exit with a code of the table in ``exit_codes``."""
        if not standalone_mode:
            return super().main(args, prog_name or PROGRAM, complete_var, False, **extra)
        _replace_closed_streams()
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # the terminal's encoding may lack a character
        try:
            code = super().main(args, PROGRAM, complete_var, False, **extra)
        except click.ClickException as error:
            _leave(error.exit_code, _usage(error))
        except click.Abort:
            _leave(130)
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; turn an exception into an exit code and one sentence."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # raises BrokenPipeError if the reader has gone
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the one boundary of the command
            from rkllm_twisted.cli.exit_codes import exit_reason  # noqa: PLC0415 - not needed by --help

            if ctx.meta.get(_DEBUG):
                traceback.print_exc()
            end = exit_reason(error)
            _leave(end.code, end.text)
        return result


def _replace_closed_streams() -> None:
    """Open /dev/null in place of a stream that the parent has closed (``rkllm … >&-``).

    Otherwise Python has None there, and the daemon's socket would get the stream's descriptor.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def _usage(error: click.ClickException) -> str:
    """Return what is wrong with the command line, and which help to read."""
    words = error.format_message().replace("\n", " ").rstrip(".")
    context = getattr(error, "ctx", None)
    if context is None:
        return f"{words}."
    return f"{words}; see `{context.command_path} --help`."


def _leave(code: int, sentence: str | None = None) -> NoReturn:
    """Print the sentence, if there is one, and exit."""
    if sentence is not None:
        click.echo(f"{PROGRAM}: {sentence}", err=True)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes again when it exits, and would print a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
