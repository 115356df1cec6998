"""A conversation of ``rkllm chat``, without a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemons import Daemon

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.chat_session import ChatSession, Turn
from rkllm_twisted.errors import RuntimeCrashed

Start = Callable[..., Daemon]
Script = Callable[[str], Path]


@pytest.fixture
def client(start: Start, script: Script) -> Iterator[Client]:
    """Connect to a daemon with a model that repeats its input."""
    daemon = start()
    daemon.load(script('run when "die"\ntoken "so "\nsegv\nrun\necho\n'))
    with Client(daemon.path) as client:
        yield client


def test_the_model_reads_on_and_forgets_when_told(client: Client) -> None:
    """The cache grows with each turn and is empty after clear."""
    conversation = ChatSession(client)
    sizes = []
    for _ in range(2):
        assert "".join(conversation.ask("hello there")) == "hello there"
        sizes += client.get_kv_cache_size()
    assert 0 < sizes[0] < sizes[1]
    conversation.clear()
    assert client.get_kv_cache_size() == [0]
    assert (conversation.turns, conversation.perf) == ([], None)


def test_the_system_prompt_stands_before_the_first_question(client: Client) -> None:
    """Each conversation begins with the system prompt."""
    conversation = ChatSession(client, system="Be kind.")
    assert "".join(conversation.ask("one")) == "Be kind.\n\none"
    assert "".join(conversation.ask("two")) == "two"
    conversation.clear()
    assert "".join(conversation.ask("three")) == "Be kind.\n\nthree"


def test_an_answer_that_is_left_belongs_to_the_conversation_as_far_as_it_came(
    client: Client,
) -> None:
    """The next question is answered."""
    conversation = ChatSession(client)
    pieces = conversation.ask("one two three")
    first = next(pieces)
    pieces.close()
    assert conversation.turns == [Turn("user", "one two three"), Turn("assistant", first)]
    assert conversation.perf is None
    assert "".join(conversation.ask("four")) == "four"
    assert conversation.perf is not None


def test_an_answer_that_a_crash_cuts_short_does_so_too(client: Client) -> None:
    """The partial answer can be saved."""
    conversation = ChatSession(client)
    with pytest.raises(RuntimeCrashed):
        list(conversation.ask("die"))
    assert conversation.turns == [Turn("user", "die"), Turn("assistant", "so ")]


def test_a_conversation_is_saved_as_the_name_says(client: Client, tmp_path: Path) -> None:
    """The file's extension chooses JSON or Markdown."""
    conversation = ChatSession(client, system="Be kind.")
    list(conversation.ask("Grüße"))
    answer = "Be kind.\n\nGrüße"
    conversation.save(tmp_path / "c.json")
    assert json.loads((tmp_path / "c.json").read_text()) == {
        "system": "Be kind.",
        "turns": [{"role": "user", "text": "Grüße"}, {"role": "assistant", "text": answer}],
    }
    conversation.save(tmp_path / "c.md")
    said = f"*Be kind.*\n\n**user:** Grüße\n\n**assistant:** {answer}\n"
    assert (tmp_path / "c.md").read_text() == said
