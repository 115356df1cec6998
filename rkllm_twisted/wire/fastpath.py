"""Parses common messages in one pass.

A message is plain if it is a request or a notification with the members of JSON-RPC only, each of
them once. One pass of the parser and a few searches in the bytes show that. A message that is not
plain, or is wrong, is left to :mod:`rkllm_twisted.wire.jsonrpc`, which says what is wrong.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from rkllm_twisted.values import Params
from rkllm_twisted.wire import validation
from rkllm_twisted.wire.messages import Batch, Notification, Request
from rkllm_twisted.wire.validation import MAX_BATCH, MAX_ID_BYTES

#: Bytes; a longer message is not read over and over.
MAX_PLAIN_BYTES = 64 * 1024

#: What an id begins with: a string, a number or null.
ID_BEGINS = frozenset(b'"-0123456789n')
#: What params begin with: an array, an object or null.
PARAMS_BEGIN = frozenset(b"[{n")
_COLON, _BRACKET = b":["


class _PlainMessage(msgspec.Struct, gc=False):
    """A request or a notification."""

    jsonrpc: Literal["2.0"]
    method: str
    id: Raw | UnsetType = UNSET
    params: Raw | UnsetType = UNSET


_decode_message = msgspec.json.Decoder(_PlainMessage).decode
_messages = msgspec.json.Decoder(list[_PlainMessage]).decode
_params = msgspec.json.Decoder().decode


def read(text: bytes) -> Request | Notification | Batch | None:
    """Parse a message if it is plain.

    :param text: UTF-8, without framing.
    :returns: the message; None if it is not plain.
    """
    if not 0 < len(text) <= MAX_PLAIN_BYTES:
        return None
    try:
        if text[0] == _BRACKET:
            return _batch(text)
        call = _decode_message(text)
        if call.params is not UNSET:
            return _with_params(text, call)
        return _message(call, None) if text.count(_COLON) == _colons(call) else None
    except (msgspec.DecodeError, RecursionError):
        return None


def _colons(call: _PlainMessage) -> int:
    """Return the number of colons of a message without those of its params."""
    return 2 + (call.id is not UNSET) + (call.params is not UNSET)


def _message(call: _PlainMessage, params: Params) -> Request | Notification | None:
    if call.id is UNSET:
        return Notification(call.method, params)
    raw_id = bytes(call.id)
    if raw_id[0] in ID_BEGINS and len(raw_id) <= MAX_ID_BYTES:
        return Request(raw_id, call.method, params)
    return None


def _with_params(text: bytes, call: _PlainMessage) -> Request | Notification | None:
    raw = bytes(call.params)  # type: ignore[arg-type]  # they are there
    inside = raw.count(_COLON)
    if raw[0] not in PARAMS_BEGIN or text.count(_COLON) - inside != _colons(call):
        return None
    if validation.too_large(text) or (inside > 1 and validation.repeated_member(raw) is not None):
        return None
    return _message(call, _params(raw))


def _batch(text: bytes) -> Batch | None:
    """Parse a batch whose members have no params."""
    count = text.count(b"{")
    if count > MAX_BATCH or text.count(b"[") > 1:
        return None
    calls = _messages(text)
    if len(calls) != count or not calls:
        return None
    colons = sum([2 if call.id is UNSET else 3 for call in calls])
    members = [_message(call, None) for call in calls if call.params is UNSET]
    if len(members) != count or None in members or colons != text.count(_COLON):
        return None
    return Batch(tuple(members))  # type: ignore[arg-type]  # None is not among them
