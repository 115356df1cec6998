"""The checks of assumptions, on the embedded runtime and on a library that contradicts each one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from daemons import environment
from embedded_layouts import EMBEDDED_LAYOUTS

from rkllm_twisted.contract import runner
from rkllm_twisted.contract.abort_checks import ABORT_TIMEOUT_S
from rkllm_twisted.contract.assumptions import ASSUMPTIONS
from rkllm_twisted.contract.runner import check_all, in_process
from rkllm_twisted.contract.verdict import CONFIRMED, CONTRADICTED, UNTESTED, Verdict
from rkllm_twisted.cpu import demo_model, library_path
from rkllm_twisted.npu.timeouts import Timeouts

PROJECT = Path(__file__).parents[2]
CHECKED = [assumption.name for assumption in ASSUMPTIONS if assumption.check is not None]
DEADLINE = 40.0
Build = Callable[..., Path]


@pytest.fixture(scope="module")
def contrary(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Build the library that can contradict each assumption."""
    directory = tmp_path_factory.mktemp("contrary")

    def build(*flags: str) -> Path:
        path = directory / f"contrary{len(flags)}.so"
        if not path.exists():
            command = ["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
            include = PROJECT / "cpu_runtime" / "include"
            source = Path(__file__).with_name("contrary.c")
            command += ["-pthread", "-DRKLLM_ABI=10300", f"-I{include}", *flags]
            subprocess.run([*command, str(source), "-o", str(path)], check=True)
        return path

    return build


@pytest.fixture
def model(tmp_path: Path) -> str:
    """Make a file that this library accepts as a model, and a tokenizer beside it."""
    path = tmp_path / "model.rkllm"
    path.write_bytes(b"not read")
    mark = {"id": 1, "content": "<|user|>", "special": True}
    (tmp_path / "tokenizer.json").write_text(json.dumps({"added_tokens": [mark]}))
    return str(path)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "rkllm_twisted.contract", *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_embedded_runtime_contradicts_nothing(tmp_path: Path) -> None:
    """The command for boards runs with the demonstration model."""
    report = tmp_path / "report"
    done = run("--library", "cpu", "--model", "demo", "--report", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads(report.with_suffix(".json").read_text())
    verdicts = {one["name"]: one["verdict"] for one in written["assumptions"]}
    assert list(verdicts) == [assumption.name for assumption in ASSUMPTIONS]
    untested = {name for name, verdict in verdicts.items() if verdict == UNTESTED}
    assert untested == {"WAITING", *set(verdicts).difference(CHECKED)}
    assert written["counts"] == {
        CONFIRMED: len(verdicts) - len(untested),
        CONTRADICTED: 0,
        UNTESTED: len(untested),
    }
    assert written["model"]["path"] == str(demo_model())
    text = report.with_suffix(".md").read_text()
    assert all(f"| {name} | " in text for name in verdicts)


def test_the_documented_command_is_this_one() -> None:
    """docs/operations.md's ``make board`` is ``rkllm doctor --contract``."""
    text = (PROJECT / "docs" / "operations.md").read_text()
    (command,) = re.findall(r"^make (board LIBRARY=.*)$", text, re.MULTILINE)
    shown = subprocess.run(
        ["make", "-n", *command.split()], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout
    assert "rkllm doctor --contract --library /usr/lib/librkllmrt.so --model /var/lib" in shown


def test_doctor_checks_the_same(contrary: Build, model: str, tmp_path: Path) -> None:
    """``rkllm doctor --contract`` works where only the package is installed."""
    report = tmp_path / "report"
    command = [sys.executable, "-m", "rkllm_twisted.cli", "doctor", "--contract"]
    done = subprocess.run(
        [*command, "--library", str(contrary()), "--model", model, "--report", str(report)],
        env={**environment(), "CONTRARY": "loads"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    assert "contradicted       loads" in done.stdout
    assert report.with_suffix(".md").exists()
    refused = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert refused.returncode == 2
    assert "--model" in refused.stderr


@pytest.mark.parametrize("release", EMBEDDED_LAYOUTS)
def test_every_layout_can_be_checked(release: str) -> None:
    """A run reaches its end on each layout."""
    arguments = ["FINISH, generating", str(library_path(release)), None, str(demo_model())]
    verdict, printed = in_process(arguments, DEADLINE)
    assert verdict.verdict == CONFIRMED, (verdict, printed)


def check(name: str, library: Path, model: str, deadline: float = DEADLINE) -> Verdict:
    return in_process([name, str(library), None, model], deadline)[0]


@pytest.mark.parametrize("name", CHECKED)
def test_a_library_that_does_what_is_assumed_is_confirmed(
    name: str, contrary: Build, model: str
) -> None:
    """Each assumption is checked alone."""
    verdict = check(name, contrary(), model)
    assert verdict.verdict == CONFIRMED, verdict


@pytest.mark.parametrize("name", [name for name in CHECKED if name != "version"])
def test_a_library_that_does_something_else_is_contradicted(
    name: str, contrary: Build, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each assumption is contradicted alone."""
    monkeypatch.setenv("CONTRARY", name)
    verdict = check(name, contrary(), model)
    assert verdict.verdict == CONTRADICTED, verdict


@pytest.mark.parametrize("name", ["marks in a prompt", "marks in slots"])
def test_marks_of_a_known_family_are_found_without_a_tokenizer(
    name: str, contrary: Build, model: str
) -> None:
    """The library itself says which mark is one token."""
    Path(model).with_name("tokenizer.json").unlink()
    verdict = check(name, contrary(), model)
    assert verdict.verdict == CONFIRMED, verdict


def test_marks_that_are_unknown_cannot_be_checked(
    contrary: Build, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict says what is missing, and contradicts nothing."""
    Path(model).with_name("tokenizer.json").unlink()
    monkeypatch.setenv("CONTRARY", "marks in slots")
    verdict = check("marks in slots", contrary(), model)
    assert (verdict.verdict, "tokenizer.json" in verdict.seen) == (UNTESTED, True)


def test_a_release_that_says_no_size_is_not_asked() -> None:
    """The verdict says why."""
    arguments = ["tokens appended", str(library_path("1.2.0")), None, str(demo_model())]
    verdict, _ = in_process(arguments, DEADLINE)
    assert (verdict.verdict, "size of its cache" in verdict.seen) == (UNTESTED, True)


def test_a_library_without_a_version_is_contradicted(contrary: Build, model: str) -> None:
    """The verdict says how the layout was chosen."""
    verdict = check("version", contrary("-DUNNAMED"), model)
    assert verdict.verdict == CONTRADICTED
    assert "1.3.0" in verdict.seen


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("hang in init", "not done within 3 s"),
        ("crash in init", "killed by SIGABRT"),
        ("exit in init", "exit code 3"),
    ],
)
def test_hangs_and_crashes_are_survived(
    fault: str, seen: str, contrary: Build, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that does not load is one contradiction; the rest cannot be tested."""
    monkeypatch.setenv("CONTRARY", fault)
    results = {r.assumption.name: r.verdict for r in check_all(str(contrary()), None, model, 3.0)}
    assert results["loads"].verdict == CONTRADICTED
    assert seen in results["loads"].seen
    rest = [verdict for name, verdict in results.items() if name not in ("version", "loads")]
    assert {verdict.verdict for verdict in rest} == {UNTESTED}


def test_a_contradiction_is_the_exit_code_and_stands_in_the_report(
    contrary: Build, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report has the consequences and the library's output."""
    monkeypatch.setenv("CONTRARY", "loads")
    report = tmp_path / "report"
    done = run("--library", str(contrary()), "--model", model, "--report", str(report))
    assert done.returncode == 1
    assert "contradicted       loads: rkllm_init returned -1" in done.stdout
    text = report.with_suffix(".md").read_text()
    assert "## Contradicted: loads" in text
    assert "rkllm doctor" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--library", "/none.so", "--model", "demo"], "There is no library /none.so"),
        (["--library", "cpu", "--model", "/none.rkllm"], "There is no model /none.rkllm"),
    ],
)
def test_an_unusable_library_or_model_is_one_sentence(arguments: list[str], said: str) -> None:
    """The exit code is 2."""
    done = run(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_what_the_library_prints_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The report has the last lines, and no line can look like a verdict."""
    script = tmp_path / "model.script"
    script.write_text('#!rkllm-script 1\ninit print stdout "{}\\n"\ninit fail "no memory"\n')
    monkeypatch.setattr(runner, "ASSUMPTIONS", [one for one in ASSUMPTIONS if one.name == "loads"])
    (result,) = check_all(str(library_path("1.3.0")), None, str(script), DEADLINE)
    assert result.verdict.verdict == CONTRADICTED
    assert any("no memory" in line for line in result.lines)
    assert "{}" in result.lines


def test_an_aborted_run_may_take_as_long_as_in_the_daemon() -> None:
    """The check has the daemon's time limit."""
    assert Timeouts().abort == ABORT_TIMEOUT_S


def test_every_assumption_has_a_name_of_its_own() -> None:
    """Each has two whole sentences: the assumption, and the consequence if it is wrong."""
    names = [assumption.name for assumption in ASSUMPTIONS]
    assert len(set(names)) == len(names) > 30
    for assumption in ASSUMPTIONS:
        assert all(text.endswith(".") for text in (assumption.text, assumption.otherwise))
        assert attrs.has(type(assumption))
