"""The chat page's files and routes, and ``/status``, over a fake daemon."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from http_rig import HTTPRig
from twisted.internet.defer import Deferred

from rkllm_twisted.board.sysfs import RootedFiles
from rkllm_twisted.http.daemon_row import away_row, daemon_row
from rkllm_twisted.http.page_files import FOLDER, HEADERS, POLICY
from rkllm_twisted.http.routes.status import ServiceStatus
from rkllm_twisted.testing import Answer

FILES = sorted(FOLDER.iterdir())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
STATUS = {
    "state": "running",
    "running": {"function": "rkllm_run", "client": 1},
    "waiting": [{"client": 4, "calls": 2}, {"client": 7, "calls": 1}],
    "queue_length": 3,
    "model": "mine",
    "pid": 99,
    "model_path": "/models/mine.rkllm",
}


@pytest.fixture
def rig() -> Iterator[HTTPRig]:
    rig = HTTPRig()
    yield rig
    rig.close()


# The routes


def test_a_browser_gets_the_page(rig: HTTPRig) -> None:
    response = rig.ask("GET", "/", headers=HTML)
    assert (response.status, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert response.body == (FOLDER / "index.html").read_bytes()
    assert response.headers["content-security-policy"] == POLICY


@pytest.mark.parametrize("headers", [{}, {"Accept": "*/*"}, {"Accept": "application/json"}])
def test_another_client_gets_ollamas_sign_of_life(rig: HTTPRig, headers: dict[str, str]) -> None:
    assert rig.ask("GET", "/", headers=headers).body == b"Ollama is running"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_file_is_served_with_the_policy(rig: HTTPRig, path: Path) -> None:
    response = rig.ask("GET", f"/page/{path.name}")
    assert (response.status, response.body) == (200, path.read_bytes())
    assert response.headers["content-security-policy"] == POLICY
    assert response.headers["x-content-type-options"] == "nosniff"
    for name, value in HEADERS.items():
        assert response.headers[name.lower()] == value


def test_the_policy_forbids_what_the_page_does_not_need() -> None:
    rules = dict(rule.split(" ", 1) for rule in POLICY.split("; "))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["form-action"] == "'none'"
    assert rules["base-uri"] == rules["trusted-types"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert rules["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in POLICY


@pytest.mark.parametrize(
    "name", ["nothing.js", "../page_files.py", "%2e%2e/page_files.py", "..%2fpage_files.py", ""]
)
def test_nothing_else_is_served(rig: HTTPRig, name: str) -> None:
    assert rig.ask("GET", f"/page/{name}").status == 404


def test_the_page_needs_no_key_and_the_status_does(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("a-key-that-is-long-enough\n")
    keys.chmod(0o600)
    rig = HTTPRig("--api-key-file", str(keys))
    assert rig.ask("GET", "/", headers=HTML).status == 200
    assert rig.ask("GET", "/page/app.js").status == 200
    assert rig.ask("GET", "/status").status == 401
    rig.close()


def test_the_status_has_the_daemons_and_the_board(rig: HTTPRig) -> None:
    body = rig.ask("GET", "/status").json
    (daemon,) = body["daemons"]
    assert daemon["state"] == "loaded"
    assert set(body["machine"]) == {
        "npu_load",
        "npu_hz",
        "celsius",
        "memory_available",
        "memory_total",
    }
    assert "pid" not in daemon
    assert "model_path" not in daemon


def test_a_daemon_that_is_away_has_a_row_with_the_reason() -> None:
    rig = HTTPRig(is_there=False)
    (daemon,) = rig.ask("GET", "/status").json["daemons"]
    assert daemon["state"] == "away"
    assert daemon["problem"].endswith(".")
    rig.close()


def test_the_status_reads_the_boards_sensors(tmp_path: Path) -> None:
    load = tmp_path / "proc/rknpu/load"
    load.parent.mkdir(parents=True)
    load.write_text("NPU load:  Core0: 12%, Core1:  0%, Core2:  3%,")
    sent: list[Any] = []

    async def rows(_: str) -> list[Any]:
        return []

    exchange: Any = SimpleNamespace(
        daemons=SimpleNamespace(rows=rows),
        client="me",
        set_header=lambda name, value: None,
        send_json=sent.append,
    )
    route = ServiceStatus(RootedFiles(tmp_path))
    Deferred.fromCoroutine(route.respond(exchange))
    assert sent[0]["machine"]["npu_load"] == (12, 0, 3)


def test_the_status_knows_the_clients_own_run() -> None:
    rig = HTTPRig(answers={"Hello": Answer("Hi there", delay=1.0)})
    body = {"messages": [{"role": "user", "content": "Hello"}], "stream": True}
    rig.start("POST", "/v1/chat/completions", body)
    rig.settle()
    assert rig.ask("GET", "/status").json["daemons"][0]["is_mine"] is True
    rig.close()


# The row of a daemon


@pytest.mark.parametrize(
    ("client", "is_mine", "place"),
    [(1, True, None), (4, False, 1), (7, False, 2), (9, False, None)],
)
def test_a_row_says_where_the_client_stands(client: int, is_mine: bool, place: int | None) -> None:
    row = daemon_row(0, {**STATUS, "client": client})
    assert (row["is_mine"], row["place"]) == (is_mine, place)


def test_a_daemon_that_names_no_connection_claims_nothing() -> None:
    status = {**STATUS, "running": {"function": "rkllm_init", "client": None}}
    row = daemon_row(0, status)
    assert (row["is_mine"], row["place"]) == (False, None)


def test_a_row_has_no_paths_and_processes() -> None:
    assert not {"pid", "model_path"} & set(daemon_row(0, {**STATUS, "client": 1}))


def test_the_row_of_an_absent_daemon_has_its_reason() -> None:
    assert away_row(2, "No.") == {"number": 2, "state": "away", "problem": "No."}


# The files


def test_the_page_is_small() -> None:
    assert sum(path.stat().st_size for path in FILES) < 100_000


class InlineCode(HTMLParser):
    """Collects scripts, styles and listeners that stand in the HTML itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag == "style" or (tag == "script" and not names.get("src")):
            self.found.append(tag)
        self.found += [name for name in names if name == "style" or name.startswith("on")]


def test_the_html_has_no_code() -> None:
    parser = InlineCode()
    parser.feed((FOLDER / "index.html").read_text())
    assert parser.found == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_makes_html_or_code_of_a_text(path: Path) -> None:
    sinks = r"innerHTML|outerHTML|AdjacentHTML|document\.write|DOMParser|\beval\b|new Function"
    assert not re.search(sinks, path.read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_comes_from_another_host(path: Path) -> None:
    text = path.read_text().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"(?:https?:)?//[a-z0-9-]+\.[a-z]{2,}", text)


def test_the_scripts_parts_without_a_page_work() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed, so the page's scripts are not run outside a browser")
    tests = sorted((Path(__file__).parent / "scripts").glob("*.test.mjs"))
    done = subprocess.run([node, "--test", *tests], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
