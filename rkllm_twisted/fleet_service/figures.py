"""The counts of a front: retries by cause, lost runs, times in line. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

from rkllm_twisted.fleet_service.retries import Cause

#: The times in line that the percentiles are of.
MAX_WAITS = 1000


class Figures:
    """Counts since the start.

    :ivar retries: by the name of their cause.
    :ivar runs: by board.
    :ivar lost: runs that ended with a board, with its runtime's process, or with the router.
    """

    def __init__(self) -> None:
        self.retries: Counter[str] = Counter()
        self.runs: Counter[str] = Counter()
        self.lost = 0
        self._waits: deque[float] = deque(maxlen=MAX_WAITS)

    def tried_again(self, cause: Cause) -> None:
        """Count a retry."""
        self.retries[cause.value] += 1

    def ran(self, board: str) -> None:
        """Count a request that a board has answered."""
        self.runs[board] += 1

    def waited(self, seconds: float) -> None:
        """Count the time that a request has spent in the line."""
        self._waits.append(seconds)

    def percentile(self, part: float) -> float | None:
        """Return the time in line that this part of the last requests has not exceeded.

        :param part: 0.5 is the median.
        :returns: seconds; None before the first request.
        """
        waits = sorted(self._waits)
        return waits[min(int(part * len(waits)), len(waits) - 1)] if waits else None

    def as_json(self) -> Mapping[str, object]:
        """Return all of them for ``server.status``."""
        half, most = self.percentile(0.5), self.percentile(0.99)
        return {
            "retries": {cause.value: self.retries[cause.value] for cause in Cause},
            "lost_runs": self.lost,
            "runs_by_board": dict(sorted(self.runs.items())),
            "line_s": {
                "p50": None if half is None else round(half, 3),
                "p99": None if most is None else round(most, 3),
            },
        }
