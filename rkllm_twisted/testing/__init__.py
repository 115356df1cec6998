"""Test doubles of the daemon, for the tests of programs that use it.

See ``docs/testing.md``. A contract suite compares them with the real daemon.
"""

from rkllm_twisted.testing.answers import Answer, Crash, Disconnect, End, Hang
from rkllm_twisted.testing.daemon import FakeDaemon
from rkllm_twisted.testing.recorder import Call
from rkllm_twisted.testing.results import fake_result
from rkllm_twisted.testing.runtime import FakeRuntime
from rkllm_twisted.testing.threads import PacedThread, StepThread
from rkllm_twisted.testing.vision import FakeVision, fake_encoder

__all__ = [
    "Answer",
    "Call",
    "Crash",
    "Disconnect",
    "End",
    "FakeDaemon",
    "FakeRuntime",
    "FakeVision",
    "Hang",
    "PacedThread",
    "StepThread",
    "fake_encoder",
    "fake_result",
]
