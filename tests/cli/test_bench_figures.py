"""The figures of rkllm bench."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from rkllm_twisted.cli.bench import plot
from rkllm_twisted.cli.bench_figures import PromptFigures, Sample, Spread, Stopwatch
from rkllm_twisted.client_core.results import Perf, Result
from rkllm_twisted.errors import StartupError
from rkllm_twisted.values import RunState

PERF = Perf(prefill_time_ms=100, prefill_tokens=20, generate_time_ms=500, generate_tokens=10)


def test_a_sample_is_what_a_client_meets() -> None:
    """First and last token are timed from the question; WAITING results count as tokens."""
    watch = Stopwatch(10.0)
    watch.add(Result("a", 1, RunState.NORMAL), 10.5)
    watch.add(Result("", 2, RunState.WAITING), 11.0)
    watch.add(Result("b", 3, RunState.NORMAL), 12.0)
    watch.add(Result("", -1, RunState.FINISH, PERF), 12.5)
    assert watch.sample() == Sample(0.5, 2.0, 3, PERF)
    assert watch.sample().rate == 1.5


def test_an_answer_without_a_token_is_no_sample() -> None:
    """An answer without tokens has no figures."""
    watch = Stopwatch(0.0)
    watch.add(Result("", -1, RunState.FINISH), 1.0)
    with pytest.raises(ValueError, match="No token"):
        watch.sample()


def test_figures_are_medians_with_least_and_greatest() -> None:
    """The figures summarise the repeats."""
    measured = PromptFigures(
        "Why?", [Sample(0.1, 1.0, 10), Sample(0.3, 2.0, 10), Sample(0.2, 0.5, 10)]
    )
    assert measured.first_ms == Spread(200.0, 100.0, 300.0)
    assert measured.rate == Spread(10.0, 5.0, 20.0)
    assert measured.tokens == Spread(10, 10, 10)


def test_the_runtimes_own_figures_are_beside_them() -> None:
    """The runtime's figures are shown if it reports any."""
    measured = PromptFigures("Why?", [Sample(0.1, 1.0, 10, PERF)])
    assert measured.prefill_rate == Spread(200.0, 200.0, 200.0)
    assert measured.generate_rate == Spread(20.0, 20.0, 20.0)
    assert PromptFigures("Why?", [Sample(0.1, 1.0, 10)]).prefill_rate is None


def test_json_has_all_of_it() -> None:
    """The JSON has figures and samples."""
    found = PromptFigures("Why?", [Sample(0.1, 1.0, 10)]).to_json()
    assert found["first_token_ms"] == {"median": 100.0, "least": 100.0, "greatest": 100.0}
    assert found["prefill_tokens_per_second"] is None
    assert found["samples"] == [{"first_s": 0.1, "last_s": 1.0, "tokens": 10, "perf": None}]


def test_the_plot_is_an_svg_with_every_prompt(tmp_path: Path) -> None:
    """Long prompts are shortened."""
    measured = [
        PromptFigures("Why?", [Sample(0.1, 1.0, 10), Sample(0.2, 1.5, 10)]),
        PromptFigures(
            "A very long prompt that does not fit below its bars", [Sample(0.1, 1.0, 10)]
        ),
    ]
    plot(measured, tmp_path / "p.svg", "model.rkllm")
    root = ET.parse(tmp_path / "p.svg").getroot()
    text = " ".join(root.itertext())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "model.rkllm" in text
    assert "Why?" in text
    assert "A very long prompt that…" in text
    scripts = root.findall(".//{http://www.w3.org/2000/svg}script")
    assert not any(script.attrib.keys() - {"type"} for script in scripts)  # no external resources


def test_a_plot_without_pygal_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is one sentence."""
    monkeypatch.setitem(__import__("sys").modules, "pygal", None)
    with pytest.raises(StartupError, match=r"pip install 'rkllm-twisted\[plot\]'"):
        plot([], tmp_path / "p.svg", "m")
