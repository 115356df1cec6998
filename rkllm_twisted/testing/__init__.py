"""Test doubles: the daemon without a board, for whoever tests a program that talks to it.

See ``docs/testing.md``. They are held to the real daemon by a contract suite.
"""

from rkllm_twisted.testing.answers import Answer, Crash, Disconnect, End, Hang
from rkllm_twisted.testing.daemon import FakeDaemon
from rkllm_twisted.testing.recorder import Call
from rkllm_twisted.testing.results import fake_result
from rkllm_twisted.testing.runtime import FakeRuntime
from rkllm_twisted.testing.threads import PacedThread, StepThread

__all__ = [
    "Answer",
    "Call",
    "Crash",
    "Disconnect",
    "End",
    "FakeDaemon",
    "FakeRuntime",
    "Hang",
    "PacedThread",
    "StepThread",
    "fake_result",
]
