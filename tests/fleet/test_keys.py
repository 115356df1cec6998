"""The keys of members."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from rkllm_twisted.errors import StartupError

pytest.importorskip("cryptography", reason="the extra fleet is not installed")

from rkllm_twisted.fleet import keys
from rkllm_twisted.fleet.values import Role


def test_a_key_is_for_its_owner_only_and_its_public_half_is_returned(tmp_path: Path) -> None:
    public = keys.make(tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert keys.public(keys.read(tmp_path / "key")) == public
    assert len(bytes.fromhex(public)) == 32


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    keys.make(tmp_path / "key")
    before = (tmp_path / "key").read_bytes()
    with pytest.raises(StartupError, match="exists"):
        keys.make(tmp_path / "key")
    assert (tmp_path / "key").read_bytes() == before


def spoil_mode(path: Path) -> None:
    path.chmod(0o640)


def spoil_text(path: Path) -> None:
    path.write_text("no key")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (spoil_mode, "Others can read"),
        (spoil_text, "no Ed25519 key"),
        (Path.unlink, "cannot be read"),
    ],
)
def test_what_is_wrong_about_a_key_is_a_sentence(tmp_path: Path, spoil: Any, sentence: str) -> None:
    keys.make(tmp_path / "key")
    spoil(tmp_path / "key")
    with pytest.raises(StartupError, match=sentence):
        keys.read(tmp_path / "key")


@pytest.mark.parametrize("router", ["", "http://router", "wss://", "unix:"])
def test_an_address_that_is_no_router_s_is_a_sentence(router: str) -> None:
    pytest.importorskip("autobahn", reason="the extra fleet is not installed")
    from rkllm_twisted.fleet.wamp.engine import WAMPEngine

    with pytest.raises(StartupError, match="is no router"):
        WAMPEngine(None, router, "b1", Role.BOARD, None)
