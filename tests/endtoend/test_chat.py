"""chat.complete of a real daemon, as docs/chat.md shows it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemons import Daemon, RawClient
from documented_answers import fits

from rkllm_twisted.cpu import demo_model

Start = Callable[..., Daemon]
PAGE = Path(__file__).parents[2] / "docs" / "chat.md"


@pytest.fixture
def client(start: Start) -> Iterator[RawClient]:
    with start().connect() as client:
        param = {"model_path": str(demo_model()), "top_k": 1}
        assert "result" in client.ask("rkllm.init", {"param": param})
        yield client


def test_the_pages_requests_are_answered_as_it_shows(client: RawClient) -> None:
    lines = re.findall(r"^([→←]) (.+)$", PAGE.read_text(), re.MULTILINE)
    for direction, line in lines:
        message = json.loads(line)
        if direction == "→":
            client.send(message)
        else:
            real = client.line()
            assert fits(message, real), f"documented: {message}\nreal:       {real}"


def test_two_clients_talk_at_once_and_a_run_between_them_reads_neither(client: RawClient) -> None:
    """Each answer is the same as that of a conversation alone."""
    first = [{"role": "user", "content": "What is a generator?"}]
    second = [{"role": "user", "content": "What is a list?"}]
    prompt = {"rkllm_input": {"role": "user", "prompt_input": "What is a set?"}}
    alone = [
        client.ask("chat.complete", {"messages": first})["result"]["message"],
        client.ask("chat.complete", {"messages": second})["result"]["message"],
        client.ask("rkllm.run", prompt)["result"]["text"],
    ]
    for _ in range(2):
        asked = client.ask("chat.complete", {"messages": first, "stream": True})
        text = ""
        while "finish_reason" not in asked["result"]:
            text += asked["result"]["content"]
            asked = client.line()
        assert asked["result"]["message"]["content"] == text
        both = [asked["result"]["message"]]
        both.append(client.ask("chat.complete", {"messages": second})["result"]["message"])
        assert [*both, client.ask("rkllm.run", prompt)["result"]["text"]] == alone


def test_a_daemon_imports_nothing_of_chat_before_it_is_asked(start: Start) -> None:
    """The parts that only chat needs are not in the memory of a daemon without it."""
    daemon = start()
    with daemon.connect() as client:
        client.ask("server.ping")
    maps = Path(f"/proc/{daemon.process.pid}/maps").read_text()
    assert "tokenizers" not in maps
