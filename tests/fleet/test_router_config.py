"""The configuration of a router, and the commands that write it and make keys."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from rkllm_twisted.cli import main
from rkllm_twisted.fleet.router_config import RouterSettings, configuration


def test_there_is_no_store_and_a_ping_finds_boards_that_hang(tmp_path: Path) -> None:
    (worker,) = configuration(RouterSettings(tmp_path))["workers"]
    assert "store" not in worker["realms"][0]
    (transport,) = worker["transports"]
    assert transport["options"]["auto_ping_interval"] == 2000
    assert transport["options"]["auto_ping_timeout"] == 3000
    assert "tls" not in transport["endpoint"]


def test_members_prove_a_key_and_no_role_has_fixed_permissions(tmp_path: Path) -> None:
    (worker,) = configuration(RouterSettings(tmp_path, socket=tmp_path / "s"))["workers"]
    assert [list(transport["auth"]) for transport in worker["transports"]] == [["cryptosign"]] * 2
    roles = {role.pop("name"): role for role in worker["realms"][0]["roles"]}
    access = roles.pop("access")
    assert list(roles) == ["board", "front", "admin"]
    assert all(list(role) == ["authorizer"] for role in roles.values())
    uris = [one["uri"].removeprefix("wamp.session.") for one in access["permissions"]]
    assert uris == ["rkllm.router.", "list", "get", "kill"]


def test_the_command_writes_a_folder_that_crossbar_can_start(tmp_path: Path) -> None:
    node = tmp_path / "node"
    words = ["fleet", "router-config", str(node), "--port=8443", f"--certificate={tmp_path}/tls"]
    done = CliRunner().invoke(main, words)
    assert f"'{tmp_path}/tls' does not exist" in done.output
    assert not node.exists()
    (tmp_path / "tls").touch()
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    written = json.loads((node / ".crossbar" / "config.json").read_text())
    endpoint = written["workers"][0]["transports"][0]["endpoint"]
    assert endpoint["port"] == 8443
    assert endpoint["tls"] == {"certificate": f"{tmp_path}/tls", "key": f"{tmp_path}/tls"}
    for name in ("rkllm_router.py", "rkllm_access.py"):
        assert "rkllm_twisted.fleet" not in (node / name).read_text().partition('"""\n\n')[2]
    assert {path.name for path in (node / "keys").iterdir()} == {"board", "front", "admin"}
    assert CliRunner().invoke(main, words).exit_code != 0


def test_the_command_prints_the_public_half_of_a_key(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["fleet", "key", str(tmp_path / "key")])
    assert done.exit_code == 0, done.output
    assert len(bytes.fromhex(done.output.strip())) == 32
    assert done.output.strip() not in (tmp_path / "key").read_text()
