"""Shared parts: how much is measured, and the requests."""

from __future__ import annotations

import json
from typing import Any

import attrs

from benchmarks.suite.bench import Bench, Size


@attrs.frozen
class HTTPSize(Size):
    """How much is measured.

    :param short: short answers that are asked for.
    :param paced_tokens: tokens of each of the streams of many clients.
    :param answers: answers of the bundled model.
    """

    short: int = 200
    paced_tokens: int = 80
    answers: int = 40


FULL = HTTPSize(turns=5, tokens=10_000, burst=500, paced=500)
QUICK = HTTPSize(1, 0.05, 20, 200, 20, 20, short=8, paced_tokens=8, answers=2)


@attrs.frozen
class HTTPBench(Bench):
    """One run of this benchmark."""

    size: HTTPSize


def body(prompt: str, stream: bool = True, **members: Any) -> bytes:
    """Return a request of OpenAI's API."""
    messages = [{"role": "user", "content": prompt}]
    request = {"model": "model", "messages": messages, "stream": stream, "max_tokens": 10**6}
    return json.dumps({**request, **members}).encode()
