"""The directories of models: their contents, and links that lead out."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from rkllm_twisted.errors import LibraryError
from rkllm_twisted.models import directories
from rkllm_twisted.models.directories import DirectoryEntry, ModelDirectories
from rkllm_twisted.runtime.openat2 import Opener, open_componentwise, opener


@pytest.fixture(params=[opener(), open_componentwise], ids=["openat2", "componentwise"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> ModelDirectories:
    way: Opener = request.param
    (tmp_path / "models" / "folder").mkdir(parents=True)
    (tmp_path / "outside").write_text("secret")
    return ModelDirectories([os.fspath(tmp_path / "models")], way)


def only(opened: ModelDirectories, name: str) -> DirectoryEntry:
    return next(entry for entry in opened.entries(0, ".") if entry.name == name)


def test_a_directory_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match=r"--model-dir .*/none"):
        ModelDirectories([os.fspath(tmp_path / "none")])


def test_entries_are_in_order_without_hidden_ones(opened: ModelDirectories, tmp_path: Path) -> None:
    for name in ("b", "a", ".cache"):
        (tmp_path / "models" / name).write_text("x")
    assert opened.entries(0, ".") == [
        DirectoryEntry("a", is_file=True),
        DirectoryEntry("b", is_file=True),
        DirectoryEntry("folder", is_folder=True),
    ]


def test_a_pipe_is_neither_file_nor_folder_and_is_not_opened(
    opened: ModelDirectories, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "models" / "pipe")
    assert only(opened, "pipe") == DirectoryEntry("pipe")
    with pytest.raises(OSError, match="not a regular file"):
        opened.open(0, "pipe")


def test_a_link_that_leads_out_is_named(opened: ModelDirectories, tmp_path: Path) -> None:
    (tmp_path / "models" / "link").symlink_to(tmp_path / "outside")
    entry = only(opened, "link")
    assert not entry.is_file
    assert "link" in (entry.problem or "")
    with pytest.raises(OSError):
        opened.open(0, "link")


def test_a_link_to_nothing_and_one_to_itself_are_named(
    opened: ModelDirectories, tmp_path: Path
) -> None:
    (tmp_path / "models" / "nothing").symlink_to("gone")
    (tmp_path / "models" / "circle").symlink_to("circle")
    assert "link" in (only(opened, "nothing").problem or "")
    assert "circle" in (only(opened, "circle").problem or "")


def test_a_link_that_stays_inside_is_followed_where_the_kernel_can(tmp_path: Path) -> None:
    (tmp_path / "real.gguf").write_text("text")
    (tmp_path / "link.gguf").symlink_to("real.gguf")
    opened = ModelDirectories([os.fspath(tmp_path)])
    assert only(opened, "link.gguf").is_file
    assert opened.open(0, "link.gguf").read(0, 9) == b"text"


def test_no_path_leads_out(opened: ModelDirectories) -> None:
    for path in ("../outside", "folder/../../outside", "/etc/hostname"):
        with pytest.raises(OSError):
            opened.open(0, path)


def test_a_folder_that_is_swapped_for_a_link_is_never_followed(tmp_path: Path) -> None:
    inside, secret = tmp_path / "models", tmp_path / "secret"
    for folder in (inside / "a", secret):
        folder.mkdir(parents=True)
        (folder / "f").write_text("secret" if folder is secret else "fine")
    (inside / "b").symlink_to(secret)
    opened = ModelDirectories([os.fspath(inside)])
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            (inside / "a").rename(inside / "c")
            (inside / "b").rename(inside / "a")
            (inside / "a").rename(inside / "b")
            (inside / "c").rename(inside / "a")

    thread = threading.Thread(target=swap)
    thread.start()
    read = set()
    try:
        for _ in range(300):
            try:
                read.add(opened.open(0, "a/f").read(0, 9))
            except OSError:
                continue
    finally:
        stop.set()
        thread.join()
    assert read <= {b"fine"}


def test_a_folder_with_very_many_files_is_looked_at_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directories, "MAX_ENTRIES", 3)
    for n in range(5):
        (tmp_path / f"f{n}").write_text("x")
    entries = ModelDirectories([os.fspath(tmp_path)]).entries(0, ".")
    assert [entry.is_file for entry in entries] == [True, True, True, False]
    assert "3 files are the limit" in (entries[3].problem or "")


def test_an_opened_file_knows_whether_it_changed(opened: ModelDirectories, tmp_path: Path) -> None:
    path = tmp_path / "models" / "f"
    path.write_text("one")
    file = opened.open(0, "f")
    assert file.is_unchanged()
    path.write_text("other")
    assert not file.is_unchanged()
