"""What every test may use. A logged error fails the test that caused it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure

Flush = Callable[..., list[Failure]]


@pytest.fixture(autouse=True)
def flush_logged_errors() -> Iterator[Flush]:
    """Fail the test if an error was logged that it did not expect and flush.

    Yields a function: ``flush(*types)`` takes the failures of these exception types (all of them
    without an argument) out of what was logged, and returns them; like trial's flushLoggedErrors.
    """
    logged: list[Failure] = []

    def observe(event: LogEvent) -> None:
        failure = event.get("log_failure")
        if failure is not None:
            logged.append(failure)

    def flush(*types: type[BaseException]) -> list[Failure]:
        taken = [failure for failure in logged if not types or failure.check(*types)]
        logged[:] = [failure for failure in logged if failure not in taken]
        return taken

    globalLogPublisher.addObserver(observe)
    try:
        yield flush
    finally:
        globalLogPublisher.removeObserver(observe)
    if logged:
        pytest.fail("an error was logged:\n" + "\n".join(f.getTraceback() for f in logged))
