"""Names of methods, as the daemon that runs knows them."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.openrpc_document import Document
from rkllm_twisted.errors import RPCError, Unreachable

#: Seconds that a person who presses Tab waits at most.
BRIEFLY = 1.0


def complete_method(
    context: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """For shells: the methods that begin so, with what they do; none where no daemon answers."""
    try:
        with Client(context.params.get("socket_path"), timeout=BRIEFLY) as client:
            document = Document(client.call("rpc.discover"))
    except (Unreachable, RPCError):
        return []
    return [
        CompletionItem(method["name"], help=method.get("summary"))
        for method in document.methods()
        if method["name"].startswith(incomplete)
    ]
