"""``rkllm completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from rkllm_twisted.cli.command_group import PROGRAM, debug_option


@click.command()
@debug_option
@click.argument("shell", type=click.Choice(["bash", "zsh"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print what makes SHELL complete rkllm's commands and options.

    For this session: eval "$(rkllm completion bash)". For good: write it to
    ~/.local/share/bash-completion/completions/rkllm, or for zsh to a file _rkllm in a directory of
    $fpath.
    """
    completion = get_completion_class(shell)
    assert completion is not None, "click knows these shells"
    root = context.find_root().command
    click.echo(completion(root, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE").source())
