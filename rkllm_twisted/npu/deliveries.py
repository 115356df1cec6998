"""What a turn sends from the NPU thread to the reactor thread: in order, and together.

Waking the reactor costs more than a token, and so does each write to a client.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

#: The tokens of a batch beyond which the NPU thread waits for the reactor: with some 200 bytes for
#: each, a fifth of what may wait for a client.
MAX_TOKENS = 1000
#: The longest such wait.
MAX_WAIT_S = 0.25


class Delivery(msgspec.Struct, eq=False):
    """A function to call. A struct of msgspec's, as its batch: each token makes both.

    :param results: what a function gets that takes a list; None: it gets ``args``.
    """

    function: Callable[..., object]
    args: tuple[Any, ...] = ()
    results: list[Any] | None = None


class DeliveryBatch(msgspec.Struct, eq=False):
    """Deliveries that are made together.

    :ivar tokens: how many tokens came.
    """

    tokens: int = 0
    deliveries: list[Delivery] = []

    def add_results(self, function: Callable[..., object], results: Iterable[object]) -> None:
        """Add results for a function that takes a list of those that came together."""
        if self.deliveries:
            last = self.deliveries[-1]
            if last.results is not None and last.function == function:
                last.results += results
                return
        self.deliveries.append(Delivery(function, (), [*results]))

    def add_all(self, later: DeliveryBatch) -> None:
        """Add what another batch has."""
        self.tokens += later.tokens
        for delivery in later.deliveries:
            if delivery.results is None:
                self.deliveries.append(delivery)
            else:
                self.add_results(delivery.function, delivery.results)


class Deliveries:
    """The batches of one turn. One that the reactor has not taken yet grows, up to a bound.

    Beyond it the NPU thread waits, and so does what it reads from: a client that reads at once must
    not get more at once than may wait for one that does not read.

    :param from_thread: ``reactor.callFromThread``.
    :param deliver: called with each batch, in the reactor thread.
    """

    def __init__(
        self, from_thread: Callable[..., object], deliver: Callable[[DeliveryBatch], object]
    ) -> None:
        self._from_thread = from_thread
        self._deliver = deliver
        # A condition is entered and asked by functions of Python: a lone token needs none.
        self._lock = threading.Lock()
        self._taken = threading.Condition(self._lock)
        self._is_waiting = False
        self._growing: DeliveryBatch | None = None

    def put(self, batch: DeliveryBatch) -> None:
        """Deliver a batch soon. In the NPU thread."""
        with self._lock:
            growing = self._growing
            if growing is not None and growing.tokens >= MAX_TOKENS:
                # Not for ever: the reactor may wait for this thread, or have ended.
                self._is_waiting = True
                self._taken.wait_for(lambda: self._growing is not growing, MAX_WAIT_S)
                self._is_waiting = False
                growing = self._growing
            if growing is None:
                self._growing = batch
            else:
                growing.add_all(batch)
        if growing is None:
            self._from_thread(self._take, batch)

    def end_batch(self) -> None:
        """Begin another batch with what comes next. In the NPU thread."""
        with self._lock:
            self._growing = None

    def _take(self, batch: DeliveryBatch) -> None:
        with self._lock:
            if self._growing is batch:
                self._growing = None
                if self._is_waiting:
                    self._taken.notify()
        self._deliver(batch)
