"""The number of modules that a small request passes, from its bytes to its answer's bytes."""

from __future__ import annotations

import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from memory_client import FakeMethod, MemoryClient

import rkllm_twisted
from rkllm_twisted.methods.ping import ping
from rkllm_twisted.wire.framing import netstring

PACKAGE = str(Path(rkllm_twisted.__file__).parent)
#: A walk through the code should stay short: each module more is one more to open.
MAX_MODULES = 13


def modules_of(data: bytes, talk: MemoryClient) -> set[str]:
    """The package's modules that run while a connection handles its input."""
    seen: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            seen.add(frame.f_code)

    sys.setprofile(note)
    try:
        talk.protocol.dataReceived(data)
    finally:
        sys.setprofile(None)
    names = {code.co_filename for code in seen}
    return {name.removeprefix(PACKAGE) for name in names if name.startswith(PACKAGE)}


def test_a_ping_goes_through_few_modules() -> None:
    """The count goes from dataReceived to the transport's write."""
    talk = MemoryClient([FakeMethod("echo"), ping])  # type: ignore[list-item]
    data = netstring(b'{"jsonrpc":"2.0","method":"server.ping","id":1}')
    modules = modules_of(data, talk)
    assert talk.replies()
    assert len(modules) <= MAX_MODULES, sorted(modules)
