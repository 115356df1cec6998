"""Output for a person at a terminal, or for a program at the other end of a pipe."""

from __future__ import annotations

import sys
import termios
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from threading import Timer
from typing import TYPE_CHECKING, TextIO, TypeVar

from rkllm_twisted.client_core.unix_socket import without_interrupts

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

T = TypeVar("T")

#: Control characters, which could change a terminal's state. Tab and new line are allowed.
_PRINTABLE = dict.fromkeys([*range(32), *range(127, 160)], "�")
del _PRINTABLE[9], _PRINTABLE[10]
#: The width of a table that goes into a pipe, where nothing may be cut off.
PIPE_COLUMNS = 200
#: A wait that takes longer is shown.
SHOW_WAIT_AFTER_S = 1.0


def is_terminal(stream: TextIO) -> bool:
    """Return True if a person reads or writes the stream."""
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def say(text: str) -> None:
    """Write a piece of a model's answer at once; a terminal gets no control characters."""
    sys.stdout.write(printable(text))
    sys.stdout.flush()


def printable(text: str) -> str:
    """Return text that others wrote, fit for stdout: a terminal gets no control characters."""
    return text.translate(_PRINTABLE) if is_terminal(sys.stdout) else text


def console() -> Console:
    """Return the console for tables; into a pipe, without colours and with all columns."""
    from rich.console import Console  # noqa: PLC0415 - the import takes longer than most commands

    return Console(width=None if is_terminal(sys.stdout) else PIPE_COLUMNS, highlight=False)


def show_table(rows: Iterable[Iterable[str]]) -> None:
    """Print rows in columns, without white space at the lines' ends."""
    from rich.table import Table  # noqa: PLC0415 - see console()
    from rich.text import Text  # noqa: PLC0415 - see console()

    table = Table.grid(padding=(0, 2))
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    screen = console()
    with screen.capture() as drawn:
        screen.print(table)
    print("\n".join(line.rstrip() for line in drawn.get().splitlines()))


@contextmanager
def without_echo() -> Iterator[None]:
    """Keep what is typed out of the output; the next prompt reads it. On a terminal only."""
    if not is_terminal(sys.stdin):
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    silent = [*before]
    silent[3] = before[3] & ~termios.ECHO
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show a progress line on stderr, if that is a terminal."""
    if not is_terminal(sys.stderr):
        yield
        return
    progress = _spinner(what)
    try:
        yield
    finally:
        progress.stop()


@contextmanager
def waiting_long(what: str) -> Iterator[None]:
    """Show the same only after :data:`SHOW_WAIT_AFTER_S`."""
    if not is_terminal(sys.stderr):
        yield
        return
    shown: list[Progress] = []
    timer = Timer(SHOW_WAIT_AFTER_S, lambda: shown.append(_spinner(what, SHOW_WAIT_AFTER_S)))
    timer.start()
    try:
        yield
    finally:
        with without_interrupts():  # a second Ctrl-C would leave the cursor hidden
            timer.cancel()
            timer.join()
            for progress in shown:
                progress.stop()


def show_wait(pieces: Iterator[T]) -> Iterator[T]:
    """Return the pieces of an answer; show a long wait for the first one."""
    with waiting_long("Waiting for the model"):
        first = list(islice(pieces, 1))
    yield from first
    yield from pieces


def _spinner(what: str, already: float = 0.0) -> Progress:
    """Start a progress line.

    :param already: seconds that have passed so far.
    """
    from rich.console import Console  # noqa: PLC0415 - see above
    from rich.progress import (  # noqa: PLC0415 - see above
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    progress.add_task(what, total=None)
    (task,) = progress.tasks
    task.start_time = progress.get_time() - already
    progress.start()
    return progress
