"""``rkllm completion``, and the names of methods and models that a shell completes."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.command_group import PROGRAM, debug_option
from rkllm_twisted.errors import RPCError, Unreachable

#: The longest wait after a user has pressed Tab.
COMPLETION_TIMEOUT_S = 1.0


@click.command()
@debug_option
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print a script with which SHELL completes rkllm's commands and options.

    For this session: eval "$(rkllm completion bash)". For good: write it to
    ~/.local/share/bash-completion/completions/rkllm, for zsh to a file _rkllm in a directory of
    $fpath, for fish to ~/.config/fish/completions/rkllm.fish. The Debian package has all three.
    """
    completion = get_completion_class(shell)
    assert completion is not None, "click knows these shells"
    root = context.find_root().command
    click.echo(completion(root, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE").source())


def complete_method(
    context: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the methods that begin so, with their summaries; none if no daemon answers."""
    try:
        with Client(context.params.get("socket_path"), timeout=COMPLETION_TIMEOUT_S) as client:
            methods = client.call("rpc.discover")["methods"]
    except (Unreachable, RPCError):
        return []
    return [
        CompletionItem(method["name"], help=method.get("summary"))
        for method in methods
        if method["name"].startswith(incomplete)
    ]


def complete_model(
    context: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the models whose names or aliases begin so; none if no daemon answers."""
    try:
        with Client(context.params.get("socket_path"), timeout=COMPLETION_TIMEOUT_S) as client:
            models = client.call("models.list")["models"]
    except (Unreachable, RPCError):
        return []
    return [
        CompletionItem(name, help=model["kind"])
        for model in models
        for name in (model["name"], *model["aliases"])
        if name.startswith(incomplete)
    ]


def complete_model_or_file(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the models whose names begin so, and let the shell add the files."""
    files = CompletionItem(incomplete, type="file")
    return [files, *complete_model(context, parameter, incomplete)]
