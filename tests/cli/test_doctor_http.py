"""``rkllm doctor`` looks at the HTTP service."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from rkllm_twisted.board.http_checks import run_http_checks
from rkllm_twisted.board.http_facts import HTTPAnswer, HTTPFacts
from rkllm_twisted.board.sysfs import RootedFiles
from rkllm_twisted.cli.doctor_http import look_at_http

NO_MODEL = {"error": {"message": "No model is loaded.", "code": "no_model"}}
SHOWN = """\
Id=rkllm-http.socket
LoadState=loaded
ActiveState=active
Listen={listen} (Stream)

Id=rkllm-http.service
LoadState=loaded
ActiveState=active
MainPID=0
Environment=RKLLM_UDS_PATH=/run/rkllm/rkllm.sock RKLLM_HTTP_CONFIG=/etc/rkllm-http.toml
"""


#: A service that is healthy, and has no model.
OWN: Mapping[str, object] = {"/health": {"status": "ok"}, "/ready": NO_MODEL}


@contextmanager
def answering(bodies: Mapping[str, object] = OWN) -> Iterator[str]:
    """A service; yields its address.

    :param bodies: of the answers by path; other paths are not there.
    """

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = bodies.get(self.path)
            self.send_response(503 if body is NO_MODEL else 200 if body else 404)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def looked(root: Path, settings: str, listen: str) -> HTTPFacts:
    """Look at a machine with the unit."""
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/rkllm-http.toml").write_text(settings)
    return look_at_http(RootedFiles(root), None, SHOWN.format(listen=listen))


def test_the_unit_is_asked_where_it_listens(tmp_path: Path) -> None:
    with answering() as address:
        service = looked(tmp_path, "", address)
    assert service.address == f"http://{address}"
    assert service.health == HTTPAnswer(200)
    assert service.ready == HTTPAnswer(503, "No model is loaded.", "no_model")
    assert service.open_to == ()
    assert service.sockets == {"/run/rkllm/rkllm.sock": None}


def test_an_address_of_all_interfaces_is_asked_here(tmp_path: Path) -> None:
    keys = tmp_path / "etc/rkllm/http-keys"
    keys.parent.mkdir(parents=True)
    keys.write_text("short\n")
    with answering() as address:
        everywhere = address.replace("127.0.0.1", "0.0.0.0")
        service = looked(tmp_path, 'api-key-file = "/etc/rkllm/http-keys"', everywhere)
    assert service.address == f"http://{address}"
    assert service.open_to == (everywhere,)
    assert service.keys is not None
    assert service.keys.node is not None
    assert "too short" in str(service.keys.problem)


@pytest.mark.parametrize(
    ("settings", "said"),
    [("", "can be reached from other machines"), ("max-body = true", "max-body in")],
)
def test_settings_that_keep_it_from_starting_are_found(
    tmp_path: Path, settings: str, said: str
) -> None:
    service = looked(tmp_path, settings, f"0.0.0.0:{unused_port()}")
    assert said in str(service.settings_problem)
    assert run_http_checks(service)["http"].level == "wrong"


def test_without_a_unit_the_address_alone_is_asked(tmp_path: Path) -> None:
    with answering() as address:
        service = look_at_http(RootedFiles(tmp_path), f"http://{address}/", "")
    assert (service.health.status, service.unit_is_used) == (200, False)
    absent = look_at_http(RootedFiles(tmp_path), f"http://127.0.0.1:{unused_port()}", "")
    assert absent.health == HTTPAnswer(None, "Connection refused")


@pytest.mark.parametrize(
    "bodies",
    [
        {"/health": {"status": True}},
        {"/health": {"status": "ok"}},  # as that of other servers of models
        {"/health": ["ok"], "/ready": {"status": "ready"}},
        {"/health": {"status": "ok"}, "/ready": {"status": "no"}},
    ],
)
def test_another_program_on_the_port_is_said_to_be_one(
    tmp_path: Path, bodies: dict[str, object]
) -> None:
    with answering(bodies) as address:
        service = look_at_http(RootedFiles(tmp_path), f"http://{address}", "")
    assert service.health == HTTPAnswer(None, "another program answers there")
    assert list(run_http_checks(service)) == ["http"]


def test_what_is_no_address_is_not_asked(tmp_path: Path) -> None:
    assert look_at_http(RootedFiles(tmp_path), "nowhere", "").health.status is None


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
