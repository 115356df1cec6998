"""A fleet of three real daemons: unchanged clients, and nobody reads another's conversation."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet_parts import PACED, TEXT, RealFleet, real_fleet
from rkllm_command import RKLLM, surroundings

from rkllm_twisted.blocking import Client
from rkllm_twisted.cpu import demo_model
from rkllm_twisted.errors import RuntimeCrashed

#: The model that comes with the package answers to them by their names.
NAMES = (
    *("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry", "Ivan", "Julia"),
    *("Kate", "Leo", "Maria", "Nina", "Oscar", "Paul", "Rosa", "Sam", "Tom", "Vera"),
)


@pytest.fixture(scope="module")
def paced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealFleet]:
    """Three boards with a scripted model."""
    directory = tmp_path_factory.mktemp("paced")
    model = directory / "paced.script"
    model.write_text(PACED)
    with real_fleet(directory, model) as fleet:
        yield fleet


@pytest.fixture
def fleet(paced: RealFleet) -> RealFleet:
    """The same, when all boards are free."""
    paced.await_boards(3)
    return paced


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealFleet]:
    """Three boards with the model that comes with the package."""
    params = ("--model-param", "top_k=1")
    with real_fleet(tmp_path_factory.mktemp("talking"), demo_model(), 3, *params) as fleet:
        yield fleet


def rkllm(fleet: RealFleet, *words: str, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run the command on the front."""
    env = {**surroundings(), "RKLLM_UDS_PATH": fleet.path}
    return subprocess.run(
        [*RKLLM, *words], env=env, capture_output=True, text=True, timeout=60, **how
    )


def test_the_command_works_on_a_front(fleet: RealFleet) -> None:
    """As on a daemon's socket."""
    assert rkllm(fleet, "run", "Hello").stdout == f"{TEXT}\n"
    assert "paced" in rkllm(fleet, "models").stdout
    shown = rkllm(fleet, "status").stdout
    assert "loaded" in shown
    assert "fleet" in shown
    refused = rkllm(fleet, "destroy")
    assert refused.returncode != 0
    assert "fleet.call" in refused.stderr


def test_the_fleets_status_is_a_table(fleet: RealFleet) -> None:
    """A row for each board."""
    shown = rkllm(fleet, "fleet", "status").stdout.splitlines()
    assert [line.split()[:3] for line in shown[1:4]] == [
        [name, "paced", "free"] for name in ("b1", "b2", "b3")
    ]
    assert "lost runs: 0" in shown[-1]


def test_nine_runs_in_three_waves(fleet: RealFleet) -> None:
    """Three at once, and no board idle while one waits."""
    ends: list[float] = []
    texts: list[str] = []

    def ask() -> None:
        with Client(fleet.path) as client:
            texts.append(client.call("rkllm.run", [{"prompt_input": "Hello"}])["text"])
            ends.append(time.monotonic() - began)

    threads = [threading.Thread(target=ask) for _ in range(9)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert texts == [TEXT] * 9
    waves = [sorted(ends)[at] for at in (2, 5, 8)]
    assert waves[0] < waves[1] - 0.3 < waves[2] - 0.6


def test_a_client_that_leaves_frees_its_board(fleet: RealFleet) -> None:
    """Its run ends there, too."""
    with Client(fleet.path) as client:
        results = client.stream("rkllm.run_async", [{"prompt_input": "Long"}])
        next(results)
        assert fleet.status()["free"] == 2
        results.close()
    fleet.await_boards(3)


def outcome(client: Client, params: Any) -> str | RuntimeCrashed:
    """The text of a run, or the error that says that a board or a history is lost."""
    try:
        text: str = client.call("rkllm.run", params)["text"]
    except RuntimeCrashed as error:
        return error
    return text


def test_twenty_interleaved_conversations_read_no_other(talking: RealFleet) -> None:
    """Each continues its own history, or is told that it is lost."""
    clients = {name: Client(talking.path, timeout=30) for name in NAMES}
    continued = 0
    for name, client in clients.items():
        said = [{"prompt_input": f"My name is {name}."}, {"keep_history": 1}]
        assert client.call("rkllm.run", said)["text"] == f"Hello {name}."
    for name, client in clients.items():
        asked = [{"prompt_input": "What is my name?"}, {"keep_history": 1}]
        answer = outcome(client, asked)
        if isinstance(answer, RuntimeCrashed):
            assert (answer.data or {})["history"] == "lost"
        else:
            assert answer == f"Your name is {name}."
            continued += 1
    assert continued  # those whose board nobody has used since
    for client in clients.values():
        client.close()


def test_twenty_chats_in_turns_read_no_other(talking: RealFleet) -> None:
    """They send everything, so any board will do."""
    clients = {name: Client(talking.path, timeout=30) for name in NAMES}
    messages = {name: [{"role": "user", "content": f"My name is {name}."}] for name in NAMES}
    for question in ("What is my name?", None):
        for name, client in clients.items():
            answer = client.call("chat.complete", {"messages": messages[name]})["message"]
            assert not [other for other in NAMES if other != name and other in answer["content"]]
            messages[name] += [answer, {"role": "user", "content": question}]
    for client in clients.values():
        client.close()


def test_a_daemon_that_is_killed_costs_one_answer(tmp_path: Path) -> None:
    """Its board offers nothing; the other serves, and no token comes twice."""
    model = tmp_path / "paced.script"
    model.write_text(PACED)
    with real_fleet(tmp_path, model, 2) as fleet, Client(fleet.path, timeout=30) as client:
        came = []
        with pytest.raises(RuntimeCrashed) as caught:  # noqa: PT012 - the stream is the statement
            for result in client.stream("rkllm.run_async", [{"prompt_input": "Long"}]):
                came.append(result)
                if len(came) == 3:
                    busy = [row["board"] for row in fleet.status()["boards"] if row["is_busy"]]
                    fleet.daemons[busy[0]].stop(signal.SIGKILL)
        assert caught.value.data is not None
        assert caught.value.data["board"] == busy[0]
        assert caught.value.data["tokens"] == len(came)
        for _ in range(3):
            assert client.call("rkllm.run", [{"prompt_input": "Hello"}])["text"] == TEXT
        assert fleet.status()["lost_runs"] == 1
