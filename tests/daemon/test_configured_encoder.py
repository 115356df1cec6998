"""``--encoder`` loads the encoder at the start and after a crash, but not after an unload."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock

from rkllm_twisted.daemon.configured_encoder import CHECK_INTERVAL_S, ConfiguredEncoder
from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.testing import FakeVision
from rkllm_twisted.vision_interfaces import EncoderFacts, EncoderLoad


class Watched(FakeVision):
    """A fake that counts loads, refuses some, and can crash."""

    def __init__(self, refusals: int = 0) -> None:
        super().__init__()
        self.loads = 0
        self.refusals = refusals
        self.problem: str | None = None

    def load(self, asked: EncoderLoad, client: Hashable = None) -> Deferred[EncoderFacts]:
        """Count a load."""
        self.loads += 1
        if self.loads <= self.refusals:
            return fail(RuntimeRefused("rknn_init returned -3."))
        self.problem = None
        return super().load(asked)

    def status(self) -> Mapping[str, object]:
        """Return what the service looks at."""
        return {**super().status(), "problem": self.problem}


def served(vision: FakeVision, clock: Clock) -> ConfiguredEncoder:
    """Start the service."""
    service = ConfiguredEncoder(clock, vision, EncoderLoad("/e.rknn"))
    service.startService()
    return service


def test_it_is_loaded_once() -> None:
    """And stays unloaded if a client unloads it."""
    vision, clock = Watched(), Clock()
    service = served(vision, clock)
    vision.unload()
    clock.pump([CHECK_INTERVAL_S] * 100)
    assert vision.loads == 1
    service.stopService()
    assert not clock.getDelayedCalls()


def test_it_is_loaded_again_after_a_crash() -> None:
    """Soon, as it had stood before."""
    vision, clock = Watched(), Clock()
    served(vision, clock)
    clock.pump([CHECK_INTERVAL_S] * 100)
    vision.encoder, vision.problem = None, "was killed by SIGSEGV"
    clock.pump([CHECK_INTERVAL_S] * 3)
    assert vision.loads == 2


def test_a_load_that_fails_is_tried_less_and_less_often() -> None:
    """The log says why it failed."""
    vision, clock = Watched(refusals=5), Clock()
    served(vision, clock)
    clock.pump([CHECK_INTERVAL_S] * 10)
    assert vision.loads == 4
    clock.pump([CHECK_INTERVAL_S] * 100)
    assert vision.loads == 6
    assert vision.encoder is not None
