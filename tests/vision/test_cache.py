"""The rows of pictures are kept, up to a number of bytes."""

from __future__ import annotations

from rkllm_twisted.vision.cache import RowCache, picture_key


def test_what_was_used_longest_ago_is_dropped_first() -> None:
    cache = RowCache[str](10)
    cache.put(b"a", "A", 4)
    cache.put(b"b", "B", 4)
    assert cache.get(b"a") == "A"
    cache.put(b"c", "C", 4)
    assert (cache.get(b"a"), cache.get(b"b"), cache.get(b"c"), cache.size) == ("A", None, "C", 8)


def test_rows_larger_than_the_cache_are_not_kept_and_drop_nothing() -> None:
    cache = RowCache[str](10)
    cache.put(b"a", "A", 4)
    cache.put(b"b", "B", 11)
    assert (cache.get(b"a"), cache.get(b"b"), cache.size) == ("A", None, 4)


def test_rows_that_are_put_again_count_once() -> None:
    cache = RowCache[str](10)
    cache.put(b"a", "A", 4)
    cache.put(b"a", "A2", 6)
    assert (cache.get(b"a"), cache.size) == ("A2", 6)
    cache.clear()
    assert (cache.get(b"a"), cache.size) == (None, 0)


def test_a_key_has_all_that_rows_depend_on() -> None:
    keys = {
        picture_key("encoder", b"pixels", "pad", "vendor"),
        picture_key("encoder2", b"pixels", "pad", "vendor"),
        picture_key("encoder", b"pixels2", "pad", "vendor"),
        picture_key("encoder", b"pixels", "stretch", "vendor"),
        picture_key("encoder", b"pixels", "pad", "smooth"),
        picture_key("encoder", b"pixels", "padv", "endor"),
    }
    assert len(keys) == 6
