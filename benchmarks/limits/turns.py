"""The delay until the next run starts after a cancel, and until a full queue refuses a run."""

from __future__ import annotations

import random
import time

from benchmarks.limits.daemon import SLOW, Daemon
from benchmarks.tables import Row, percentile, row, spread


def cancelling(daemon: Daemon, times: int) -> list[Row]:
    """Measure from a cancel, or a disconnect, to the first token of the next run in the queue."""
    rows = []
    allowed = (SLOW + 20) / 1000
    for leaves in (False, True):
        spent = []
        with daemon.clients(1) as [waiting]:
            for _ in range(times):
                running = daemon.connect()
                running.run("slow", "rkllm.run_async")
                running.answer()
                waiting.run("next", "rkllm.run_async")
                waiting.send("server.ping", None, 2)
                while waiting.answer()["id"] != 2:
                    pass  # the daemon has queued the run
                # The cancel comes at a random moment between two tokens.
                time.sleep(random.random() * SLOW / 1000)
                begun = time.monotonic()
                if leaves:
                    running.close()
                else:
                    running.send("$/cancelRequest", {"id": 1}, 3)
                waiting.answer()
                spent.append(time.monotonic() - begun)
                while waiting.answer()["result"]["_callback_state"] < 2:
                    pass
                running.close()
        what = "client leaves" if leaves else "cancel"
        good = percentile(spent, 0.99) <= allowed
        target = f"p99 ≤ one token ({SLOW} ms) + 20 ms"
        rows.append(
            row(f"{what} → first token of the next run, p50 / p99", spread(spent), target, good)
        )
    return rows


def refusing(daemon: Daemon, times: int) -> list[Row]:
    """Measure how soon a client is refused when the queue is full."""
    spent, refused = [], 0
    with daemon.clients(10) as [last, *clients]:
        for request_id in range(8):
            for client in clients:
                client.run("slow", "rkllm.run_async", request_id)
        daemon.until(lambda status: status["queue_length"] == 64)
        for _ in range(times):
            begun = time.monotonic()
            last.run("hi")
            refused += last.answer()["error"]["code"] == -32002
            spent.append(time.monotonic() - begun)
    good = percentile(spent, 0.99) <= 0.005 and refused == times
    measured = f"{spread(spent)}; {refused} of {times} answered"
    return [row("refusal at a full queue, p50 / p99", measured, "p99 ≤ 5 ms, all answered", good)]
