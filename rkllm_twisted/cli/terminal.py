"""Writing for a person on a terminal, or for the program at the other end of a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from threading import Timer
from typing import TYPE_CHECKING, TextIO, TypeVar

from rkllm_twisted.client_core.unix_socket import without_interrupts

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

T = TypeVar("T")

#: Control characters that a model's text could play with a terminal; tab and new line may stay.
_PLAIN = dict.fromkeys([*range(32), *range(127, 160)], "�")
del _PLAIN[9], _PLAIN[10]
#: Columns of a table that goes into a pipe: nothing is to be cut off there.
WIDE = 200
#: Seconds without a word after which a person wants to know whether anything happens.
LONG = 1.0


def is_terminal(stream: TextIO) -> bool:
    """Is there a person at the other end?"""
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def say(text: str) -> None:
    """Write a piece of a model's answer, at once. A terminal gets no control characters."""
    sys.stdout.write(text.translate(_PLAIN) if is_terminal(sys.stdout) else text)
    sys.stdout.flush()


def console() -> Console:
    """Where tables go: without colours and as wide as needed where no person looks."""
    from rich.console import Console  # noqa: PLC0415 - takes longer than most commands

    return Console(width=None if is_terminal(sys.stdout) else WIDE, highlight=False)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show on stderr that something is under way, and for how long; on a terminal only."""
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
    """Show the same if it is not over soon."""
    if not is_terminal(sys.stderr):
        yield
        return
    shown: list[Progress] = []
    timer = Timer(LONG, lambda: shown.append(_spinner(what, LONG)))
    timer.start()
    try:
        yield
    finally:
        with without_interrupts():  # a second Ctrl-C would leave the terminal without its cursor
            timer.cancel()
            timer.join()
            for progress in shown:
                progress.stop()


def patiently(pieces: Iterator[T]) -> Iterator[T]:
    """Give the pieces of an answer; a long wait for the first one is shown."""
    with waiting_long("Waiting for the model"):
        first = list(islice(pieces, 1))
    yield from first
    yield from pieces


def _spinner(what: str, already: float = 0.0) -> Progress:
    """Begin to show it.

    :param already: seconds that it has taken so far.
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
