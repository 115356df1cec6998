"""Shared by the routes that answer with a model."""

from __future__ import annotations

import secrets
import time

from rkllm_twisted.http.openai.chat_answer import Label
from rkllm_twisted.http.target import Target
from rkllm_twisted.http_interfaces import IExchange


def label_for(target: Target, prefix: str) -> Label:
    """Return the label of a new answer.

    :param prefix: of its id, such as ``chatcmpl``.
    """
    digest = (target.model.digest or "")[:12] or str(target.model.created)
    fingerprint = f"fp_rkllm_{target.link.release}_{digest}"
    return Label(
        f"{prefix}-{secrets.token_hex(12)}", int(time.time()), target.model.name, fingerprint
    )


def name_ignored(exchange: IExchange, fields: tuple[str, ...]) -> None:
    """Name the fields that change nothing in a header of the answer."""
    if fields:
        exchange.set_header("X-RKLLM-Ignored", ", ".join(fields))
