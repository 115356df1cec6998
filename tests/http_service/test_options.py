"""The options of ``twistd rkllm-http``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import LogLevel, formatEvent, globalLogPublisher
from twisted.python.usage import UsageError

from rkllm_twisted.errors import SocketError, StartupError
from rkllm_twisted.http_service.assembly import Options, makeService
from rkllm_twisted.http_service.check import check
from rkllm_twisted.http_service.exposure import PassedSocket, is_local
from rkllm_twisted.testing import FakeDaemon


def parsed(*arguments: str) -> Options:
    options = Options()
    options.parseOptions(arguments)
    return options


def test_by_default_only_this_machine_is_served() -> None:
    options = parsed()
    assert options["listen"] == ("tcp:8080:interface=127.0.0.1",)
    assert options.addresses == ("/tmp/rkllm.sock",)
    assert options["max-body"] == 8 * 2**20


@pytest.mark.parametrize(
    "description",
    [
        "tcp:8080:interface=127.0.0.1",
        "tcp:8080:interface=127.1.2.3",
        "tcp:8080:interface=localhost",
        "tcp6:8080:interface=\\:\\:1",
        "ssl:443:interface=127.0.0.1:privateKey=/k",
        "unix:/run/http.sock",
        "unix:/run/http.sock:mode=600",
    ],
)
def test_what_only_this_machine_reaches_needs_no_key(description: str) -> None:
    assert is_local(description)
    assert parsed("--listen", description)["listen"] == (description,)


@pytest.mark.parametrize(
    "description",
    [
        "tcp:8080",
        "tcp:8080:interface=0.0.0.0",
        "tcp:8080:interface=192.168.1.7",
        "tcp:8080:interface=board",
        "tcp:8080:interface=",
        "tcp6:8080:interface=\\:\\:",
        "ssl:443",
        "systemd:domain=INET:index=0",
        "onion:80",
        "tcp:8080:x=interface=127.0.0.1",
        "tcp:8080:interface=127.0.0.1:interface=0.0.0.0",
    ],
)
def test_what_others_reach_needs_a_key_or_its_absence_said(
    description: str, tmp_path: Path
) -> None:
    assert not is_local(description)
    local = ("--listen", "unix:/run/http.sock")
    with pytest.raises(UsageError, match="can be reached from other machines"):
        parsed(*local, "--listen", description)
    assert parsed("--listen", description, "--no-key")["no-key"]
    keys = tmp_path / "keys"
    assert parsed("--listen", description, "--api-key-file", str(keys))["api-key-file"]


@given(st.text())
def test_any_text_is_local_or_not(text: str) -> None:
    assert is_local(text) in (True, False)


def test_an_option_that_may_be_repeated_has_its_letter_too() -> None:
    options = Options()
    options.parseOptions(["-d", "/run/one.sock", "-d", "/run/two.sock", "-l", "unix:/x"])
    assert options["daemon"] == ("/run/one.sock", "/run/two.sock")
    assert options["listen"] == ("unix:/x",)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--no-key", "--api-key-file", "k"], "exclude each other"),
        (["--cors-origin", "*"], "--cors-origin must be the origin"),
        (["--cors-origin", "https://a.example/path"], "--cors-origin must be the origin"),
        (["--max-body", "much"], "--max-body must be"),
        (["--embed", "--queue many"], "--embed: --queue must be"),
        (["--embed", "--model 'x"], "--embed: No closing quotation"),
    ],
)
def test_a_wrong_option_is_named(arguments: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parsed(*arguments)


def test_options_come_from_the_environment_and_a_file_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "http.toml"
    file.write_text('daemon = ["/run/a.sock", "/run/b.sock"]\nmax-body = "1M"\n')
    monkeypatch.setenv("RKLLM_HTTP_MAX_BODY", "2M")
    options = parsed("--config", str(file))
    assert options.addresses == ("/run/a.sock", "/run/b.sock")
    assert options["max-body"] == 2 * 2**20


def test_an_embedded_daemon_is_the_first_and_others_are_there_if_they_are_named() -> None:
    embed = ("--embed", "--library cpu --socket /run/own.sock")
    assert parsed(*embed).addresses == ("/run/own.sock",)
    assert parsed(*embed, "--daemon", "/run/b.sock").addresses == ("/run/own.sock", "/run/b.sock")


def test_a_check_says_what_the_service_would_do(tmp_path: Path) -> None:
    keys, path = tmp_path / "keys", str(tmp_path / "rkllm.sock")
    keys.write_text("anna: key-of-anna\n")
    keys.chmod(0o640)
    options = parsed("--listen", "tcp:80", "--api-key-file", str(keys), "--daemon", path)
    with FakeDaemon().listening(path):
        lines = check(options, Clock()).splitlines()
    assert lines[0] == "All is well. The service would"
    assert "- listen on tcp:80: other machines, too" in lines
    assert "- let in those with one of 1 keys" in lines
    assert not any("Every user" in line for line in lines)
    assert f"- ask the daemon at {path}, which answers" in lines
    assert "which does not answer now" in check(options, Clock())
    keys.chmod(0o644)
    assert "Every user of this machine may read the keys" in check(options, Clock())
    keys.write_text("")
    with pytest.raises(StartupError, match="has no key"):
        check(options, Clock())


def test_what_describes_no_endpoint_is_named() -> None:
    with pytest.raises(StartupError, match="--listen onion:80 describes no endpoint"):
        makeService(parsed("--listen", "onion:80", "--no-key"), Clock())


def test_what_everybody_may_use_is_said_at_start() -> None:
    events: list[Any] = []
    globalLogPublisher.addObserver(events.append)
    try:
        makeService(parsed("--listen", "tcp:80", "--listen", "unix:/x", "--no-key"), Clock())
        makeService(parsed("--no-key"), Clock())  # this machine only
    finally:
        globalLogPublisher.removeObserver(events.append)
    warned = [formatEvent(event) for event in events if event["log_level"] is LogLevel.warn]
    (said,) = warned
    assert said.startswith("tcp:80 serves everybody who can reach it, without a key")


def test_a_package_that_an_endpoint_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: object) -> None:
        raise ImportError("No module named 'OpenSSL'")

    monkeypatch.setattr("rkllm_twisted.http_service.assembly.serverFromString", lacking)
    with pytest.raises(StartupError, match=r"needs a package .* pip install 'twisted\[tls\]'"):
        makeService(parsed("--listen", "ssl:443", "--no-key"), Clock())


HOME = PassedSocket("INET", "127.0.0.1", "home")
ALL = PassedSocket("INET6", "::", "all")
FILE = PassedSocket("UNIX", "/run/http.sock")


@pytest.mark.parametrize(
    ("description", "local"),
    [
        ("systemd:domain=INET:index=0", True),
        ("systemd:domain=INET6:index=1", False),
        ("systemd:domain=UNIX:index=2", True),
        ("systemd:domain=INET:name=home", True),
        ("systemd:domain=INET:name=all", False),
        ("systemd:domain=INET:name=other", False),
        ("systemd:domain=INET:index=3", False),
        ("systemd:domain=INET:index=x", False),
        ("systemd:domain=INET", False),
    ],
)
def test_a_socket_of_systemds_is_as_local_as_its_address(description: str, local: bool) -> None:
    assert is_local(description, [HOME, ALL, FILE]) is local


def pass_sockets(monkeypatch: pytest.MonkeyPatch, *sockets: PassedSocket) -> None:
    monkeypatch.setattr("rkllm_twisted.http_service.assembly.passed_sockets", lambda: sockets)


def test_sockets_that_systemd_passes_are_listened_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on the default, too; --listen says otherwise."""
    pass_sockets(monkeypatch, HOME, FILE)
    systemds = ("systemd:domain=INET:index=0", "systemd:domain=UNIX:index=1")
    assert parsed()["listen"] == systemds
    assert parsed("--listen", "unix:/x")["listen"] == ("unix:/x",)


def test_a_passed_socket_that_others_reach_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    pass_sockets(monkeypatch, ALL)
    with pytest.raises(UsageError, match="INET6:index=0 can be reached from other machines"):
        parsed()
    assert parsed("--no-key")["listen"] == ("systemd:domain=INET6:index=0",)


def test_a_descriptor_that_is_no_socket_is_a_mistake_to_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> None:
        raise SocketError("The descriptor 3 from systemd is no socket.")

    monkeypatch.setattr("rkllm_twisted.http_service.assembly.passed_sockets", refuse)
    with pytest.raises(UsageError, match="The descriptor 3"):
        parsed()


def test_a_socket_that_systemd_has_not_passed_is_named() -> None:
    description = "systemd:domain=INET:index=0"
    with pytest.raises(StartupError, match="systemd has passed no such socket"):
        makeService(parsed("--listen", description, "--no-key"), Clock())


def test_the_daemon_is_that_of_all_clients_unless_others_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RKLLM_UDS_PATH", "/run/rkllm/rkllm.sock")
    assert parsed().addresses == ("/run/rkllm/rkllm.sock",)
    assert parsed("--daemon", "/run/b.sock").addresses == ("/run/b.sock",)
