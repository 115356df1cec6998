"""Looks at the HTTP service for ``rkllm doctor``: its units, its settings, and its answers."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any

import attrs

from rkllm_twisted.board.http_facts import (
    PROPERTIES,
    SERVICE_UNIT,
    SOCKET_UNIT,
    USER,
    HTTPAnswer,
    HTTPFacts,
    KeyFile,
    Unit,
    account_named,
    is_used,
    units_of,
    variables,
)
from rkllm_twisted.board.machine import Node, nodes_of, owner
from rkllm_twisted.board.sysfs import RootedFiles
from rkllm_twisted.errors import StartupError
from rkllm_twisted.http.keys import read_keys

DEFAULT_ADDRESS = "http://127.0.0.1:8080"
#: The longest wait for systemd, and for each answer: the service may have to start first.
TIMEOUT_S = 10.0
#: Bytes of an answer that are read.
MAX_BODY = 100_000
_ANOTHER = HTTPAnswer(None, "another program answers there")
#: An address that stands for all of a machine's -> one of them.
_ANY = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}


def look_at_http(
    files: RootedFiles, address: str | None = None, shown: str | None = None
) -> HTTPFacts:
    """Look at the HTTP service.

    :param address: where to ask; None: where its unit listens, else the default.
    :param shown: the output of ``systemctl show``; None: systemd is asked.
    """
    units = units_of(show_units() if shown is None else shown)
    listens = [one for unit in units.values() for one in unit.listens] if is_used(units) else []
    where = (address or next(map(_address, listens), DEFAULT_ADDRESS)).rstrip("/")
    health, ready = ask(f"{where}/health", "ok"), HTTPAnswer(None)
    if health.status == 200:
        ready = ask(f"{where}/ready", "ready")
        health = ready if ready == _ANOTHER else health
    has_metrics = importlib.util.find_spec("prometheus_client") is not None
    found = HTTPFacts(where, health, ready, has_metrics, units)
    return _with_settings(found, files, listens) if found.unit_is_used else found


def show_units() -> str:
    """Ask systemd for the units; return nothing where it does not run."""
    if shutil.which("systemctl") is None or not Path("/run/systemd/system").is_dir():
        return ""
    command = ["systemctl", "show", f"--property={','.join(PROPERTIES)}"]
    command += [SOCKET_UNIT, SERVICE_UNIT]
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def ask(address: str, status: str) -> HTTPAnswer:
    """Make a request, and return its answer or why there is none.

    :param status: the member ``status`` of a good answer of this service.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=TIMEOUT_S) as answer:
            return _success(answer.read(MAX_BODY), status)
    except urllib.error.HTTPError as error:
        with error:
            return _refusal(error.code, error.read(MAX_BODY))
    except urllib.error.URLError as error:
        return HTTPAnswer(None, getattr(error.reason, "strerror", None) or str(error.reason))
    except (OSError, HTTPException, ValueError) as error:
        return HTTPAnswer(None, str(error) or type(error).__name__)


def _success(body: bytes, status: str) -> HTTPAnswer:
    try:
        said: Any = json.loads(body)["status"]
    except (ValueError, LookupError, TypeError):
        return _ANOTHER
    return HTTPAnswer(200) if said == status else _ANOTHER


def _refusal(status: int, body: bytes) -> HTTPAnswer:
    try:
        error: Any = json.loads(body)["error"]
        return HTTPAnswer(status, str(error["message"]), error.get("code"))
    except (ValueError, LookupError, TypeError, AttributeError):
        return _ANOTHER


def _address(listens: str) -> str:
    """Return the URL for a socket's address, as systemd writes it."""
    host, _, port = listens.rpartition(":")
    return f"http://{_ANY.get(host, host)}:{port}"


def _with_settings(found: HTTPFacts, files: RootedFiles, listens: Sequence[str]) -> HTTPFacts:
    """Add what the settings of the unit say."""
    # Only here: it imports Twisted, which the command needs for nothing else.
    from rkllm_twisted.http_service.unit_settings import (  # noqa: PLC0415
        open_addresses,
        settings_of_unit,
    )

    unit = found.units.get(SERVICE_UNIT, Unit("", ""))
    try:
        options = settings_of_unit(_below(files, variables(files, unit)), listens)
    except StartupError as error:
        return attrs.evolve(found, settings_problem=str(error))
    account = account_named(files, USER)
    if unit.pid and account is not None:
        account = owner(files, unit.pid, account)
    paths = [one.removeprefix("unix:") for one in options.addresses]
    return attrs.evolve(
        found,
        open_to=open_addresses(options, listens),
        keys=_keys(files, options["api-key-file"]),
        account=account,
        sockets={path: _node(files, path) for path in paths if path.startswith("/")},
    )


def _below(files: RootedFiles, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Name the file of settings as this process sees it."""
    name = environ.get("RKLLM_HTTP_CONFIG")
    if name is None:
        return environ
    return {**environ, "RKLLM_HTTP_CONFIG": str(files.root / name.lstrip("/"))}


def _keys(files: RootedFiles, path: str | None) -> KeyFile | None:
    if path is None:
        return None
    node, here = _node(files, path), str(files.root / path.lstrip("/"))
    problem = None
    if node is not None and not files.is_forbidden(path.lstrip("/")):
        try:
            read_keys(here)
        except StartupError as error:
            problem = str(error)
    return KeyFile(path, node, problem)


def _node(files: RootedFiles, path: str) -> Node | None:
    return next(iter(nodes_of(files, [path.lstrip("/")])), None)
