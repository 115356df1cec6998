"""``rkllm doctor``: what prevents models from running on this machine, and how to fix it."""

from __future__ import annotations

import os
import platform
import pwd
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
from rkllm_twisted.board.http_checks import run_http_checks
from rkllm_twisted.board.machine import Account, Daemon, look_at_machine
from rkllm_twisted.board.sysfs import RootedFiles
from rkllm_twisted.board.vision_checks import VisionFacts, run_vision_checks
from rkllm_twisted.chat.family_table import FAMILIES
from rkllm_twisted.cli.command_group import debug_option
from rkllm_twisted.cli.connected import ANY_PATH, dump, json_option, socket_option
from rkllm_twisted.cli.doctor_http import look_at_http
from rkllm_twisted.cli.exit_codes import Exit
from rkllm_twisted.cli.terminal import console
from rkllm_twisted.cli.vision_board import check_vision
from rkllm_twisted.client_core.address import start_command
from rkllm_twisted.client_core.results import known
from rkllm_twisted.contract.check import check_contract
from rkllm_twisted.errors import LibraryError, NoDaemon, NoPermission, RPCError, Unreachable
from rkllm_twisted.rknn.library import open_library
from rkllm_twisted.runtime.probe import probe
from rkllm_twisted.values import RuntimeVersion
from rkllm_twisted.vision_interfaces import EncoderLoad, ImageTags

#: The longest wait for the daemon's version and status.
DOCTOR_TIMEOUT_S = 5.0
#: Level -> its mark, and the mark's colour.
MARKS = {OK: ("ok", "green"), WARNING: ("!", "yellow"), WRONG: ("WRONG", "red"), SKIPPED: ("-", "")}


@click.command()
@debug_option
@socket_option
@click.option(
    "--library", type=ANY_PATH, help="The path of librkllmrt.so, or cpu, as for twistd rkllm."
)
@click.option("--abi", help="The runtime's release, as for twistd rkllm.")
@click.option("--model", type=ANY_PATH, help="Check that this model fits into the memory.")
@click.option(
    "--contract",
    is_flag=True,
    help="Check what the daemon assumes about the library instead; needs --model, writes a report.",
)
@click.option("--vision", type=ANY_PATH, help="With --contract: a vision encoder to check instead.")
@click.option("--vision-library", type=ANY_PATH, help="As for twistd rkllm.")
@click.option("--picture", "pictures", type=ANY_PATH, multiple=True, help="With --vision: two.")
@click.option(
    "--family",
    type=click.Choice([row.name for row in FAMILIES if row.image is not None]),
    help="With --vision: the model's family, if neither file's name says it.",
)
@click.option(
    "--tags",
    nargs=3,
    metavar="START END CONTENT",
    help="With --vision: the texts around a picture, if the family's are not known.",
)
@click.option("--vectors", type=ANY_PATH, help="With --vision: the vendor's img_vec.bin.")
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    default="board-report",
    show_default=True,
    help="The file that --contract writes, without .md and .json.",
)
@click.option(
    "--http",
    "http_address",
    metavar="URL",
    help="The address of the HTTP service, if not that of its unit or http://127.0.0.1:8080.",
)
@click.option("--root", type=click.Path(path_type=Path), default=Path("/"), hidden=True)
@json_option
def command(
    socket_path: str,
    library: str | None,
    abi: str | None,
    model: str | None,
    contract: bool,
    vision: str | None,
    vision_library: str | None,
    pictures: tuple[str, ...],
    family: str | None,
    tags: tuple[str, str, str] | None,
    vectors: str | None,
    report: Path,
    http_address: str | None,
    root: Path,
    as_json: bool,
) -> None:
    """Check whether models can run on this machine, and say how to fix what is wrong.

    The exit code is 1 if something is wrong. If a daemon answers, this checks the daemon's user and
    library, otherwise your own.
    """
    if (family or tags) and not (contract and vision):
        raise click.UsageError("--family and --tags need --contract and --vision.")
    if contract:
        if model is None:
            raise click.UsageError("--contract needs --model, a model to test the library with.")
        if vision is not None:
            if library is None or len(pictures) not in (0, 2):
                raise click.UsageError("--vision needs --library, and two pictures or none.")
            asked = EncoderLoad(vision, family=family, tags=ImageTags(*tags) if tags else None)
            holds = check_vision(
                *(library, model, asked, vision_library, pictures, vectors, report)
            )
            sys.exit(Exit.OK if holds else Exit.FAILED)
        sys.exit(Exit.OK if check_contract(library, abi, model, report) else Exit.FAILED)
    daemon = ask_daemon(socket_path)
    path = None if model is None else str(Path(model).absolute())
    runtime, processor = _runtime(daemon, library, abi), platform.machine()
    machine = look_at_machine(
        RootedFiles(root),
        own_account(),
        runtime,
        daemon,
        path,
        processor,
        library_is_named=bool(library or os.environ.get("RKLLM_LIBRARY")),
    )
    http_service = look_at_http(RootedFiles(root), http_address)
    findings = {
        **run_checks(machine),
        **run_vision_checks(look_at_vision(daemon)),
        **run_http_checks(http_service),
    }
    if as_json:
        print(dump(_json(findings)))
    else:
        _show(findings)
    if not _is_well(findings):
        sys.exit(Exit.FAILED)


def ask_daemon(path: str) -> Daemon:
    """Return the daemon's version and status, or why there is none and what to do."""
    try:
        with Client(path, timeout=DOCTOR_TIMEOUT_S) as client:
            version, status = client.call("server.version"), client.call("server.status")
    except NoPermission as error:
        return Daemon(path, str(error), "twistd -n rkllm --mode 0660 --group GROUP, one of yours")
    except NoDaemon as error:
        return Daemon(path, str(error), start_command(shlex.quote(path)))
    except (Unreachable, RPCError) as error:
        return Daemon(path, str(error), "see the daemon's log")
    return Daemon(path, version=version, status=status)


def look_at_vision(daemon: Daemon) -> VisionFacts:
    """Return what is known of vision encoders: of the daemon's, else of the library here."""
    vision = daemon.status.get("vision")
    status = vision if isinstance(vision, Mapping) else {}
    try:
        return VisionFacts(open_library().path, status=status)
    except LibraryError as error:
        return VisionFacts(None, str(error), status)


def _runtime(daemon: Daemon, library: str | None, abi: str | None) -> RuntimeVersion | str:
    """Return the library to check: the one that is given, the daemon's, or this machine's.

    As in the daemon, the embedded runtime is never chosen without being given.
    """
    loaded = daemon.version.get("runtime")
    if library is None and isinstance(loaded, Mapping):
        return known(RuntimeVersion, loaded)
    try:
        return probe(library, abi, os.environ).version
    except LibraryError as error:
        return str(error)


def own_account() -> Account:
    """The account that the command runs as."""
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:  # as in a container that runs with a number only
        name = str(uid)
    return Account(uid, frozenset({os.getegid(), *os.getgroups()}), name)


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
