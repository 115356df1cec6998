"""``--encoder``: loads the vision encoder when the daemon starts, and again after a crash."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from rkllm_twisted.errors import ShuttingDown
from rkllm_twisted.vision_interfaces import EncoderFacts, EncoderLoad, IVision

#: Seconds between two checks that the encoder is still loaded.
CHECK_INTERVAL_S = 1.0
#: The delay before the second try, and the longest, in seconds; each try doubles it.
BACK_OFF_S, MAX_BACK_OFF_S = 1.0, 300.0

_log = Logger("rkllm.vision")


class ConfiguredEncoder(Service):
    """Loads an encoder. One that a client unloaded stays so."""

    def __init__(self, reactor: Any, vision: IVision, asked: EncoderLoad) -> None:
        self._vision = vision
        self._asked = asked
        self._reactor = reactor
        self._is_loading = False
        self._delay, self._due = BACK_OFF_S, 0.0
        self._has_failed = False
        self._watch = LoopingCall(self._check)
        self._watch.clock = reactor

    def startService(self) -> None:
        """Load the encoder. It comes before the model, so that it gets the NPU's first memory."""
        super().startService()
        self._load()
        self._watch.start(CHECK_INTERVAL_S, now=False)

    def stopService(self) -> None:
        """Load it no more."""
        super().stopService()
        if self._watch.running:
            self._watch.stop()

    def _load(self) -> None:
        self._is_loading, self._has_failed = True, False
        self._due = self._reactor.seconds() + self._delay
        self._delay = min(2 * self._delay, MAX_BACK_OFF_S)
        _log.info("loading the vision encoder {path}", path=self._asked.path)
        loading = self._vision.load(self._asked)
        loading.addCallbacks(self._loaded, self._failed)

    def _loaded(self, encoder: EncoderFacts) -> None:
        self._is_loading, self._delay = False, BACK_OFF_S
        _log.info(
            "the vision encoder {path} is loaded after {duration:.1f} s: {width} x {height} pixels,"
            " {tokens} tokens of {row_width} numbers",
            path=encoder.asked.path,
            duration=encoder.load_s,
            width=encoder.width,
            height=encoder.height,
            tokens=encoder.tokens,
            row_width=encoder.row_width,
        )

    def _failed(self, failure: Failure) -> None:
        self._is_loading, self._has_failed = False, True
        if self.running and not failure.check(ShuttingDown, CancelledError):
            _log.error(
                "the vision encoder {path} is not loaded: {error}",
                path=self._asked.path,
                error=failure.value,
            )

    def _check(self) -> None:
        is_gone = self._vision.encoder is None and not self._is_loading
        has_crashed = self._has_failed or self._vision.status()["problem"] is not None
        if is_gone and has_crashed and self._reactor.seconds() >= self._due:
            self._load()
