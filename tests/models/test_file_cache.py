"""The cache of facts about files, and when it reads a file again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from rkllm_twisted.errors import Cancelled, InvalidParams
from rkllm_twisted.models import file_cache
from rkllm_twisted.models.directories import ModelDirectories, ModelFile
from rkllm_twisted.models.file_cache import FileCache


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 1000)
    return path


def opened(path: Path) -> ModelFile:
    return ModelDirectories([os.fspath(path.parent)]).open(0, path.name)


def test_the_digest_is_sha256_of_the_whole_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_cache, "DIGEST_CHUNK_BYTES", 64)
    assert FileCache().digest(opened(path)) == hashlib.sha256(b"x" * 1000).hexdigest()


def test_a_digest_is_known_after_it_was_asked_for_until_the_file_changes(path: Path) -> None:
    cache = FileCache()
    file = opened(path)
    assert cache.known_digest(file.identity) is None
    digest = cache.digest(file)
    assert cache.known_digest(opened(path).identity) == digest
    path.write_bytes(b"y" * 1000)
    os.utime(path, ns=(1, 1))
    assert cache.known_digest(opened(path).identity) is None


def test_a_known_digest_reads_nothing(path: Path) -> None:
    cache = FileCache()
    digest = cache.digest(opened(path))
    assert cache.digest(opened(path), lambda: pytest.fail("asked")) == digest


def test_a_digest_can_be_cancelled_amid_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_cache, "DIGEST_CHUNK_BYTES", 64)
    asked = iter([False, False, True])
    cache = FileCache()
    with pytest.raises(Cancelled):
        cache.digest(opened(path), lambda: next(asked))
    assert list(asked) == []
    assert cache.known_digest(opened(path).identity) is None


def test_a_file_that_changes_while_it_is_read_has_no_digest(path: Path) -> None:
    def grow() -> bool:
        path.write_bytes(b"longer" * 1000)
        return False

    with pytest.raises(InvalidParams, match="is being written"):
        FileCache().digest(opened(path), grow)


def test_a_fact_is_found_once_for_one_content(path: Path) -> None:
    cache, found = FileCache(), []

    def find(file: ModelFile) -> int:
        found.append(file.identity.size)
        return len(found)

    assert [cache.fact(opened(path), find), cache.fact(opened(path), find)] == [1, 1]
    path.write_bytes(b"other")
    assert cache.fact(opened(path), find) == 2


def test_the_oldest_facts_go_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_cache, "MAX_FACTS", 2)
    cache = FileCache()
    for size in (1, 2, 3):
        path.write_bytes(b"x" * size)
        cache.digest(opened(path))
        last = opened(path).identity
    assert cache.known_digest(last) is not None
    assert len(cache._facts) == 2
