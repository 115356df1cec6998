"""The service answers or refuses a request by its Host, Origin and key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from http_rig import HTTPRig
from twisted.logger import globalLogPublisher

from rkllm_twisted.errors import StartupError
from rkllm_twisted.http.keys import KeyRing, read_keys
from rkllm_twisted.http.trust import Trust

MODELS = "/v1/models"
KEYS = "# people\nanna: key-of-anna\n\nunnamed-key # of nobody\n"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(KEYS)
    return path


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8080",
        "127.0.0.1:8080",
        "192.168.1.7",
        "[::1]:8080",
        "board.local",
        "me:80",
        "a.localhost",
    ],
)
def test_a_name_of_this_machine_is_its_own(host: str) -> None:
    assert Trust(KeyRing(None), hosts={"me"}).is_own(host)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "notlocal", "1.2.3.4.evil.example", "[::", ""],
)
def test_another_name_is_not(host: str) -> None:
    assert not Trust(KeyRing(None), hosts={"me"}).is_own(host)


def test_a_foreign_name_is_refused_without_a_key_only(key_file: Path) -> None:
    foreign = {"Host": "evil.example"}
    rig = HTTPRig()
    response = rig.ask("GET", MODELS, None, foreign)
    assert (response.status, response.json["error"]["code"]) == (403, "host_not_allowed")
    rig.close()
    keyed = HTTPRig("--api-key-file", str(key_file))
    key = {"Authorization": "Bearer key-of-anna"}
    assert keyed.ask("GET", MODELS, None, {**foreign, **key}).status == 200
    keyed.close()


def test_a_name_can_be_added() -> None:
    rig = HTTPRig("--host-name", "Board.lan")
    assert rig.ask("GET", MODELS, None, {"Host": "board.lan:8080"}).status == 200
    rig.close()


def test_a_foreign_page_is_refused_before_its_body_comes() -> None:
    rig = HTTPRig()
    fields = {"Origin": "https://evil.example", "Content-Length": "10"}
    visitor = rig.start("POST", "/v1/chat/completions", None, fields)
    assert visitor.response is not None
    assert visitor.response.status == 403
    rig.close()


def test_a_page_of_this_service_may_ask() -> None:
    rig = HTTPRig()
    own = {"Origin": "http://localhost:8080"}
    response = rig.ask("GET", MODELS, None, own)
    assert response.status == 200
    assert "access-control-allow-origin" not in response.headers
    rig.close()


def test_an_applications_origin_can_be_named() -> None:
    rig = HTTPRig("--cors-origin", "app://obsidian.md")
    assert rig.ask("GET", MODELS, None, {"Origin": "app://obsidian.md"}).status == 200
    assert rig.ask("GET", MODELS, None, {"Origin": "null"}).status == 403
    rig.close()


def test_a_named_origin_may_ask_and_its_browser_is_told_so() -> None:
    rig = HTTPRig("--cors-origin", "https://chat.example")
    page = {"Origin": "https://chat.example"}
    asked = {**page, "Access-Control-Request-Method": "POST"}
    preflight = rig.ask("OPTIONS", "/v1/chat/completions", None, asked)
    assert preflight.status == 204
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    response = rig.ask("GET", MODELS, None, page)
    assert response.headers["access-control-allow-origin"] == "https://chat.example"
    assert response.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in response.headers
    rig.close()


def test_a_named_origins_page_may_send_the_headers_that_its_library_adds() -> None:
    rig = HTTPRig("--cors-origin", "https://chat.example")
    added = "authorization,content-type,x-stainless-os"
    asked = {"Origin": "https://chat.example", "Access-Control-Request-Headers": added}
    preflight = rig.ask("OPTIONS", "/v1/chat/completions", None, asked)
    assert preflight.headers["access-control-allow-headers"] == added
    rig.close()


def test_a_page_without_an_origin_is_told_no_option_that_would_be_refused() -> None:
    """Browsers send null for a file, and for a frame in a sandbox."""
    rig = HTTPRig()
    response = rig.ask("GET", MODELS, None, {"Origin": "null"})
    assert response.status == 403
    assert "--cors-origin" not in response.json["error"]["message"]
    rig.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Basic key-of-anna"}, 401),
        ({"Authorization": "Bearer key-of-ann\xe4"}, 401),
        ({"Authorization": "bearer key-of-anna"}, 200),
        ({"x-api-key": "unnamed-key"}, 200),
    ],
)
def test_a_key_is_needed_if_there_are_any(
    key_file: Path, headers: dict[str, str], status: int
) -> None:
    rig = HTTPRig("--api-key-file", str(key_file))
    response = rig.ask("GET", MODELS, None, headers)
    assert response.status == status
    if status == 401:
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.json["error"]["code"] == "invalid_api_key"
    rig.close()


def test_without_a_key_a_client_learns_only_what_is_open(key_file: Path) -> None:
    rig = HTTPRig("--api-key-file", str(key_file))
    assert rig.ask("GET", "/health").status == 200
    assert rig.ask("GET", "/ready").json == {"status": "ready", "loaded": True}
    assert rig.ask("GET", "/nothing").status == 401
    visitor = rig.start("POST", "/v1/chat/completions", None, {"Content-Length": "10"})
    assert visitor.response is not None
    assert visitor.response.status == 401
    rig.close()


def test_a_path_cannot_begin_a_line_of_the_log() -> None:
    events: list[Any] = []
    globalLogPublisher.addObserver(events.append)
    rig = HTTPRig()
    try:
        assert rig.ask("GET", "/a%0Ab%1Bc").status == 404
    finally:
        globalLogPublisher.removeObserver(events.append)
    rig.close()
    assert "/a?b?c" in [event.get("path") for event in events]


def test_a_wrong_key_is_in_the_log_though_the_body_was_not_read(key_file: Path) -> None:
    events: list[Any] = []
    globalLogPublisher.addObserver(events.append)
    rig = HTTPRig("--api-key-file", str(key_file))
    try:
        assert rig.post("/v1/chat/completions?a=b", {"messages": []}).status == 401
    finally:
        globalLogPublisher.removeObserver(events.append)
    rig.close()
    facts = [(one.get("method"), one.get("path"), one.get("status")) for one in events]
    assert facts.count(("POST", "/v1/chat/completions", 401)) == 1


def test_keys_have_names(key_file: Path) -> None:
    assert read_keys(str(key_file)) == {b"key-of-anna": "anna", b"unnamed-key": "key 2"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# nothing\n", "has no key"),
        ("short\n", "line 1: the key is too short"),
        ("a: key-number-1\nb: key-number-1\n", "line 2: this key, or its name, is there twice"),
        ("two words here\n", "line 1: a key has"),
    ],
)
def test_a_wrong_file_of_keys_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(StartupError, match=said):
        KeyRing(str(path))


def test_a_file_of_keys_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="No such file"):
        KeyRing(str(tmp_path / "keys"))


def test_the_keys_are_read_again_and_a_wrong_file_changes_nothing(key_file: Path) -> None:
    rig = HTTPRig("--api-key-file", str(key_file))
    key_file.write_text("bert: key-of-bert\n")
    rig.service.reload_keys()
    assert rig.ask("GET", MODELS, None, {"x-api-key": "key-of-bert"}).status == 200
    assert rig.ask("GET", MODELS, None, {"x-api-key": "key-of-anna"}).status == 401
    key_file.write_text("")
    rig.service.reload_keys()
    assert rig.ask("GET", MODELS, None, {"x-api-key": "key-of-bert"}).status == 200
    rig.close()
