"""The comparison on a real model takes its ratios round by round."""

from __future__ import annotations

import sys

import pytest

from benchmarks import real_model
from benchmarks.real_model import Ask, Timing, compare


def answering(*timings: Timing) -> Ask:
    """Make a server that answers with these timings, one after the other."""
    left = iter(timings)
    return lambda prompt: next(left)


def timing(slowness: float) -> Timing:
    """Make an answer that takes as many times as long as another."""
    return Timing(
        prompt=100, first=1.0 * slowness, rest=2.0 * slowness, tokens=21, processor=slowness
    )


def test_a_ratio_is_that_of_a_round() -> None:
    """A minute in which all is slow changes no ratio, and the first round does not count."""
    ours = answering(timing(99), timing(1), timing(10), timing(1))
    theirs = answering(timing(1), timing(2), timing(20), timing(3))
    size, reads, generates, both = compare(ours, theirs, rounds=3)
    assert size[1:3] == ("100 + 21", "100 + 21")
    assert reads[1:] == ("33.3", "100.0", "2.00 (2.00 – 3.00)")
    assert generates[1:3] == ("3.3", "10.0")
    assert both[3] == "2.00 (2.00 – 3.00)"


def test_without_the_peer_the_package_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is started before."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["real_model"])
    with pytest.raises(SystemExit):
        real_model.main()
    assert "pip install xllamacpp" in capsys.readouterr().err
