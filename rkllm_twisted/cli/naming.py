"""Completes names of methods; the daemon that runs has them."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from rkllm_twisted.blocking import Client
from rkllm_twisted.errors import RPCError, Unreachable

#: How long a user waits at most after pressing Tab.
COMPLETION_TIMEOUT_S = 1.0


def complete_method(
    context: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """List the methods that begin so, with their summaries; none if no daemon answers."""
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
