"""``rkllm doctor``: what keeps models from running here, and what mends it."""

from __future__ import annotations

import getpass
import os
import platform
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs
import click
from rich.text import Text

from rkllm_twisted.blocking import Client
from rkllm_twisted.board.checks import run_checks
from rkllm_twisted.board.finding import OK, SKIPPED, WARNING, WRONG, Finding
from rkllm_twisted.board.machine import Account, Daemon, look_at_machine
from rkllm_twisted.board.sysfs import RootedFiles
from rkllm_twisted.cli.command_group import debug_option
from rkllm_twisted.cli.connected import dump, json_option, socket_option
from rkllm_twisted.cli.exit_codes import Exit
from rkllm_twisted.cli.terminal import console
from rkllm_twisted.client_core.results import known
from rkllm_twisted.contract.check import check_contract
from rkllm_twisted.errors import LibraryError, NoDaemon, NoPermission, RPCError, Unreachable
from rkllm_twisted.runtime.probe import probe
from rkllm_twisted.values import RuntimeVersion

#: Seconds that the daemon may take to say how it is.
PATIENCE = 5.0
#: Level -> its mark, and the mark's colour.
MARKS = {OK: ("ok", "green"), WARNING: ("!", "yellow"), WRONG: ("WRONG", "red"), SKIPPED: ("-", "")}


@click.command()
@debug_option
@socket_option
@click.option(
    "--library", type=click.Path(), help="librkllmrt.so's path, or cpu, as for twistd rkllm."
)
@click.option("--abi", help="The runtime's release, as for twistd rkllm.")
@click.option("--model", type=click.Path(), help="Would this model fit?")
@click.option(
    "--contract",
    is_flag=True,
    help="Check instead what the daemon assumes of the library, with --model, and write a report.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    default="board-report",
    show_default=True,
    help="Where --contract writes; .md and .json are added.",
)
@click.option("--root", type=click.Path(path_type=Path), default=Path("/"), hidden=True)
@json_option
def command(
    socket_path: str,
    library: str | None,
    abi: str | None,
    model: str | None,
    contract: bool,
    report: Path,
    root: Path,
    as_json: bool,
) -> None:
    """Look for what keeps models from running here, and say what mends it.

    The exit code is 1 if something is wrong. Where a daemon answers, its account and its library
    are looked at; else those of who asks.
    """
    if contract:
        if model is None:
            raise click.UsageError("--contract needs --model: the model to try the library with.")
        sys.exit(Exit.OK if check_contract(library, abi, model, report) else Exit.FAILED)
    daemon = ask_daemon(socket_path)
    path = None if model is None else str(Path(model).absolute())
    runtime, processor = _runtime(daemon, library, abi), platform.machine()
    machine = look_at_machine(RootedFiles(root), _account(), runtime, daemon, path, processor)
    findings = run_checks(machine)
    if as_json:
        print(dump(_json(findings)))
    else:
        _show(findings)
    if not _is_well(findings):
        sys.exit(Exit.FAILED)


def ask_daemon(path: str) -> Daemon:
    """How a daemon is, or why it does not say and what to do about that."""
    try:
        with Client(path, timeout=PATIENCE) as client:
            version, status = client.call("server.version"), client.call("server.status")
    except NoPermission as error:
        return Daemon(path, str(error), "twistd -n rkllm --mode 0660 --group GROUP, one of yours")
    except NoDaemon as error:
        return Daemon(path, str(error), f"twistd -n rkllm --socket {shlex.quote(path)}")
    except (Unreachable, RPCError) as error:
        return Daemon(path, str(error), "see the daemon's log")
    return Daemon(path, version=version, status=status)


def _runtime(daemon: Daemon, library: str | None, abi: str | None) -> RuntimeVersion | str:
    """The library that is asked about: the one that is named, the daemon's, the machine's."""
    told = daemon.version.get("runtime")
    if library is None and isinstance(told, Mapping):
        return known(RuntimeVersion, told)
    try:
        return probe(library, abi, os.environ).version
    except LibraryError as error:
        return str(error)


def _account() -> Account:
    return Account(os.geteuid(), frozenset({os.getegid(), *os.getgroups()}), getpass.getuser())


def _is_well(findings: Mapping[str, Finding]) -> bool:
    return all(finding.level != WRONG for finding in findings.values())


def _json(findings: Mapping[str, Finding]) -> Mapping[str, object]:
    return {
        "ok": _is_well(findings),
        "checks": {name: attrs.asdict(finding) for name, finding in findings.items()},
    }


def _show(findings: Mapping[str, Finding]) -> None:
    screen = console()
    for name, finding in findings.items():
        mark, colour = MARKS[finding.level]
        screen.print(Text(f"{mark:<6}", style=colour), Text(f"{name:<12} {finding.message}"))
        if finding.remedy is not None:
            screen.print(Text(f"{'':<20}→ {finding.remedy}", style="bold"), soft_wrap=True)
