"""The errors themselves: copying, pickling and printing."""

from __future__ import annotations

import copy
import pickle

import pytest

from rkllm_twisted.errors import BY_CODE, MethodNotFound, RemoteError, RPCError

EVERY_KIND = [kind("No.", {"a": 1}) for kind in BY_CODE.values()]
EVERY_KIND.append(RemoteError(7, "No.", {"a": 1}))


@pytest.mark.parametrize("error", EVERY_KIND, ids=lambda error: type(error).__name__)
def test_an_error_can_be_copied_and_sent_to_another_process(error: RPCError) -> None:
    """Copies keep the code, the message and the data, as a pool of processes requires."""
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is type(error)
        assert (twin.code, twin.message, twin.data) == (error.code, "No.", {"a": 1})


def test_an_error_says_its_sentence_and_shows_its_data() -> None:
    """str gives the message, and repr gives the data."""
    error = BY_CODE[-32001]("Load a model.", {"function": "rkllm_run"})
    assert str(error) == "Load a model."
    assert repr(error) == "NoModel('Load a model.', {'function': 'rkllm_run'})"


def test_an_unknown_method_is_explained_by_the_known_ones() -> None:
    """A hint is for a name that other programs use; it goes before what looks alike."""
    known = ["server.ping", "rkllm.run"]
    assert "perhaps server.ping is meant" in MethodNotFound.named("server.pong", known).message
    assert "meant" not in MethodNotFound.named("server.pong", ["rkllm.run"]).message
    assert "; do so. " in MethodNotFound.named("server.pong", known, "do so").message
