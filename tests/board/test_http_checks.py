"""Each check of the HTTP service, on a board that is as it should be and on others."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from rkllm_twisted.board.finding import OK, SKIPPED, WARNING, WRONG
from rkllm_twisted.board.http_checks import HTTP_CHECKS, run_http_checks
from rkllm_twisted.board.http_facts import (
    HTTPAnswer,
    HTTPFacts,
    KeyFile,
    Unit,
    account_named,
    units_of,
    variables,
)
from rkllm_twisted.board.machine import Account, Node
from rkllm_twisted.board.sysfs import RootedFiles

SERVICE, SOCKET = "rkllm-http.service", "rkllm-http.socket"
PATH, KEYS = "/run/rkllm/rkllm.sock", "/etc/rkllm/http-keys"
OWN = Account(990, frozenset({990, 980}), "rkllm-http")
RUNNING = {SERVICE: Unit("loaded", "active", 7), SOCKET: Unit("loaded", "active")}
AT_REST = {SERVICE: Unit("loaded", "inactive"), SOCKET: Unit("loaded", "inactive")}
FAILED = {**RUNNING, SERVICE: Unit("loaded", "failed")}
UNANSWERED = HTTPAnswer(None, "Connection refused")


def key_file(mode: int = 0o640, gid: int = 990, problem: str | None = None) -> KeyFile:
    return KeyFile(KEYS, Node(KEYS, mode, 0, gid, "rkllm-http"), problem)


def socket(mode: int = 0o660, gid: int = 980) -> dict[str, Node | None]:
    return {PATH: Node(PATH, mode, 0, gid, "rkllm")}


GOOD = HTTPFacts(
    "http://127.0.0.1:8080",
    HTTPAnswer(200),
    HTTPAnswer(200),
    True,
    RUNNING,
    None,
    ("0.0.0.0:8080",),
    key_file(),
    OWN,
    socket(),
)


def test_a_good_service_is_good() -> None:
    found = run_http_checks(GOOD)
    assert list(found) == list(HTTP_CHECKS)
    assert {finding.level for finding in found.values()} == {OK}
    assert not any(finding.remedy for finding in found.values())


@pytest.mark.parametrize(
    ("check", "changes", "level", "said", "remedy"),
    [
        ("http", {"health": UNANSWERED}, WRONG, "Connection refused", "restart rkllm-http.socket"),
        ("http", {"health": UNANSWERED, "units": FAILED}, WRONG, "has failed", "journalctl"),
        ("http", {"health": UNANSWERED, "units": AT_REST}, SKIPPED, "No HTTP", "enable --now"),
        ("http", {"health": UNANSWERED, "units": {}}, SKIPPED, "No HTTP", "twistd -n rkllm-http"),
        ("http", {"settings_problem": "--max-body must be."}, WRONG, "--max-body", "edit"),
        (
            "http-ready",
            {"ready": HTTPAnswer(503, "No model is loaded.", "no_model")},
            WARNING,
            "No model",
            "rkllm init",
        ),
        (
            "http-ready",
            {"ready": HTTPAnswer(503, "No daemon listens.", "daemon_unavailable")},
            WRONG,
            "No daemon",
            "rkllm status",
        ),
        ("http-user", {"sockets": {PATH: None}}, WARNING, PATH, "start rkllm.socket"),
        (
            "http-user",
            {"sockets": {"/run/rkllm/cpu.sock": None}},
            WARNING,
            "/run/rkllm/cpu.sock",
            "start rkllm@cpu.socket",
        ),
        ("http-user", {"sockets": {"/run/x.sock": None}}, WARNING, "x.sock", "--socket /run/x"),
        ("http-user", {"sockets": socket(0o600)}, WRONG, "may not use", "usermod -aG rkllm"),
        ("http-user", {"sockets": socket(gid=5)}, WRONG, "mode 0660", "restart rkllm-http.service"),
        ("http-keys", {"keys": None}, SKIPPED, "No key", None),
        ("http-keys", {"keys": KeyFile(KEYS, None)}, WRONG, "no file", "docs/http-board.md"),
        ("http-keys", {"keys": key_file(0o644)}, WRONG, "may read the keys", "chmod 640"),
        ("http-keys", {"keys": key_file(0o642)}, WRONG, "may change the keys", "chmod 640"),
        ("http-keys", {"keys": key_file(0o600)}, WRONG, "rkllm-http may not read", "chown"),
        ("http-keys", {"keys": key_file(gid=5)}, WRONG, "rkllm-http may not read", "chown"),
        ("http-keys", {"keys": key_file(problem="It has no key.")}, WRONG, "no key", "sudoedit"),
        ("http-open", {"keys": None}, WARNING, "Everybody who can reach 0.0.0.0", "api-key-file"),
        ("http-open", {"keys": None, "open_to": ()}, OK, "Only this machine", None),
        ("http-metrics", {"has_metrics": False}, WARNING, "missing", "rkllm-twisted[http]"),
    ],
)
def test_what_is_wrong_is_found(
    check: str, changes: dict[str, Any], level: str, said: str, remedy: str | None
) -> None:
    found = run_http_checks(attrs.evolve(GOOD, **changes))[check]
    assert found.level == level
    assert said in found.message
    assert remedy is None if found.remedy is None else remedy and remedy in found.remedy


@pytest.mark.parametrize("units", [{}, AT_REST])
def test_one_cause_makes_one_finding(units: dict[str, Unit]) -> None:
    """Nothing is said of a service that is not used, but that it is not."""
    absent = attrs.evolve(GOOD, health=UNANSWERED, ready=HTTPAnswer(None), units=units)
    assert list(run_http_checks(absent)) == ["http"]


def test_a_service_that_was_started_by_hand_is_asked_only() -> None:
    found = run_http_checks(attrs.evolve(GOOD, units={}))
    assert list(found) == ["http", "http-ready", "http-metrics"]


SHOWN = """\
Id=rkllm-http.socket
LoadState=loaded
ActiveState=active
Listen=0.0.0.0:8080 (Stream)
Listen=[::]:8080 (Stream)
Listen=/run/http.sock (Stream)

Id=rkllm-http.service
LoadState=loaded
ActiveState=active
MainPID=41
Environment=RKLLM_UDS_PATH=/run/rkllm/rkllm.sock RKLLM_HTTP_LOG_LEVEL=debug
"""


def test_systemds_answer_is_read() -> None:
    units = units_of(SHOWN)
    assert units[SOCKET].listens == ("0.0.0.0:8080", "[::]:8080")
    assert units[SERVICE].pid == 41
    assert units[SERVICE].environment["RKLLM_HTTP_LOG_LEVEL"] == "debug"
    assert units_of("") == {}


def test_a_file_of_variables_goes_before_the_unit(tmp_path: Any) -> None:
    (tmp_path / "etc/default").mkdir(parents=True)
    (tmp_path / "etc/default/rkllm-http").write_text('# more\nRKLLM_HTTP_LOG_LEVEL="info"\n')
    found = variables(RootedFiles(tmp_path), units_of(SHOWN)[SERVICE])
    assert found["RKLLM_HTTP_LOG_LEVEL"] == "info"
    assert found["RKLLM_UDS_PATH"] == PATH


def test_an_account_has_the_groups_that_name_it(tmp_path: Any) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("rkllm-http:x:990:990::/:/usr/sbin/nologin\n")
    (tmp_path / "etc/group").write_text("rkllm:x:980:me,rkllm-http\nrkllm-http:x:990:\nfoo:x:5:x\n")
    assert account_named(RootedFiles(tmp_path), "rkllm-http") == OWN
    assert account_named(RootedFiles(tmp_path), "other") is None
