"""A conversation of ``rkllm chat``, without a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemons import Daemon

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.chat_session import ChatSession, Turn, chat_options
from rkllm_twisted.errors import NoModel, RuntimeCrashed

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
    """The cache grows with each turn, and a new conversation begins anew."""
    conversation = ChatSession(client)
    sizes = []
    for _ in range(2):
        assert "".join(conversation.ask("hello there")) == "hello there"
        sizes += client.get_kv_cache_size()
    assert 0 < sizes[0] < sizes[1]
    conversation.clear()
    assert (conversation.turns, conversation.result) == ([], None)
    list(conversation.ask("hello there"))
    assert client.get_kv_cache_size() == sizes[:1]


def test_two_people_chat_at_once(client: Client) -> None:
    """Neither reads the other: the model gets each conversation again."""
    one, other = ChatSession(client), ChatSession(client)
    list(one.ask("I am Anna."))
    assert "".join(other.ask("I am Otto.")) == "I am Otto."
    again = "".join(one.ask("Who am I?"))
    assert "Anna" in again
    assert "Otto" not in again


def test_the_system_message_stands_before_the_first_question(client: Client) -> None:
    """Each conversation begins with it."""
    conversation = ChatSession(client, system="Be kind.")
    assert "".join(conversation.ask("one")) == "Be kind.\n\none"
    assert "".join(conversation.ask("two")) == "two"
    conversation.clear()
    assert "".join(conversation.ask("three")) == "Be kind.\n\nthree"


def test_a_question_is_asked_in_place_of_the_last(client: Client) -> None:
    """The model reads neither the last question nor its answer."""
    conversation = ChatSession(client)
    assert conversation.last_question is None
    list(conversation.ask("one"))
    assert conversation.last_question == "one"
    assert "".join(conversation.ask("two", again=True)) == "two"
    assert conversation.turns == [Turn("user", "two"), Turn("assistant", "two")]


def test_a_question_that_cannot_be_asked_again_stays(client: Client) -> None:
    """The next attempt is about the same question, not about the one before it."""
    conversation = ChatSession(client)
    for text in ("one", "two"):
        list(conversation.ask(text))
    before = list(conversation.turns)
    client.destroy()
    with pytest.raises(NoModel):
        list(conversation.ask("three", again=True))
    assert conversation.turns == before
    assert conversation.last_question == "two"


def test_an_answer_that_is_left_belongs_to_the_conversation_as_far_as_it_came(
    client: Client,
) -> None:
    """The next question is answered."""
    conversation = ChatSession(client)
    pieces = conversation.ask("one two three")
    first = next(pieces)
    pieces.close()
    assert conversation.turns == [Turn("user", "one two three"), Turn("assistant", first)]
    assert conversation.result is None
    assert "".join(conversation.ask("four")).endswith("four")
    assert conversation.result is not None


def test_fields_of_a_run_become_parameters_of_chat() -> None:
    given = {"sampling_params": {"top_k": 1}, "lora_params": {"lora_adapter_name": "a"}}
    assert chat_options(given) == {"sampling": {"top_k": 1}, "lora": "a"}
    with pytest.raises(ValueError, match="mode cannot be set in a chat"):
        chat_options({"mode": 1})


def test_a_saved_conversation_is_resumed(client: Client, tmp_path: Path) -> None:
    """The model reads all of it."""
    conversation = ChatSession(client, system="Be kind.")
    list(conversation.ask("I am Anna."))
    conversation.save(tmp_path / "c.json")
    other = ChatSession(client)
    other.resume(tmp_path / "c.json")
    assert (other.turns, other.system) == (conversation.turns, "Be kind.")
    list(ChatSession(client).ask("Hello"))
    assert "Anna" in "".join(other.ask("Who am I?"))
    (tmp_path / "c.md").write_text("no conversation")
    with pytest.raises(ValueError, match="holds no conversation"):
        other.resume(tmp_path / "c.md")


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
