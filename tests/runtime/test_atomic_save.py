"""A file that C writes appears complete or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from other_users import SOMEBODY, acting_as, names_in, needs_root, open_directory

from rkllm_twisted.abi.to_c import FileParameter
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.runtime.atomic_save import PREFIX, saved_at


@contextmanager
def saving(directory: Path, name: str = "cache") -> Iterator[Path]:
    """Write a file in a directory."""
    parent = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        with saved_at(parent, name, FileParameter("path", f"{directory}/{name}", False)) as path:
            yield Path(path)
    finally:
        os.close(parent)


def test_the_file_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    """The old file stays until then."""
    (tmp_path / "cache").write_text("old")
    with saving(tmp_path) as path:
        path.write_text("ne")
        assert (tmp_path / "cache").read_text() == "old"
        path.write_text("new")
    assert (tmp_path / "cache").read_text() == "new"
    assert names_in(tmp_path) == ["cache"]


def test_a_call_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    """The new file and C's other files are removed."""
    (tmp_path / "cache").write_text("old")

    def fail() -> None:
        with saving(tmp_path) as path:
            path.write_text("half")
            path.with_name("beside").write_text("x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (tmp_path / "cache").read_text() == "old"
    assert names_in(tmp_path) == ["cache"]


def test_a_call_that_writes_nothing_changes_nothing(tmp_path: Path) -> None:
    """It is no error: a run may end before it saves."""
    with saving(tmp_path):
        pass
    assert names_in(tmp_path) == []


def test_a_link_in_the_files_place_is_replaced(tmp_path: Path) -> None:
    """The link's target does not change."""
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "cache").symlink_to("precious")
    with saving(tmp_path) as path:
        path.write_text("new")
    assert not (tmp_path / "cache").is_symlink()
    assert (tmp_path / "precious").read_text() == "precious"


def test_where_c_writes_nobody_else_may_enter(tmp_path: Path) -> None:
    """No other user can put a link there, and moving the directory does not redirect C."""
    with saving(tmp_path) as path:
        [own] = tmp_path.iterdir()
        assert own.stat().st_mode & 0o777 == 0o700
        own.rename(tmp_path / "moved")
        own.symlink_to("/")
        path.write_text("new")
        assert (tmp_path / "moved" / "cache").read_text() == "new"
    assert (tmp_path / "cache").read_text() == "new"


KILLED = """
import os, sys
from rkllm_twisted.runtime.atomic_save import saved_at
from rkllm_twisted.abi.to_c import FileParameter
parent = os.open(sys.argv[1], os.O_PATH)
with saved_at(parent, "cache", FileParameter("path", "cache", False)) as path:
    open(path, "w").write("half")
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_who_is_killed_while_writing_leaves_no_half_file(tmp_path: Path) -> None:
    """The next save there removes the leftovers, but not while their process lives."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd="/",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    assert process.stdin is not None
    with process.stdin, process.stdout:
        assert process.stdout.readline() == b"ready\n"
        [left] = tmp_path.iterdir()
        with saving(tmp_path, "other"):
            assert left.exists()
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert left.name.startswith(PREFIX)
    assert not (tmp_path / "cache").exists()
    with saving(tmp_path) as path:
        assert not left.exists()
        path.write_text("new")
    assert names_in(tmp_path) == ["cache"]


@needs_root
def test_a_directory_that_cannot_be_written_to_is_named() -> None:
    """The error names the parameter."""
    with open_directory() as directory, acting_as(SOMEBODY):
        made = saving(directory)
        with pytest.raises(InvalidParams, match="^path: .*/cache: Permission denied"):
            made.__enter__()


@needs_root
def test_somebody_elses_directory_is_left_alone() -> None:
    """The other user's directory has the daemon's prefix."""
    with open_directory() as directory:
        directory.chmod(0o1777)
        with acting_as(SOMEBODY):
            (directory / f"{PREFIX}theirs").mkdir()
            (directory / f"{PREFIX}theirs" / "file").write_text("theirs")
        with saving(directory) as path:
            path.write_text("new")
        assert (directory / f"{PREFIX}theirs" / "file").read_text() == "theirs"
