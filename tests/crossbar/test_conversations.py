"""Conversations at once over a real router: none reads another's, and no token comes twice."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from crossbar_fleet import Fleet
from crossbar_router import require_crossbar
from daemons import MAX_WAIT_S

from rkllm_twisted.blocking import Client
from rkllm_twisted.cpu import demo_model
from rkllm_twisted.errors import InvalidRequest, RuntimeCrashed

require_crossbar()

#: The model that comes with the package answers to them by their names.
NAMES = (
    *("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry", "Ivan", "Julia"),
    *("Kate", "Leo", "Maria", "Nina", "Oscar", "Paul", "Rosa", "Sam", "Tom", "Vera"),
)
ROUNDS = 3


def load(services: Fleet, model: str) -> None:
    """Load a model on every board, as an administrator of the fleet, and wait for it."""
    with Client(services.path, timeout=60) as client:
        for board in services.bridges:
            param = {"model_path": model, "top_k": 1}
            load = {"board": board, "method": "rkllm.init", "params": [param]}
            client.call("fleet.call", load)
    began, name = time.monotonic(), Path(model).stem
    while any(row["model"] != name for row in services.status()["boards"]):
        assert time.monotonic() - began < MAX_WAIT_S
        time.sleep(0.02)  # the status is the only sign
    services.await_boards(3)


@pytest.fixture
def talking(services: Fleet) -> Iterator[Fleet]:
    """Boards with the model that comes with the package."""
    load(services, str(demo_model()))
    yield services
    load(services, str(services.model))


def streamed(client: Client, text: str) -> str | None:
    """The joined tokens of a run that keeps its history; None if it says that this is lost."""
    results = client.stream("rkllm.run_async", [{"prompt_input": text}, {"keep_history": 1}])
    try:
        return "".join(result["text"] or "" for result in results)
    except RuntimeCrashed as error:
        if (error.data or {}).get("history") == "lost":
            return None
        raise


def conversation(path: str, name: str) -> set[str | None]:
    """Say a name, and ask for it; after a loss, begin again. Return the answers."""
    answers = set()
    with Client(path, timeout=120) as client:
        for _ in range(ROUNDS):
            said = streamed(client, f"My name is {name}.")
            answers.add(said)
            if said is not None:
                answers.add(streamed(client, "What is my name?"))
    return answers


def test_twenty_histories_at_once_read_no_other(talking: Fleet) -> None:
    """Each turn is answered from its own history, or says that this is lost."""
    names = random.sample(NAMES, len(NAMES))
    with ThreadPoolExecutor(len(names)) as pool:
        talks = list(pool.map(lambda name: conversation(talking.path, name), names))
    for name, answers in zip(names, talks, strict=True):
        assert answers <= {f"Hello {name}.", f"Your name is {name}.", None}
        assert f"Hello {name}." in answers


def chat(path: str, name: str) -> list[str]:
    """Ask with the whole conversation in each request."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": f"My name is {name}."}]
    texts = []
    with Client(path, timeout=120) as client:
        for question in ("What is my name?", None):
            answer = client.call("chat.complete", {"messages": messages})
            texts.append(str(answer["message"]["content"]))
            messages += [answer["message"], {"role": "user", "content": question}]
    return texts


def test_twenty_chats_at_once_lose_nothing(talking: Fleet) -> None:
    """A chat sends all that was said, so any board answers it, and none from another's."""
    with ThreadPoolExecutor(len(NAMES)) as pool:
        talks = pool.map(lambda name: chat(talking.path, name), NAMES)
        for name, texts in zip(NAMES, talks, strict=True):
            assert texts[0] == f"Hello {name}."
            assert not [other for other in NAMES if other != name and other in texts[1]]


def test_a_prompt_of_20_mb_is_refused_without_harm(services: Fleet) -> None:
    """The front says so and answers what comes next; a prompt just below the limit runs."""
    with (
        Client(services.path, timeout=60) as client,
        pytest.raises(InvalidRequest, match="send less"),
    ):
        client.call("rkllm.run", [{"prompt_input": "x" * 20_000_000}])
    with Client(services.path, timeout=60) as client:
        almost = "x" * (11 * 1024 * 1024)
        answer = client.call("rkllm.run", [{"prompt_input": f"{almost} Hello"}])
        assert answer["board"] in services.bridges
    services.await_boards(3)
