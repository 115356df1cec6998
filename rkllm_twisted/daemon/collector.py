"""Chooses when Python's collector looks through all objects, which stops the reactor meanwhile.

That takes half a second while 10,000 calls wait. Python begins such a full collection in the middle
of whatever has made the last object; here it is made while few calls wait.
"""

from __future__ import annotations

import gc

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from rkllm_twisted.interfaces import INPU

#: Python itself makes a full collection after so many of its smaller ones, instead of 10. This is
#: for a queue that stays long: 2.1 million objects have come meanwhile, some 40,000 waiting calls.
FULL_AFTER = 300
#: After so many smaller collections a full one is worth its time: Python's own number.
WORTH_FULL = 10
#: A full collection is put off while more calls wait.
FEW_CALLS = 100
#: Between two looks at whether one is due.
INTERVAL_S = 10.0


class FullCollections(Service):
    """Makes full collections while few calls wait. It sets the collector of the whole process.

    :param npu: whose queue is looked at.
    :param clock: the reactor.
    """

    def __init__(self, npu: INPU, clock: IReactorTime) -> None:
        self._npu = npu
        self._looks = LoopingCall(self._look)
        self._looks.clock = clock

    def startService(self) -> None:
        """Set the collector, and begin to look at the queue."""
        super().startService()
        gc.set_threshold(*gc.get_threshold()[:2], FULL_AFTER)
        self._looks.start(INTERVAL_S, now=False)

    def stopService(self) -> None:
        """Look no more."""
        super().stopService()
        if self._looks.running:
            self._looks.stop()

    def _look(self) -> None:
        is_due = gc.get_count()[2] >= WORTH_FULL
        if is_due and self._npu.status().queue_length <= FEW_CALLS:
            gc.collect()
