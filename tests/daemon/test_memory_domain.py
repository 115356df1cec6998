"""A model beside an encoder gets a domain of its own, on the chips that need it."""

from __future__ import annotations

import pytest

from rkllm_twisted.abi.release import releases
from rkllm_twisted.daemon.memory_domain import beside, needs_domain, with_domain
from rkllm_twisted.testing import FakeVision, fake_encoder

RK3588 = "radxa,rock-5b\0rockchip,rk3588\0"


@pytest.mark.parametrize(
    ("release", "board", "needed"),
    [
        ("1.3.0", RK3588, True),
        ("1.2.0", "armsom,sige5\0rockchip,rk3576\0", True),
        ("1.1.4", RK3588, False),
        ("1.3.0", "rockchip,rk3562\0", False),
        ("1.3.0", "", False),
    ],
)
def test_only_some_boards_need_it(release: str, board: str, needed: bool) -> None:
    """And release 1.1.x crashes with it."""
    assert needs_domain(releases()[release], board) is needed


def test_a_domain_that_is_given_stays() -> None:
    """So do the other fields."""
    assert with_domain({"top_k": 1}) == {"top_k": 1, "extend_param": {"base_domain_id": 1}}
    given = {"extend_param": {"base_domain_id": 0}}
    assert with_domain(given) == given
    other = {"extend_param": {"embed_flash": 1}}
    assert with_domain(other) == {"extend_param": {"embed_flash": 1, "base_domain_id": 1}}


def test_without_an_encoder_nothing_changes() -> None:
    """The question is asked at each load."""
    vision = FakeVision()
    adapt = beside(vision, releases()["1.3.0"], RK3588)
    assert adapt({"top_k": 1}, None) == {"top_k": 1}
    vision.encoder = fake_encoder()
    assert adapt({"top_k": 1}, None) == {"top_k": 1, "extend_param": {"base_domain_id": 1}}
