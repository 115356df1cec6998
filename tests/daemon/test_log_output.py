"""Writing the log never blocks for long: a stopped reader loses lines, and the daemon continues."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.python.logfile import LogFile

from rkllm_twisted.daemon.log_output import STALL_S, WRITE_BYTES, LineFile, LogOutput

LINE = "x" * 99 + "\n"
#: The pipe's size. poll(2) reports room only if a whole page is free.
PAGES = 4


class Pipe:
    """A small pipe, and the log output that writes to it."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, PAGES * WRITE_BYTES)
        self.output = LogOutput(self.writer, "{} dropped\n".format)

    def read(self) -> str:
        """Read the contents."""
        os.set_blocking(self.reader, False)
        found = b""
        try:
            while data := os.read(self.reader, 65536):
                found += data
        except BlockingIOError:
            pass
        return found.decode()

    def fill(self, lines: int = 500) -> None:
        """Write more lines than the pipe can hold."""
        for _ in range(lines):
            self.output.write(LINE)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Make an empty pipe."""
    made = Pipe()
    yield made
    for descriptor in (made.reader, made.writer):
        os.close(descriptor)


def test_lines_are_written_as_they_come(pipe: Pipe) -> None:
    """Nothing is buffered."""
    pipe.output.write("one\n")
    pipe.output.write("two\n")
    assert pipe.read() == "one\ntwo\n"


def test_a_reader_that_stands_still_costs_one_short_wait(pipe: Pipe) -> None:
    """Only the first line waits."""
    begun = time.monotonic()
    pipe.fill(1000)
    assert time.monotonic() - begun < 10 * STALL_S


def test_dropped_lines_are_counted_when_the_reader_goes_on(pipe: Pipe) -> None:
    """Whole lines are dropped, and their number is logged in their place."""
    pipe.fill()
    before = pipe.read()
    pipe.output.write("after\n")
    lines = (before + pipe.read()).splitlines()
    assert lines[-1] == "after"
    assert lines[-2] == f"{500 - len(lines) + 2} dropped"
    assert set(lines[:-2]) == {LINE.strip()}


def test_a_line_that_was_begun_is_finished_first(pipe: Pipe) -> None:
    """The rest of a line longer than the pipe is written later."""
    long = "y" * (2 * PAGES * WRITE_BYTES) + "\n"
    pipe.output.write(long)
    pipe.output.write("dropped\n")
    found = pipe.read()
    for _ in range(8):
        pipe.output.write("more\n")
        found += pipe.read()
    assert found.startswith(long)
    assert "\n2 dropped\nmore\n" in found or "\n1 dropped\nmore\n" in found
    assert "dropped\ndropped" not in found


def test_a_reader_that_has_gone_is_no_error(pipe: Pipe) -> None:
    """The daemon continues to serve."""
    os.close(pipe.reader)
    pipe.fill(2)
    pipe.reader = os.dup(pipe.writer)


def test_a_surrogate_is_escaped(pipe: Pipe) -> None:
    """UTF-8 cannot encode it."""
    pipe.output.write("a\ud800\n")
    assert pipe.read() == "a\\ud800\n"


def test_a_file_is_written_and_rotated_as_twisteds(tmp_path: Path) -> None:
    """Each line is in the file at once, and a full file gets a number."""
    contents = []
    for kind in (LogFile, LineFile):
        directory = tmp_path / kind.__name__
        directory.mkdir()
        file = kind("log", str(directory), rotateLength=250)
        for number in range(7):
            file.write(f"{number}{LINE}")
            assert (directory / "log").read_text().endswith(f"{number}{LINE}")
        file.close()
        contents.append({path.name: path.read_text() for path in directory.iterdir()})
    assert contents[0] == contents[1]
    assert set(contents[0]) == {"log", "log.1", "log.2"}
