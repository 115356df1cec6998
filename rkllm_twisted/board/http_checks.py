"""Checks of the HTTP service. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rkllm_twisted.board.finding import OK, SKIPPED, WARNING, WRONG, Finding
from rkllm_twisted.board.http_facts import SERVICE_UNIT, SOCKET_UNIT, USER, HTTPFacts
from rkllm_twisted.board.machine import Account, Node
from rkllm_twisted.wire.socket_path import unit_of

#: The command that starts the service again, when it could not start, too.
RESTART = f"sudo systemctl restart {SOCKET_UNIT}"


def answers(service: HTTPFacts) -> Finding:
    """Check that the HTTP service, if there is one, runs and answers."""
    if service.settings_problem is not None and service.unit_is_used:
        return Finding(
            WRONG, service.settings_problem, f"edit /etc/rkllm-http.toml, then {RESTART}"
        )
    if service.health.status == 200:
        return Finding(OK, f"The HTTP service at {service.address} answers.")
    unit, socket = service.units.get(SERVICE_UNIT), service.units.get(SOCKET_UNIT)
    if not service.unit_is_used:
        is_installed = socket is not None and socket.load == "loaded"
        return Finding(
            SKIPPED,
            f"No HTTP service runs at {service.address}: {service.health.text}.",
            f"sudo systemctl enable --now {SOCKET_UNIT}"
            if is_installed
            else "twistd -n rkllm-http",
        )
    if unit is not None and unit.active == "failed":
        return Finding(WRONG, f"{SERVICE_UNIT} has failed.", f"journalctl -u {SERVICE_UNIT} -n 20")
    return Finding(
        WRONG,
        f"The HTTP service does not answer at {service.address}: {service.health.text}.",
        RESTART,
    )


def readiness(service: HTTPFacts) -> Finding | None:
    """Check that a model can answer over HTTP."""
    if service.health.status != 200:
        return None
    if service.ready.status == 200:
        return Finding(OK, "A model can answer over HTTP.")
    if service.ready.code == "no_model":
        return Finding(WARNING, service.ready.text, "rkllm init MODEL, or model-dir for the daemon")
    return Finding(WRONG, service.ready.text, "rkllm status")


def user(service: HTTPFacts) -> Finding | None:
    """Check that the service's user may connect to the daemons' sockets."""
    if service.account is None or not service.unit_is_used:
        return None
    for path, node in service.sockets.items():
        if node is None:
            unit = unit_of(path)
            start = f"sudo systemctl start {unit}" if unit else f"twistd -n rkllm --socket {path}"
            return Finding(WARNING, f"There is no daemon's socket {path}.", start)
        if not node.lets_in(service.account):
            group = node.group or str(node.gid)
            return Finding(
                WRONG,
                f"The user {service.account.name} may not use {path} (group {group}, mode"
                f" {node.mode & 0o777:04o}).",
                f"sudo usermod -aG {group} {service.account.name}; sudo systemctl restart"
                f" {SERVICE_UNIT}",
            )
    return Finding(OK, f"The user {service.account.name} may use {' and '.join(service.sockets)}.")


def keys(service: HTTPFacts) -> Finding | None:
    """Check that the file of API keys can be read by the service, and not by every user."""
    if not service.unit_is_used or service.settings_problem is not None:
        return None
    if service.keys is None:
        return Finding(SKIPPED, "No key is needed to use the HTTP service.")
    path, node = service.keys.path, service.keys.node
    if node is None:
        return Finding(
            WRONG, f"There is no file of keys {path}.", f"see docs/http-board.md, then {RESTART}"
        )
    mend = f"sudo chown root:{USER} {path}; sudo chmod 640 {path}"
    exposure = key_file_problem(node)
    if exposure is not None:
        return Finding(WRONG, exposure, mend)
    if service.account is not None and not may_read(node, service.account):
        return Finding(WRONG, f"The user {service.account.name} may not read {path}.", mend)
    if service.keys.problem is not None:
        return Finding(WRONG, service.keys.problem, f"sudoedit {path}")
    return Finding(OK, f"{path} has the mode {node.mode & 0o777:04o}.")


def key_file_problem(node: Node) -> str | None:
    """Say that a file of keys is open to every user; return None if it is not."""
    if not node.mode & 0o006:
        return None
    verb = "change" if node.mode & 0o002 else "read"
    mode = f"{node.mode & 0o777:04o}"
    return f"Every user of this machine may {verb} the keys in {node.path} (mode {mode})."


def may_read(node: Node, account: Account) -> bool:
    """True if an account may read a file."""
    if account.uid in (0, node.uid):
        return account.uid == 0 or bool(node.mode & 0o400)
    return bool(node.mode & (0o040 if node.gid in account.gids else 0o004))


def exposure(service: HTTPFacts) -> Finding | None:
    """Check that other machines need a key."""
    if not service.unit_is_used or service.settings_problem is not None:
        return None
    if not service.open_to:
        return Finding(OK, "Only this machine can reach the HTTP service.")
    where = ", ".join(service.open_to)
    if service.keys is not None:
        return Finding(OK, f"Other machines can reach {where}, and need a key.")
    return Finding(
        WARNING,
        f"Everybody who can reach {where} may use the models: no-key is set.",
        "api-key-file instead of no-key, see docs/http-board.md",
    )


def metrics(service: HTTPFacts) -> Finding | None:
    """Check that ``/metrics`` has what it needs."""
    if service.health.status != 200:
        return None
    if service.has_metrics:
        return Finding(OK, f"{service.address}/metrics has numbers for Prometheus.")
    return Finding(
        WARNING,
        "/metrics is not served: prometheus_client is missing.",
        "pip install 'rkllm-twisted[http]'",
    )


#: The checks, in the order in which a user mends their faults.
HTTP_CHECKS: Mapping[str, Callable[[HTTPFacts], Finding | None]] = {
    "http": answers,
    "http-ready": readiness,
    "http-user": user,
    "http-keys": keys,
    "http-open": exposure,
    "http-metrics": metrics,
}


def run_http_checks(service: HTTPFacts) -> Mapping[str, Finding]:
    """Make all checks that apply, and return the findings by the checks' names."""
    found = {name: check(service) for name, check in HTTP_CHECKS.items()}
    return {name: finding for name, finding in found.items() if finding is not None}
