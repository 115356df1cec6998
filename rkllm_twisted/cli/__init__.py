"""The ``rkllm`` command, a client for the terminal that does not import Twisted.

Each command has a module, which is imported when the command is used: a script does not pay for
tables and line editing, and ``rkllm --help`` needs only the table of summaries.
"""

from __future__ import annotations

import click

from rkllm_twisted.cli.command_group import Commands, debug_option, show_version

#: Command -> its summary. The module has the command's name, with ``_`` for ``-``; the object in it
#: is ``command``.
COMMANDS = {
    "chat": "Chat with the model in a terminal.",
    "run": "Run the model on PROMPT and print the answer as it comes.",
    "init": "Load MODEL, a path or a name that `rkllm models` lists; it replaces the loaded model.",
    "models": "List the models in the daemon's --model-dir, or show NAME.",
    "destroy": "Unload the model.",
    "abort": "Stop the current run, whichever client has started it.",
    "status": "Show the state of the daemon, queue, NPU and memory.",
    "fleet": "Boards that share the work: keys, the router, and what goes on.",
    "call": "Call METHOD with JSON parameters and print each result as a line of JSON.",
    "methods": "List the daemon's methods, or explain NAME.",
    "bench": "Measure the time to the first token and the tokens per second.",
    "doctor": "Check whether models can run on this machine, and say how to fix what is wrong.",
    "completion": "Print a script with which SHELL completes rkllm's commands and options.",
    "demo": "Start a daemon with a small model, run a prompt, show the figures, and stop it.",
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
    help="Print the version.",
)
@debug_option
@click.pass_context
def main(context: click.Context) -> None:
    """Talk to the daemon that `twistd rkllm` runs."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
