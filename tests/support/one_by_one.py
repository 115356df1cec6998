"""Takes the results of a runtime one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def one_by_one(on_result: Callable[[Any], object] | None) -> Callable[[Sequence[Any]], None] | None:
    """Return what a runtime calls with its results; None stays None."""
    if on_result is None:
        return None

    def on_results(results: Sequence[Any]) -> None:
        for result in results:
            on_result(result)

    return on_results
