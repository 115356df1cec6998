"""A conversation goes back to its board."""

from __future__ import annotations

import gc

import pytest

from rkllm_twisted.fleet_service.affinity import (
    Affinity,
    LastBoard,
    conversation_key,
    keeps_history,
)


class Client:
    """A client's connection."""


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (None, False),
        ([{"prompt_input": "Hello"}], False),
        ([{"prompt_input": "Hello"}, {"keep_history": 1}], True),
        ([None, {"prompt_input": "Hello"}, {"keep_history": 1}, None], True),
        ([{"prompt_input": "Hello"}, {"keep_history": 0}], False),
        ({"rkllm_input": {}, "rkllm_infer_params": {"keep_history": 1}}, True),
        ({"rkllm_input": {"prompt_input": "keep_history"}}, False),
        (["keep_history"], False),
    ],
)
def test_runs_that_keep_their_history(params: object, expected: bool) -> None:
    """By position and by name."""
    assert keeps_history(params) is expected  # type: ignore[arg-type]


def test_a_client_goes_back_where_its_history_is() -> None:
    """A run that keeps nothing reads the history all the same, so it goes there, too."""
    affinity, client = Affinity(), Client()
    assert affinity.of_client(client) is None
    affinity.ran(client, "b1", True)
    affinity.ran(client, "b1", False)
    assert affinity.of_client(client) == LastBoard("b1", True)


def test_a_client_without_history_is_bound_to_nothing() -> None:
    """Its place is where its last run was."""
    affinity, client = Affinity(), Client()
    affinity.ran(client, "b1", False)
    affinity.ran(client, "b2", False)
    assert affinity.of_client(client) == LastBoard("b2", False)


def test_a_client_is_told_once_that_its_history_is_lost() -> None:
    """Then it begins anew, on any board."""
    affinity, client = Affinity(), Client()
    affinity.ran(client, "b1", True)
    affinity.lost(client)
    assert affinity.of_client(client) is None


def test_a_place_goes_with_its_client() -> None:
    """What a client leaves behind is nothing."""
    affinity, client = Affinity(), Client()
    affinity.ran(client, "b1", True)
    del client
    gc.collect()
    assert not len(affinity._clients)


def test_turns_of_one_conversation_have_one_key() -> None:
    """The beginning is the same, whatever has been said since."""
    first = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    later = [*first, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "And?"}]
    other = [first[0], {"role": "user", "content": "Good morning"}]
    assert conversation_key(None, first) == conversation_key(None, later)
    assert conversation_key(None, first) != conversation_key(None, other)
    assert conversation_key("a", first) == conversation_key("a", other)
    assert conversation_key(None, None) is None


def test_conversations_beyond_the_limit_are_forgotten_the_oldest_first() -> None:
    """Going back is for speed only, so this costs no answer."""
    affinity = Affinity(most=2)
    for key in ("a", "b", "a", "c"):
        affinity.read(key, "b1")
    assert [affinity.of_conversation(key) for key in ("a", "b", "c")] == ["b1", None, "b1"]
