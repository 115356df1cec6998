"""JSON-RPC 2.0: bytes to values and back, to the letter (https://www.jsonrpc.org/specification).

Pure and without state. :func:`parse` does not raise if a peer made a mistake: it returns a
:class:`Malformed` with the answer. An id stays the bytes that came, because no number type holds
every id that a client may choose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from msgspec import UNSET, Raw, UnsetType

from rkllm_twisted.errors import InvalidParams, InvalidRequest, ParseError, RPCError, error_from
from rkllm_twisted.values import Params
from rkllm_twisted.wire import fastpath, validation
from rkllm_twisted.wire.encoding import encode
from rkllm_twisted.wire.fastpath import ID_BEGINS
from rkllm_twisted.wire.messages import (
    Batch,
    Malformed,
    Message,
    Notification,
    Reply,
    Request,
    Single,
)
from rkllm_twisted.wire.validation import MAX_BATCH, MAX_ID_BYTES

__all__ = [
    "Batch",
    "Malformed",
    "Message",
    "Notification",
    "Reply",
    "Request",
    "Single",
    "batch",
    "decode_params",
    "error",
    "error_from",
    "id_of",
    "notification",
    "parse",
    "request",
    "response",
]

#: Bytes of a message whose escapes are looked through one by one.
MAX_ESCAPE_SEARCH_BYTES = 256 * 1024


class _Envelope(msgspec.Struct):
    """The members of a JSON-RPC message; others are ignored."""

    jsonrpc: Raw | UnsetType = UNSET
    id: Raw | UnsetType = UNSET
    method: Raw | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


#: A batch, parsed without making more members than it may have: 32 million would take 2 GB.
_Slots = msgspec.defstruct(
    "_Slots",
    [(f"member_{i}", Raw | UnsetType, UNSET) for i in range(MAX_BATCH + 1)],
    array_like=True,
)


def parse(payload: bytes) -> Message:
    """Parse one message: a single one, a batch, or something malformed.

    :param payload: without its framing.
    """
    if not payload.isascii() and not validation.is_utf8(payload):
        return Malformed(ParseError("The message is not UTF-8."))
    try:
        return fastpath.read(payload) or parse_strictly(payload)
    except RecursionError:
        return Malformed(ParseError(f"It is nested deeper than {validation.MAX_DEPTH} levels."))
    except msgspec.DecodeError as error:
        return _half_surrogate(payload) or Malformed(ParseError(_not_json(error)))


def _not_json(error: msgspec.DecodeError) -> str:
    if str(error) == "Input data was truncated":
        return f"This is not JSON: {error}. Send one message per line, or netstrings."
    return f"This is not JSON: {error}."


def parse_strictly(payload: bytes) -> Message:
    """Parse a message that is not plain.

    :param payload: UTF-8, without its framing.
    :raises RecursionError, msgspec.DecodeError: it is nested too deeply, or no JSON.
    """
    text = payload.lstrip(b" \t\r\n")
    if not text.startswith(b"["):
        envelope = _open(text)
        bones = validation.without_long_strings(text)
        return _too_much(bones) or _read(envelope, bones)
    slots = msgspec.structs.astuple(msgspec.json.decode(text, type=_Slots))
    members = [raw for raw in slots if isinstance(raw, Raw)]
    if not members:
        return Malformed(InvalidRequest("The batch is empty."))
    if len(members) > MAX_BATCH:
        return Malformed(InvalidRequest(f"A batch may have {MAX_BATCH} members; send several."))
    return _too_much(validation.without_long_strings(text)) or Batch(
        tuple(_member(bytes(member)) for member in members)
    )


def _member(text: bytes) -> Single:
    return _read(_open(text), validation.without_long_strings(text))


def _open(text: bytes) -> _Envelope | None:
    """Split a message into its members. This parses all of the text: it is valid JSON then."""
    try:
        return msgspec.json.decode(text, type=_Envelope)
    except msgspec.ValidationError:  # found at the first byte; the rest is not read yet
        msgspec.json.decode(text, type=Raw)
        return None


def _too_much(text: bytes) -> Malformed | None:
    problem = validation.too_large(text)
    return Malformed(ParseError(problem)) if problem else None


def _read(envelope: _Envelope | None, text: bytes) -> Single:
    if envelope is None:
        return Malformed(InvalidRequest("A message is an object, or an array of objects."))
    raw_id = _bytes(envelope.id)
    if envelope.method is UNSET and (envelope.result is not UNSET or envelope.error is not UNSET):
        return Reply(raw_id, _bytes(envelope.result), _bytes(envelope.error))
    if raw_id is not None and not _usable_id(raw_id):
        problem = f"An id is a string, a number or null, of at most {MAX_ID_BYTES} bytes."
        return Malformed(InvalidRequest(problem, {"member": "id"}))
    if (repeated := validation.repeated_member(text)) is not None:
        problem = "An object has two members of one name; send one."
        id_in_doubt = repeated == "id"
        error = InvalidRequest(problem, {"member": repeated[:MAX_ID_BYTES]})
        return Malformed(error, None if id_in_doubt else raw_id)
    for member, (is_right, problem) in _CHECKS.items():
        if not is_right(envelope):
            return Malformed(InvalidRequest(problem, {"member": member}), raw_id)
    return _call(envelope, raw_id)


def _call(envelope: _Envelope, raw_id: bytes | None) -> Single:
    try:
        params = decode_params(envelope.params)
    except msgspec.ValidationError as error:
        return Malformed(ParseError(f"params: {error}."))
    method = _string(envelope.method) or ""
    return Notification(method, params) if raw_id is None else Request(raw_id, method, params)


def decode_params(raw: bytes | Raw | UnsetType | None) -> Params:
    """Decode the JSON text of params; null and nothing are the same.

    :raises msgspec.ValidationError: a number is beyond what Python can hold.
    """
    params: Params = msgspec.json.decode(raw) if raw else None
    return params


def _bytes(raw: Raw | UnsetType) -> bytes | None:
    return None if isinstance(raw, UnsetType) else bytes(raw)


def _string(raw: Raw | UnsetType) -> str | None:
    """Decode a member that should be a string; None if it is something else."""
    text = _bytes(raw)
    return msgspec.json.decode(text, type=str) if text and text.startswith(b'"') else None


def _usable_id(raw_id: bytes) -> bool:
    return raw_id[0] in ID_BEGINS and len(raw_id) <= MAX_ID_BYTES


def _has_params(envelope: _Envelope) -> bool:
    raw = envelope.params
    return isinstance(raw, UnsetType) or bytes(memoryview(raw)[:1]) in (b"[", b"{", b"n")


_CHECKS: Mapping[str, tuple[Callable[[_Envelope], bool], str]] = {
    "jsonrpc": (lambda e: _string(e.jsonrpc) == "2.0", 'A request says "jsonrpc": "2.0".'),
    "method": (lambda e: _string(e.method) is not None, "A request names its method: a string."),
    "params": (_has_params, "params are an array or an object."),
}


def _half_surrogate(payload: bytes) -> Malformed | None:
    r"""Make the answer to a request that is right but for an escape like ``\ud800`` in params.

    msgspec refuses such text as a whole, and then the id would be lost on the client.
    """
    if len(payload) > MAX_ESCAPE_SEARCH_BYTES:
        return None
    whole = validation.without_half_surrogates(payload)
    message = parse(whole) if whole != payload else None
    if not isinstance(message, Request | Malformed) or message.id is None:
        return None
    if b"\\ufffd" in message.id:  # it may be the id itself that is not text
        return None
    problem = "A string holds half a surrogate pair, which is not text."
    return Malformed(InvalidParams(problem), message.id)


_value = msgspec.json.Decoder().decode


def id_of(raw_id: bytes) -> object:
    """Decode an id. An id that no Python value can represent stays bytes."""
    try:
        return _value(raw_id)
    except ValueError:
        return raw_id


def response(raw_id: bytes, result: bytes) -> bytes:
    """Encode the response to a request that has succeeded.

    :param raw_id: the id's JSON text.
    :param result: JSON text, see :func:`rkllm_twisted.wire.encoding.encode`.
    """
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (raw_id, result)


def error(raw_id: bytes | None, failed: RPCError, floats: str = "json") -> bytes:
    """Encode the response to a request that has failed.

    :param raw_id: the id's JSON text; None if it could not be read.
    :param floats: the form of float arrays in the error's data.
    """
    return failure(raw_id, error_object(failed, floats))


def error_object(failed: RPCError, floats: str = "json") -> bytes:
    """Encode an error without the response around it."""
    body: dict[str, object] = {"code": failed.code, "message": failed.message}
    if failed.data is not None:
        body["data"] = failed.data
    return encode(body, floats)


def failure(raw_id: bytes | None, error_object: bytes) -> bytes:
    """Encode the response around an error.

    :param error_object: see :func:`error_object`.
    """
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (raw_id or b"null", error_object)


def request(request_id: object, method: str, params: object = None, floats: str = "json") -> bytes:
    """Encode a request.

    :param floats: the form of float arrays in the params, see
        :func:`rkllm_twisted.wire.encoding.encode`.
    """
    message = {"jsonrpc": "2.0", "id": request_id, "method": method}
    return encode(message if params is None else {**message, "params": params}, floats)


def notification(method: str, params: object = None) -> bytes:
    """Encode a notification."""
    message = {"jsonrpc": "2.0", "method": method}
    return encode(message if params is None else {**message, "params": params})


def batch(messages: list[bytes]) -> bytes:
    """Encode several messages as a batch."""
    return b"[%b]" % b",".join(messages)
