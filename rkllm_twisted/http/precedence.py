"""Lets requests that people wait for go before those that programs make beside them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from twisted.internet.defer import Deferred

#: The seconds after which a request of a program waits no longer.
MAX_WAIT_S = 60.0
#: Open WebUI asks for a title, tags, follow-up questions and search queries of each chat with one
#: message that begins and continues so (the default templates in its ``config.py``).
_BEGINNING = "### Task:\n"
_CONTENT = "<chat_history>"


def is_background(messages: Any) -> bool:
    """True if no person waits for the answer to a conversation."""
    if not isinstance(messages, list) or not messages or not isinstance(messages[-1], dict):
        return False
    content = messages[-1].get("content")
    return isinstance(content, str) and content.startswith(_BEGINNING) and _CONTENT in content


class Precedence:
    """The order of requests to one daemon, before they are sent."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._of_people = 0
        self._waiting: list[Deferred[None]] = []

    @asynccontextmanager
    async def turn(self, is_background: bool) -> AsyncGenerator[None, None]:
        """Hold a place while a request is under way.

        :param is_background: True if no person waits for it; it waits until no other is under way.
        """
        if is_background:
            await self._until_none()
            yield
            return
        self._of_people += 1
        try:
            yield
        finally:
            self._of_people -= 1
            self._wake()

    async def _until_none(self) -> None:
        end = self._clock.seconds() + MAX_WAIT_S
        while self._of_people and self._clock.seconds() < end:
            none: Deferred[None] = Deferred()
            self._waiting.append(none)
            timer = self._clock.callLater(end - self._clock.seconds(), none.callback, None)
            try:
                await none
            finally:
                if timer.active():
                    timer.cancel()
                if none in self._waiting:
                    self._waiting.remove(none)

    def _wake(self) -> None:
        if not self._of_people:
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                if not one.called:
                    one.callback(None)
