"""rkllm-http.service and its socket, and the template of further daemons, without an init."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit_files import (
    DAEMON,
    ETC,
    assignments,
    exposure,
    needs,
    setting,
    told,
    units_in,
)

from rkllm_twisted.daemon.option_table import SETTINGS
from rkllm_twisted.http_service.assembly import Options
from rkllm_twisted.http_service.option_table import SETTINGS as HTTP_SETTINGS
from rkllm_twisted.http_service.service import DRAIN_S
from rkllm_twisted.wire.socket_path import PACKAGE_SOCKET

HTTP = "rkllm-http.service"
TEMPLATE = "rkllm@.service"


def values(name: str, unit: str = HTTP) -> list[str]:
    """All words of a setting that may be repeated."""
    return [word for other, value in assignments(unit) if other == name for word in value.split()]


@needs("systemd-analyze", "systemd")
def test_systemd_has_nothing_to_say_against_the_units(tmp_path: Path) -> None:
    units = ("rkllm.service", "rkllm.socket", HTTP, "rkllm-http.socket", TEMPLATE, "rkllm@.socket")
    root = units_in(tmp_path, *units)
    verify = ["systemd-analyze", "verify", f"--root={root}", "--man=no"]
    assert told(*verify, HTTP, "rkllm-http.socket", "rkllm@cpu.service", "rkllm@cpu.socket") == ""


@needs("systemd-analyze", "systemd")
@pytest.mark.parametrize("unit", [HTTP, TEMPLATE])
def test_a_service_is_as_closed_as_the_daemons(unit: str) -> None:
    assert exposure(unit) <= exposure("rkllm.service")


def test_a_daemon_that_is_away_or_fails_does_not_end_the_service() -> None:
    """Only its own socket is required."""
    assert values("Wants") == ["rkllm.socket"]
    assert values("Requires") == ["rkllm-http.socket"]
    assert {"rkllm.socket", "rkllm.service"} <= set(values("After"))
    binding = {"BindsTo", "PartOf", "Requisite", "PropagatesStopTo"}
    assert not binding & {name for name, _ in assignments(HTTP)}


def test_the_service_has_a_user_of_its_own_and_no_network() -> None:
    """What it may do beside answering clients is to connect to the daemons' sockets."""
    assert setting("User", HTTP) == "rkllm-http"
    assert "SupplementaryGroups" not in [name for name, _ in assignments(HTTP)]
    assert setting("PrivateNetwork", HTTP) == "yes"
    assert setting("RestrictAddressFamilies", HTTP) == "AF_UNIX"
    assert "m rkllm-http rkllm" in (ETC / "rkllm.sysusers").read_text().splitlines()


def test_the_services_options_are_the_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks the package's daemon, unless the file names others."""
    known = {setting.variable_of(name) for name, setting in HTTP_SETTINGS.items()}
    for name, _, value in (variable.partition("=") for variable in values("Environment")):
        assert name in {*known, "RKLLM_UDS_PATH"}
        monkeypatch.setenv(name, value.replace("/etc/", f"{ETC}/"))
    command, _, arguments = setting("ExecStart", HTTP).partition(" rkllm-http")
    assert command.split() == [f"/{DAEMON}", "--nodaemon", "--pidfile="]
    options = Options()
    options.parseOptions(arguments.split())
    assert options.addresses == (PACKAGE_SOCKET,)


def test_by_default_only_this_machine_reaches_the_socket() -> None:
    """No key is needed then; to listen elsewhere without one is refused."""
    assert setting("ListenStream", "rkllm-http.socket") == "127.0.0.1:8080"


def test_an_ordered_stop_is_not_cut_off() -> None:
    assert int(setting("TimeoutStopSec", HTTP)) > DRAIN_S


def test_the_template_is_the_daemons_unit_with_names_of_its_own() -> None:
    """A change of one that the other lacks is an oversight."""
    own = {"Description", "Requires", "After", "Also", "Environment", "EnvironmentFile"}
    own |= {"CacheDirectory", "ListenStream"}
    for kind in ("service", "socket"):
        first, template = (
            [(name, value) for name, value in assignments(unit) if name not in own]
            for unit in (f"rkllm.{kind}", f"rkllm@.{kind}")
        )
        assert template == first


def test_each_daemon_of_the_template_has_its_own_file_cache_and_socket() -> None:
    assert values("Requires", TEMPLATE) == values("After", TEMPLATE) == ["rkllm@%i.socket"]
    assert setting("ListenStream", "rkllm@.socket") == "/run/rkllm/%i.sock"
    assert setting("CacheDirectory", TEMPLATE) == "rkllm/%i"
    variables = dict(variable.split("=") for variable in values("Environment", TEMPLATE))
    assert variables["RKLLM_CONFIG"] == "/etc/rkllm/%i.toml"
    assert set(variables) <= {setting.variable_of(name) for name, setting in SETTINGS.items()}


def test_a_reload_is_the_signal_that_reads_the_keys_again() -> None:
    assert setting("ExecReload", HTTP).split()[1:] == ["-HUP", "$MAINPID"]
