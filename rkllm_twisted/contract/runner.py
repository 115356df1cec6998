"""Checks all assumptions, each in a process of its own with a timeout."""

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

from rkllm_twisted.contract.assumption import Assumption
from rkllm_twisted.contract.assumptions import ASSUMPTIONS, MODEL_LOADS
from rkllm_twisted.contract.verdict import CONFIRMED, CONTRADICTED, UNTESTED, Verdict

#: The seconds that one check may take, and the further seconds for each GiB of the model: most
#: checks load it more than once.
CHECK_TIMEOUT_S, TIMEOUT_PER_GIB_S = 120.0, 180.0
#: The number of lines in the report, of the last lines that the library printed.
REPORTED_LINES = 5
WORKER = "rkllm_twisted.contract.worker"


@attrs.frozen
class CheckResult:
    """An assumption and the verdict on it.

    :param seconds: the duration of the check.
    :param lines: the last lines that the library printed.
    """

    assumption: Assumption
    verdict: Verdict
    seconds: float = 0.0
    lines: tuple[str, ...] = ()


def check_all(
    library: str,
    abi: str | None,
    model: str,
    deadline: float | None = None,
    on_result: Callable[[CheckResult], object] = lambda _: None,
) -> list[CheckResult]:
    """Check all assumptions.

    :param library: a path, or ``cpu``.
    :param model: the path of the model to load.
    :param deadline: seconds for one check; by default as :data:`CHECK_TIMEOUT_S` says.
    :param on_result: called with each result as it comes.
    """
    gibibytes = Path(model).stat().st_size / 2**30
    seconds = CHECK_TIMEOUT_S + TIMEOUT_PER_GIB_S * gibibytes if deadline is None else deadline
    results: list[CheckResult] = []
    for assumption in ASSUMPTIONS:
        results.append(_check(assumption, results, [library, abi, model], seconds))
        on_result(results[-1])
    return results


def _check(
    assumption: Assumption, results: list[CheckResult], arguments: list[str | None], deadline: float
) -> CheckResult:
    if assumption.check is None:
        return CheckResult(assumption, Verdict(UNTESTED, assumption.otherwise))
    if any(r.assumption.name == MODEL_LOADS and r.verdict.verdict != CONFIRMED for r in results):
        return CheckResult(assumption, Verdict(UNTESTED, "The model does not load."))
    began = time.monotonic()
    verdict, printed = in_process([assumption.name, *arguments], deadline)
    lines = tuple(printed.decode("utf-8", "replace").splitlines()[-REPORTED_LINES:])
    return CheckResult(assumption, verdict, round(time.monotonic() - began, 1), lines)


def in_process(arguments: list[str | None], deadline: float) -> tuple[Verdict, bytes]:
    """Check one assumption in another process.

    :param arguments: its name, the library, the layout or None, and the model.
    :returns: the verdict, and what the library printed.
    """
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as verdict:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "rkllm_twisted.contract.worker",
                json.dumps([theirs, *arguments]),
            ],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[theirs],
            start_new_session=True,
        )
        os.close(theirs)
        printed, is_late = _wait(process, deadline)
        if is_late:
            why = f"It was not done within {deadline:g} s and was killed."
            return Verdict(CONTRADICTED, why), printed
        data = verdict.read()
    return _verdict(data, process.returncode), printed


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
