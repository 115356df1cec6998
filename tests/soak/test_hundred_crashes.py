"""A hundred crashes in a row leave nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from daemons import Daemon
from many_clients import child_of, children_of, run_params, status_of, wait_until

CRASHES, WARM = 100, 20
#: KiB that are noise of the allocator.
NOISE = 512
#: CPython takes memory in arenas of 1 MiB: one may come in any stretch, a leak shows in each.
STRETCHES = 3


def state_of(daemon: Daemon) -> tuple[int, int, int]:
    """Resident KiB, open descriptors and child processes, once a new child stands by."""
    child_of(daemon)
    with daemon.connect() as client:
        wait_until(lambda: status_of(client)["clients"] == 1)
        proc = Path(f"/proc/{daemon.process.pid}")
        memory = int((proc / "status").read_text().partition("VmRSS:")[2].split()[0])
        return memory, len(list((proc / "fd").iterdir())), len(children_of(daemon))


def test_a_hundred_crashes_leave_nothing_behind(
    start: Callable[..., Daemon], script: Callable[[str], Path]
) -> None:
    """Memory, descriptors and processes are as they were."""
    daemon = start()
    model = script('run\nprint stderr "the end"\nsegv\n')

    def crash() -> None:
        daemon.load(model)
        with daemon.connect() as client:
            assert client.ask("rkllm.run", run_params())["error"]["code"] == -32004

    for _ in range(WARM):
        crash()
    before = state_of(daemon)
    grown = []
    for _ in range(STRETCHES):
        for _ in range(CRASHES):
            crash()
        after = state_of(daemon)
        assert after[1:] == before[1:]
        grown.append(after[0] - before[0])
        before = after
    print(f"{grown} KiB in {CRASHES} crashes each")
    assert min(grown) < NOISE
