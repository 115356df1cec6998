"""A terminal, and the ``rkllm`` command on it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest
from daemons import MAX_WAIT_S, Daemon
from rkllm_command import HEARS_CTRL_C, RKLLM, surroundings

#: Sequences that move a terminal's cursor, set its colours, or query it.
ESCAPE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][0-9A-Z]|[=>78])")


class Terminal:
    """The output and the input of a command on a terminal.

    :ivar raw: all that came.
    """

    def __init__(self, child: pexpect.spawn[str]) -> None:
        self._child = child
        self._looked = 0
        self.raw = ""

    def send(self, keys: str) -> None:
        """Type keys."""
        self._child.send(keys)

    def expect(self, pattern: str) -> None:
        """Wait for text after the last match."""
        deadline = time.monotonic() + MAX_WAIT_S
        while (
            match := re.compile(pattern, re.MULTILINE).search(self._seen(), self._looked)
        ) is None:
            if not self._read(deadline):
                pytest.fail(f"{pattern!r} does not come; there is:\n{self._seen()[self._looked :]}")
        self._looked = match.end()

    def expect_cursor(self) -> None:
        """Wait until the cursor is visible; a prompt that is drawn again hides it for a moment."""
        deadline = time.monotonic() + MAX_WAIT_S
        while self.raw.rfind("\x1b[?25h") <= self.raw.rfind("\x1b[?25l"):
            if not self._read(deadline):
                pytest.fail("the cursor stays invisible")

    def end(self) -> int:
        """Wait for the end; return the exit code."""
        deadline = time.monotonic() + MAX_WAIT_S
        while self._read(deadline):
            pass
        self._child.close()
        code = self._child.exitstatus
        assert isinstance(code, int), f"it did not end by itself:\n{self._seen()}"
        return code

    def _seen(self) -> str:
        return ESCAPE.sub("", self.raw)

    def _read(self, deadline: float) -> bool:
        try:
            self.raw += self._child.read_nonblocking(4096, max(0, deadline - time.monotonic()))
        except (pexpect.EOF, pexpect.TIMEOUT):
            return False
        return True


@contextmanager
def terminal(
    *words: str, daemon: Daemon | None = None, state: Path | None = None
) -> Iterator[Terminal]:
    """Run the command on a terminal of its own.

    :param daemon: whose socket it finds in its environment; None: the words name one.
    :param state: its XDG_STATE_HOME.
    """
    env = {**surroundings(daemon), "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"}
    if state is not None:
        env["XDG_STATE_HOME"] = str(state)
    program, *arguments = [*HEARS_CTRL_C, *RKLLM, *words]
    child = pexpect.spawn(program, arguments, env=env, encoding="utf-8", dimensions=(30, 100))
    try:
        yield Terminal(child)
    finally:
        child.close(force=True)
