"""The ``rkllm`` command: a client for the terminal, free of Twisted. One module per command.

A command's module is imported when the command is used; ``rkllm --help`` needs the table alone.
"""

from __future__ import annotations

import click

from rkllm_twisted.cli.command_group import Commands, debug_option, show_version

#: Command -> what it does. Its module has the command's name, with ``_`` for ``-``; there it is the
#: object ``command``.
COMMANDS = {
    "chat": "Talk with the model, in a terminal.",
    "run": "Run PROMPT and print the answer as it comes.",
    "init": "Load the model at PATH, which replaces the one that is loaded.",
    "destroy": "Unload the model.",
    "abort": "Stop the run under way, whoever asked for it.",
    "status": "Tell what daemon, queue, NPU and memory are doing.",
    "call": "Call METHOD with JSON parameters and print each result as a line of JSON.",
    "methods": "List the daemon's methods, or explain NAME.",
    "bench": "Measure how soon and how fast the model answers.",
    "doctor": "Look for what keeps models from running here, and say what mends it.",
    "completion": "Print what makes SHELL complete rkllm's commands and options.",
    "demo": "Start a daemon with a small model, ask it something, show the figures, stop it.",
    "demo-model": "Print the path of the bundled model.",
    "llama": "Install llama.cpp's library, or say which one is used.",
}


@click.group(
    cls=Commands,
    summaries=COMMANDS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=show_version,
    help="Tell the version.",
)
@debug_option
@click.pass_context
def main(context: click.Context) -> None:
    """Talk to the daemon that `twistd rkllm` runs."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
