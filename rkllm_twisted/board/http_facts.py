"""Reads what a machine's files and systemd say of the HTTP service, into :class:`HTTPFacts`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

import attrs

from rkllm_twisted.board.machine import Account, Node
from rkllm_twisted.board.sysfs import RootedFiles

SOCKET_UNIT, SERVICE_UNIT = "rkllm-http.socket", "rkllm-http.service"
#: The user of :data:`SERVICE_UNIT`.
USER = "rkllm-http"
#: The properties that :func:`units_of` reads of ``systemctl show``.
PROPERTIES = ("Id", "LoadState", "ActiveState", "MainPID", "Listen", "Environment")


@attrs.frozen
class Unit:
    """A unit of systemd.

    :param load: ``loaded`` if there is such a unit.
    :param active: ``active``, ``inactive``, ``failed`` …
    :param pid: its process; 0 if none runs.
    :param listens: the TCP addresses of a socket unit, such as ``127.0.0.1:8080``.
    :param environment: the variables that the unit sets.
    """

    load: str
    active: str
    pid: int = 0
    listens: tuple[str, ...] = ()
    environment: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class HTTPAnswer:
    """The answer to a request.

    :param status: of HTTP; None if there was no answer.
    :param text: the message of an error, or why there was no answer.
    :param code: the error's code, such as ``daemon_unavailable``.
    """

    status: int | None
    text: str = ""
    code: str | None = None


@attrs.frozen
class KeyFile:
    """The file of API keys.

    :param node: None if it does not exist.
    :param problem: what is wrong with its text, if the caller may read it.
    """

    path: str
    node: Node | None
    problem: str | None = None


@attrs.frozen
class HTTPFacts:
    """Everything that :mod:`rkllm_twisted.board.http_checks` examines.

    :param address: where it was asked.
    :param health: the answer to ``GET /health``.
    :param ready: the answer to ``GET /ready``.
    :param has_metrics: True if the package of ``/metrics`` is installed.
    :param units: by name; empty without systemd.
    :param settings_problem: why the settings of the unit are wrong.
    :param open_to: the addresses that other machines can reach.
    :param keys: None if no key is needed.
    :param account: the account that the unit runs as; None if it is unknown.
    :param sockets: a daemon's socket -> its permissions; None if there is none.
    """

    address: str
    health: HTTPAnswer
    ready: HTTPAnswer
    has_metrics: bool = True
    units: Mapping[str, Unit] = attrs.field(factory=dict)
    settings_problem: str | None = None
    open_to: tuple[str, ...] = ()
    keys: KeyFile | None = None
    account: Account | None = None
    sockets: Mapping[str, Node | None] = attrs.field(factory=dict)

    @property
    def unit_is_used(self) -> bool:
        """True if systemd runs the service, or has tried to."""
        return is_used(self.units)


def is_used(units: Mapping[str, Unit]) -> bool:
    """True if one of the units is not at rest."""
    return any(unit.active not in ("inactive", "") for unit in units.values())


def units_of(shown: str) -> Mapping[str, Unit]:
    """Read the output of ``systemctl show`` with :data:`PROPERTIES`; return the units by name."""
    units = {}
    for block in shown.strip().split("\n\n"):
        values: dict[str, list[str]] = {}
        for name, _, value in (line.partition("=") for line in block.splitlines()):
            values.setdefault(name, []).append(value)
        if "Id" in values:
            units[values["Id"][0]] = _unit(values)
    return units


def _unit(values: Mapping[str, Sequence[str]]) -> Unit:
    first = {name: given[0] for name, given in values.items()}
    listens = (one.removesuffix(" (Stream)") for one in values.get("Listen", ()))
    pid = first.get("MainPID", "0")
    return Unit(
        first.get("LoadState", ""),
        first.get("ActiveState", ""),
        int(pid) if pid.isdecimal() else 0,
        tuple(one for one in listens if one and not one.startswith("/")),
        dict(_assignments(shlex.split(first.get("Environment", "")))),
    )


def variables(files: RootedFiles, unit: Unit) -> Mapping[str, str]:
    """Return the environment that a service's unit gives it, with that of ``/etc/default``."""
    lines = (files.text(f"etc/default/{USER}") or "").splitlines()
    further = _assignments(line for line in lines if not line.startswith("#"))
    return {**unit.environment, **dict(further)}


def _assignments(words: Iterator[str] | Sequence[str]) -> Iterator[tuple[str, str]]:
    for name, equals, value in (word.partition("=") for word in words):
        if equals:
            yield name.strip(), value.strip().strip("\"'")


def account_named(files: RootedFiles, name: str) -> Account | None:
    """Return the account of a name, with all its groups; None if there is none."""
    rows = [line.split(":") for line in (files.text("etc/passwd") or "").splitlines()]
    ids = next(((row[2], row[3]) for row in rows if row[0] == name and len(row) > 3), None)
    if ids is None:
        return None
    groups = [line.split(":") for line in (files.text("etc/group") or "").splitlines()]
    further = {int(row[2]) for row in groups if len(row) > 3 and name in row[3].split(",")}
    return Account(int(ids[0]), frozenset({int(ids[1]), *further}), name)
