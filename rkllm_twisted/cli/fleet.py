"""``rkllm fleet``: boards that share the work."""

from __future__ import annotations

import click

from rkllm_twisted.cli import fleet_key, fleet_router_config, fleet_status
from rkllm_twisted.cli.command_group import debug_option


@click.group()
@debug_option
def command() -> None:
    """Boards that share the work: keys, the router, and what goes on."""


command.add_command(fleet_key.command, "key")
command.add_command(fleet_router_config.command, "router-config")
command.add_command(fleet_status.command, "status")
