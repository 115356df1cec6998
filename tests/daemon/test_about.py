"""The daemon's description of its own state."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.task import Clock
from zope.interface import implementer

from rkllm_twisted.daemon.about import About, summary_of
from rkllm_twisted.interfaces import IConversation
from rkllm_twisted.values import NPUStatus, Running, Waiting


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (NPUStatus("empty", None, 0, 0, 0), "no model is loaded; waiting calls: 0; clients: 2"),
        (
            NPUStatus("running", "/models/qwen.rkllm", 3, 0, 0),
            "qwen.rkllm is running; waiting calls: 3; clients: 2",
        ),
        (
            NPUStatus("failed", None, 0, 0, 0, "was killed by SIGSEGV"),
            "the runtime's process was killed by SIGSEGV; rkllm.init tries again;"
            " waiting calls: 0; clients: 2",
        ),
    ],
)
def test_the_state_names_model_and_queue(status: NPUStatus, line: str) -> None:
    """`systemctl status` shows the text."""
    assert summary_of(status, 2) == line


@pytest.mark.parametrize(
    "state", ["empty", "loading", "loaded", "running", "stuck", "failed", "closed"]
)
def test_every_state_has_words(state: str) -> None:
    """The states are those that NPUStatus documents."""
    assert state in NPUStatus.__doc__  # type: ignore[operator]
    assert summary_of(NPUStatus(state, None, 0, 0, 0), 0)


@implementer(IConversation)
class Connection:
    """A client that is a connection, as far as the status asks."""

    def __init__(self, number: int) -> None:
        self.peer = SimpleNamespace(number=number)


class FakeNPU:
    """An NPU with a long queue."""

    def status(self, most_waiting: int = 0) -> NPUStatus:
        """Return the state, with as many clients as are asked for."""
        clients = [Waiting(Connection(1), 2), *[Waiting("a plugin", 1)] * 199]
        running = Running(Connection(5), "rkllm_run")
        return NPUStatus(
            *("running", "m", 400, 0, 0, None, running, tuple(clients[:most_waiting])),
            waiting_clients=200,
        )

    def version(self) -> SimpleNamespace:
        """Return the part of the version that the status has."""
        return SimpleNamespace(backend="cpu")


def test_the_status_names_a_hundred_clients_by_number() -> None:
    """It counts all of them; what waits for its model comes after what waits for the NPU."""
    resident = SimpleNamespace(
        models=None, loaded=None, waiting=tuple(Waiting(None, 1) for _ in range(9))
    )
    about = About(Clock(), FakeNPU(), lambda: 7, lambda: None, resident)  # type: ignore[arg-type]
    status = about.status()
    waiting: Any = status["waiting"]
    assert waiting[:2] == [{"client": 1, "calls": 2}, {"client": None, "calls": 1}]
    assert len(waiting) == 100
    assert (status["waiting_clients"], status["queue_length"]) == (209, 409)
    assert status["running"] == {"client": 5, "function": "rkllm_run"}
