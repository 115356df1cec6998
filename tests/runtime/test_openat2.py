"""Opening below a directory: no name and no link leads out, even during a swap."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from daemons import MAX_WAIT_S
from other_users import descriptors

from rkllm_twisted.runtime import openat2
from rkllm_twisted.runtime.openat2 import Opener, open_componentwise, open_with_openat2

#: The number of times that each outcome must occur.
OFTEN = 100
Open = Callable[[str], str]

needs_openat2 = pytest.mark.skipif(
    openat2.opener() is not open_with_openat2, reason="this kernel has no openat2"
)
OPENERS = [pytest.param(open_with_openat2, marks=needs_openat2), open_componentwise]


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """A directory, and a secret beside it."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("secret")
    path = tmp_path / "inside"
    (path / "below").mkdir(parents=True)
    (path / "below" / "file").write_text("good")
    return path


@pytest.fixture(params=OPENERS)
def opener(request: pytest.FixtureRequest) -> Opener:
    """Each way to open a file."""
    found: Opener = request.param
    return found


@pytest.fixture
def read(opener: Opener, inside: Path) -> Iterator[Open]:
    """Reads a file below the directory as C does: opens it, and then opens it again."""
    directory = os.open(inside, os.O_PATH | os.O_DIRECTORY)

    def text(name: str) -> str:
        fd = opener(directory, name, os.O_PATH)
        try:
            return Path(f"/proc/self/fd/{fd}").read_text()
        finally:
            os.close(fd)

    yield text
    os.close(directory)


@pytest.mark.parametrize("name", ["below/file", "./below//file", "below/./file"])
def test_what_is_below_is_opened(read: Open, name: str) -> None:
    """The name may be written in any form."""
    assert read(name) == "good"


@pytest.mark.parametrize(
    "name", ["..", "../outside/file", "below/../../outside/file", "/etc/passwd"]
)
def test_no_name_leads_out(read: Open, name: str) -> None:
    """The error says that the name leads out; a missing file is refused, too."""
    for wanted in (name, f"{name}-that-is-not-there"):
        with pytest.raises(OSError) as caught:
            read(wanted)
        assert caught.value.errno in (errno.EXDEV, errno.ENOENT)
    with pytest.raises(OSError) as caught:
        read(name)
    assert caught.value.errno == errno.EXDEV


@pytest.mark.parametrize("target", ["../outside", "{}/outside", "/"])
def test_no_link_leads_out(read: Open, inside: Path, target: str) -> None:
    """The link is at the end of a name or in the middle, relative or absolute."""
    (inside / "link").symlink_to(target.format(inside.parent))
    (inside / "file").symlink_to(f"{target.format(inside.parent)}/file")
    for name in ("link/file", "file"):
        with pytest.raises(OSError) as caught:
            read(name)
        assert caught.value.errno in (errno.EXDEV, errno.ELOOP, errno.ENOTDIR)


def test_a_link_that_stays_below_is_followed_by_the_kernel_only(
    read: Open, inside: Path, opener: Opener
) -> None:
    """The step-by-step way follows no link."""
    (inside / "link").symlink_to("below")
    if opener is open_with_openat2:
        assert read("link/file") == "good"
    else:
        with pytest.raises(OSError) as caught:
            read("link/file")
        assert caught.value.errno in (errno.ELOOP, errno.ENOTDIR)


@contextmanager
def swapping(here: Path, good: Callable[[Path], object], bad: str) -> Iterator[None]:
    """Switch a path between the right file and a link to elsewhere, as fast as possible."""
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for make in (good, lambda path: path.symlink_to(bad)):
                new = here.with_name("new")
                make(new)
                here.rename(here.with_name("old")) if here.is_dir() else None
                new.rename(here)
                clear(here.with_name("old"))

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def clear(path: Path) -> None:
    """Remove a file, a link or a directory."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        for child in path.iterdir():
            child.unlink()
        path.rmdir()


def good_file(path: Path) -> None:
    """Write the right file."""
    path.write_text("good")


def good_directory(path: Path) -> None:
    """Make the right directory, for a name in the middle."""
    path.mkdir()
    good_file(path / "file")


@pytest.mark.parametrize(
    ("name", "swapped", "good", "bad"),
    [
        ("file", "file", good_file, "../outside/file"),
        ("directory/file", "directory", good_directory, "../outside"),
    ],
    ids=["the file", "its directory"],
)
def test_who_swaps_links_in_a_loop_never_wins(
    read: Open, inside: Path, name: str, swapped: str, good: Callable[[Path], object], bad: str
) -> None:
    """Each read gives the right file or an error, and the race produces both often."""
    good(inside / swapped)
    seen = {"good": 0, "refused": 0}
    deadline = time.monotonic() + MAX_WAIT_S
    with swapping(inside / swapped, good, bad):
        while min(seen.values()) < OFTEN and time.monotonic() < deadline:
            try:
                text = read(name)
            except OSError:
                seen["refused"] += 1
            else:
                assert text in ("good", "")  # made, and not yet written
                seen["good"] += 1
    assert min(seen.values()) >= OFTEN, seen


def test_a_kernel_without_openat2_is_served_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox that forbids openat2 is treated alike; any other error is raised."""

    def refusing(number: int) -> Opener:
        def refuse(directory: int, name: str, flags: int) -> int:
            raise OSError(number, os.strerror(number))

        return refuse

    for number in (errno.ENOSYS, errno.EPERM):
        openat2.opener.cache_clear()
        monkeypatch.setattr(openat2, "open_with_openat2", refusing(number))
        assert openat2.opener() is open_componentwise
    openat2.opener.cache_clear()
    monkeypatch.setattr(openat2, "open_with_openat2", refusing(errno.EIO))
    with pytest.raises(OSError):
        openat2.opener()
    openat2.opener.cache_clear()


def test_no_descriptor_is_left_open(read: Open, inside: Path) -> None:
    """The names are opened or refused; both leave no descriptor."""
    (inside / "below" / "link").symlink_to("file")
    before = descriptors()
    for name in ("below/file", "below/link", "below/missing", "below/file/x", "../x"):
        try:
            read(name)
        except OSError:
            continue
    assert descriptors() == before
