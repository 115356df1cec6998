"""Checks all assumptions, each in a process of its own with a deadline."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import attrs

from rkllm_twisted.contract.assumptions import ASSUMPTIONS, FIRST
from rkllm_twisted.contract.verdict import CONFIRMED, CONTRADICTED, UNTESTED, Assumption, Verdict

#: Seconds for one check, and for each GiB of the model, which most checks load more than once.
DEADLINE, PER_GIB = 120.0, 180.0
#: Of what the library printed, so many lines stand in the report.
LAST_LINES = 5


@attrs.frozen
class CheckResult:
    """An assumption, and what came of checking it.

    :param seconds: that it took.
    :param lines: the last ones that the library printed.
    """

    assumption: Assumption
    verdict: Verdict
    seconds: float = 0.0
    lines: tuple[str, ...] = ()


def run_check(
    library: str,
    abi: str | None,
    model: str,
    deadline: float | None = None,
    tell: Callable[[CheckResult], object] = lambda _: None,
) -> list[CheckResult]:
    """Check everything.

    :param library: a path, or ``cpu``.
    :param model: the path of the model to load.
    :param deadline: seconds for one check; what :data:`DEADLINE` says where left out.
    :param tell: told each result as it comes.
    """
    gibibytes = Path(model).stat().st_size / 2**30
    seconds = DEADLINE + PER_GIB * gibibytes if deadline is None else deadline
    results: list[CheckResult] = []
    for assumption in ASSUMPTIONS:
        results.append(_examine(assumption, results, [library, abi, model], seconds))
        tell(results[-1])
    return results


def _examine(
    assumption: Assumption, results: list[CheckResult], what: list[str | None], deadline: float
) -> CheckResult:
    if assumption.check is None:
        return CheckResult(assumption, Verdict(UNTESTED, assumption.otherwise))
    if any(r.assumption.name == FIRST and r.verdict.verdict != CONFIRMED for r in results):
        return CheckResult(assumption, Verdict(UNTESTED, "The model does not load."))
    began = time.monotonic()
    verdict, said = in_process([assumption.name, *what], deadline)
    lines = tuple(said.decode("utf-8", "replace").splitlines()[-LAST_LINES:])
    return CheckResult(assumption, verdict, round(time.monotonic() - began, 1), lines)


def in_process(what: list[str | None], deadline: float) -> tuple[Verdict, bytes]:
    """Check one assumption in another process.

    :returns: the verdict, and what the library printed.
    """
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as verdict:
        process = subprocess.Popen(
            [sys.executable, "-m", "rkllm_twisted.contract.worker", json.dumps([theirs, *what])],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[theirs],
            start_new_session=True,
        )
        os.close(theirs)
        said, late = _wait(process, deadline)
        if late:
            why = f"It was not done within {deadline:g} s and was killed."
            return Verdict(CONTRADICTED, why), said
        data = verdict.read()
    return _verdict(data, process.returncode), said


def _wait(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bool]:
    try:
        return process.communicate(timeout=deadline)[0], False
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a group of its own, see start_new_session
        return process.communicate()[0], True
    except BaseException:
        process.kill()
        process.wait()
        raise


def _verdict(data: bytes, code: int) -> Verdict:
    if data:
        return Verdict(**json.loads(data))
    if code < 0:
        return Verdict(CONTRADICTED, f"The process was killed by {signal.Signals(-code).name}.")
    return Verdict(CONTRADICTED, f"The process ended with exit code {code}.")
